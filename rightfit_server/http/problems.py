"""Errors as RFC 9457 problem documents: a stable code, the field, the value, and the way out.

| raised | answered |
|---|---|
| `RemoteError` | its own status and code |
| an HTTP error of the framework (no such route, wrong verb) | its status |
| the database is out of reach, too slow, or contended | 503 with `Retry-After` |
| anything else | 500, without a word about the inside; the log has it |

The messages of the core end in ": what to do"; that end becomes `remedy`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from rightfit_server.http.services import AnyRequest, services_of
from rightfit_server.ports.storage import ContentionError, UnavailableError
from rightfit_sync.errors import RemoteError
from rightfit_sync.wire.messages import Problem

PROBLEM_JSON = "application/problem+json"
TITLES: Mapping[int, str] = {
    400: "The request is not understood",
    401: "Who are you?",
    403: "Not yours",
    404: "Not found",
    405: "Wrong verb",
    409: "Things have moved on",
    410: "Too old",
    413: "Too large",
    415: "Unknown format",
    422: "This cannot be done",
    500: "Our mistake",
    503: "Not just now",
}
_CODES: Mapping[int, str] = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_log = structlog.get_logger(__name__)


def problem_of(error: RemoteError) -> Problem:
    """Return the problem document that says what `error` says."""
    message = str(error)
    detail, colon, remedy = message.rpartition(": ")
    facts = {name: value for name, value in error.detail.items() if name != "expected"}
    expected = error.detail.get("expected")
    return Problem(
        type=f"urn:rightfit:problem:{error.code}",
        title=TITLES.get(error.status, TITLES[400]),
        status=error.status,
        code=error.code,
        detail=detail if colon else message,
        field=error.path,
        value=" ".join(str(value) for value in facts.values()),
        remedy=remedy if colon else "",
        expected=expected if isinstance(expected, int) else None,
    )


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Return the response that carries `problem`."""
    body = msgspec.json.encode(problem)
    return Response(body, media_type=PROBLEM_JSON, status_code=problem.status, headers=dict(headers or {}))


def on_remote_error(_request: AnyRequest, error: RemoteError) -> Response[bytes]:
    """Answer a request that asks for something that cannot be."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return respond(problem_of(error), headers)


def on_http_error(_request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses."""
    status = error.status_code
    code = _CODES.get(status, "invalid_message")
    return respond(problem_of(RemoteError(code, TITLES.get(status, error.detail), status=status)))


def on_unavailable(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer while the database is out of reach, too slow, or contended: come back."""
    _log.warning("unavailable", path=request.url.path, reason=type(error).__name__, detail=str(error)[:200])
    seconds = services_of(request).settings.retry_after_seconds
    message = f"the database does not answer: try again in {seconds} s"
    problem = problem_of(RemoteError("unavailable", message, status=503))
    return respond(problem, {"Retry-After": str(seconds)})


def on_mistake(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer a fault of ours, and log it."""
    _log.error("mistake", path=request.url.path, exc_info=error)
    message = "something went wrong here, and it was written down: try again later"
    return respond(problem_of(RemoteError("internal", message, status=500)))


HANDLERS: dict[int | type[Exception], Callable[[AnyRequest, Any], Response[Any]]] = {
    RemoteError: on_remote_error,
    HTTPException: on_http_error,
    UnavailableError: on_unavailable,
    ContentionError: on_unavailable,
    Exception: on_mistake,
}
