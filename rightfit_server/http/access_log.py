"""One log line for each request: verb, path, status, milliseconds. No query, no body, no header."""

from time import perf_counter

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)


def access_log(app: ASGIApp) -> ASGIApp:
    """Wrap `app` so that each request is logged when it has been answered."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        status, started = 0, perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noted)
        finally:
            if scope["type"] is ScopeType.HTTP and not scope["path"].startswith("/health/"):
                milliseconds = round((perf_counter() - started) * 1000, 1)
                _log.info(
                    "request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds
                )

    return logged
