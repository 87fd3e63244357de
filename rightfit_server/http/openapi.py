"""The description of the API: OpenAPI 3.1, drawn from the message types, with real messages as examples.

The table below names every operation; a test compares it with the routes that there are, and others walk
it to try each route with another tenant's ids. Served without a token: it says nothing that the
documentation does not.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any

import msgspec
from litestar import Response, get

from rightfit_server.accounts.tokens import Token
from rightfit_server.http import examples
from rightfit_server.http.conflicts import Choice, OpenConflicts
from rightfit_server.http.entities import History, Record
from rightfit_server.http.health import Health
from rightfit_server.http.paging import LIMIT_DEFAULT, LIMIT_MAX
from rightfit_server.http.problems import PROBLEM_JSON, TITLES, problem_of
from rightfit_server.resolve.service import Resolved
from rightfit_sync.schema.spec import Schema
from rightfit_sync.wire.codec import JSON, MSGPACK
from rightfit_sync.wire.messages import (
    Problem,
    ReconcileRequest,
    ReconcileResponse,
    SyncRequest,
    SyncResponse,
)

_REF = "#/components/schemas/{name}"


class Operation(msgspec.Struct, frozen=True):
    """One operation: verb, path, what goes in and out, which problems it has besides 401, 500 and 503."""

    verb: str
    path: str
    summary: str
    answers: type[msgspec.Struct]
    example: object
    takes: type[msgspec.Struct] | None = None
    example_taken: object = None
    status: int = 200
    problems: Sequence[int] = ()
    query: Mapping[str, str] = {}
    is_open: bool = False


_BODY_PROBLEMS = (400, 413, 415)
_WAIT = {"wait": "Seconds to hold the request open while there is nothing to answer."}
_LIST = {
    "limit": f"Rows, 1 to {LIMIT_MAX}; {LIMIT_DEFAULT} without it.",
    "after": "The `next` of the page before.",
}


def _exchange(path: str, summary: str, problems: Sequence[int], query: Mapping[str, str]) -> Operation:
    return Operation(
        "post",
        path,
        summary,
        SyncResponse,
        examples.RESPONSE,
        takes=SyncRequest,
        example_taken=examples.REQUEST,
        problems=(*_BODY_PROBLEMS, 403, 409, *problems),
        query=query,
    )


OPERATIONS: Sequence[Operation] = (
    _exchange("/v1/sync", "Push changes, pull a page", [410], _WAIT),
    _exchange("/v1/push", "Push changes", [], {}),
    _exchange("/v1/pull", "Pull a page", [410], _WAIT),
    Operation(
        "post",
        "/v1/reconcile",
        "Compare a copy, and give back what a restore has lost",
        ReconcileResponse,
        examples.COMPARED,
        takes=ReconcileRequest,
        example_taken=examples.COMPARE,
        problems=(*_BODY_PROBLEMS, 403, 409),
    ),
    Operation("get", "/v1/schema", "The schema of the records", Schema, {"schema_version": 1, "kinds": {}}),
    Operation(
        "get",
        "/v1/conflicts",
        "Open conflicts",
        OpenConflicts,
        examples.CONFLICTS,
        problems=(400,),
        query=_LIST,
    ),
    Operation(
        "post",
        "/v1/conflicts/{conflict_id}/resolve",
        "Settle a conflict",
        Resolved,
        examples.RESOLVED,
        takes=Choice,
        example_taken=examples.CHOICE,
        problems=(*_BODY_PROBLEMS, 403, 404, 409, 422),
    ),
    Operation(
        "get", "/v1/entities/{kind}/{entity_id}", "One record", Record, examples.RECORD, problems=(404,)
    ),
    Operation(
        "get",
        "/v1/entities/{kind}/{entity_id}/history",
        "The changes of one record",
        History,
        examples.HISTORY,
        problems=(400, 404),
        query=_LIST,
    ),
    Operation("post", "/v1/token", "A fresh token for this device", Token, examples.TOKEN),
    Operation("get", "/health/live", "Is the process alive?", Health, Health("live"), is_open=True),
    Operation("get", "/health/ready", "Can requests be served?", Health, Health("ready"), is_open=True),
)


@cache
def description() -> bytes:
    """Return the OpenAPI document as JSON."""
    types: list[type[msgspec.Struct]] = [Problem]
    types += [one.answers for one in OPERATIONS] + [one.takes for one in OPERATIONS if one.takes is not None]
    _, schemas = msgspec.json.schema_components(
        dict.fromkeys(types), schema_hook=_any_value, ref_template=_REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.verb] = _described(operation)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "RightFit",
            "version": installed_version("rightfit-sync"),
            "description": "Offline-first sync: changes up, receipts and pages of the feed down.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"device": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"device": []}],
    }
    return msgspec.json.encode(document)


def _any_value(python_type: type) -> dict[str, Any]:
    """Return the schema of a field's value: any JSON."""
    if python_type is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(f"{python_type} has no JSON Schema here")


def _described(operation: Operation) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in operation.query.items()
    ]
    answered = {"description": operation.summary, "content": _content(operation.answers, operation.example)}
    always = () if operation.is_open else (401, 500)
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": "_".join(part.strip("{}") for part in f"{operation.verb}{operation.path}".split("/")),
        "parameters": parameters,
        "responses": {str(operation.status): answered}
        | {str(status): _problem(status) for status in sorted({*operation.problems, *always, 503})},
    }
    if operation.takes is not None:
        content = _content(operation.takes, operation.example_taken)
        described["requestBody"] = {"required": True, "content": content}
    if operation.is_open:
        described["security"] = []
    return described


def _content(message_type: type[msgspec.Struct], example: object) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=message_type.__name__)}
    shown = msgspec.to_builtins(example)
    return {JSON: {"schema": schema, "example": shown}, MSGPACK: {"schema": schema}}


def _problem(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name="Problem")}}
    if status == examples.GAP.status:
        content["example"] = msgspec.to_builtins(problem_of(examples.GAP))
    return {"description": TITLES[status], "content": {PROBLEM_JSON: content}}


@get("/openapi.json")
async def openapi() -> Response[bytes]:
    """Describe the API."""
    return Response(description(), media_type=JSON, headers={"Cache-Control": "public, max-age=3600"})
