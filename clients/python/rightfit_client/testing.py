"""An authority in this process, behind HTTP: what an application tests its replicas with.

It is the core's `MemoryAuthority` (the same ingest and feed as the server's) with the server's routes
around it, as an httpx transport, so that no socket is needed::

    authority = HttpAuthority(SCHEMA)
    token = authority.let_in("phone-1", "ann", ["all"])
    replica = Replica.open(path, schema=SCHEMA, url="http://test", token=token, transport=authority)

`faults` break one request each; `served` puts the same thing behind a real socket for child processes.
"""

import asyncio
import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time_ns
from typing import TypeAlias
from urllib.parse import unquote

import httpx
import msgspec

from rightfit_client.transport import RECONCILE_PATH, SYNC_PATH
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PUSH_BYTES_MAX
from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.authority import TENANT_ID, MemoryAuthority
from rightfit_sync.wire.codec import JSON, MSGPACK, decode, decompress, encode
from rightfit_sync.wire.messages import Problem, ReconcileRequest, SyncRequest

_LONG_POLL_SECONDS_MAX = 20
_MESSAGES: dict[str, type[SyncRequest | ReconcileRequest]] = {
    SYNC_PATH: SyncRequest,
    RECONCILE_PATH: ReconcileRequest,
}


def token_for(
    device_id: str, subject: str = "ann", tenant: str = TENANT_ID, *, expires_at: int = 4_000_000_000
) -> str:
    """Return a token as the server's, but for its signature: a device does not check that."""
    claims = {"tenant": tenant, "sub": subject, "device": device_id, "exp": expires_at}
    parts = [{"alg": "HS256"}, claims, "signature"]
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


Fault: TypeAlias = Callable[[Callable[[], httpx.Response]], httpx.Response]
"""What happens to one request: given how to ask the authority, return the answer or raise a network error."""


class HttpAuthority(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """`memory` behind the server's routes.

    `faults` are taken one per request (None: no fault), `exchanges` are what was asked. `waiting` is released
    whenever a long poll begins to wait.
    """

    def __init__(self, schema: Schema) -> None:
        self.memory = MemoryAuthority(schema)
        self.faults: list[Fault | None] = []
        self.exchanges: list[SyncRequest] = []
        self.body_bytes_max = PUSH_BYTES_MAX
        self.refused_tokens: set[str] = set()
        self.clock: Callable[[], int] = lambda: time_ns() // 1_000_000
        self.news = threading.Condition()
        self.waiting = threading.Semaphore(0)
        self._one_at_a_time = threading.Lock()

    def let_in(self, device_id: str, subject: str = "ann", tags: Collection[str] = ("all",)) -> str:
        """Register a device and return its token."""
        self.memory.register(device_id, subject)
        self.memory.grant(subject, tags)
        return token_for(device_id, subject)

    def lose_response(self) -> None:
        """Commit the next request and lose the answer."""

        def lose(serve: Callable[[], httpx.Response]) -> httpx.Response:
            serve()
            raise httpx.ReadError("the connection broke")

        self.faults.append(lose)

    def drop_request(self) -> None:
        """Lose the next request on its way."""

        def drop(_serve: Callable[[], httpx.Response]) -> httpx.Response:
            raise httpx.ConnectError("no network")

        self.faults.append(drop)

    def refuse(self, answer: httpx.Response) -> None:
        """Answer the next request with this (see `problem`)."""
        self.faults.append(lambda _serve: answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request that has been read."""
        body = request.read()
        fault = self.faults.pop(0) if self.faults else None

        def serve() -> httpx.Response:
            return self.serve(request, body)

        return serve() if fault is None else fault(serve)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of `httpx.Client`."""
        return self.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of `httpx.AsyncClient`."""
        body = await request.aread()
        read = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answering = asyncio.ensure_future(asyncio.to_thread(self.answer, read))
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:
            # The caller has hung up: whoever waits for it in a long poll looks again.
            read.extensions["gone"] = True
            with self.news:
                self.news.notify_all()
            await asyncio.wait([answering])
            raise

    def serve(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Answer as the server would."""
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token in self.refused_tokens:
            return problem(401, "token_expired")
        claims = json.loads(_decoded(token.split(".")[1]))
        if request.url.path not in _MESSAGES:
            return self._fetch(request.url.path, claims)
        if len(body) > self.body_bytes_max:
            return problem(413, "too_large")
        if request.headers.get("content-encoding") == "zstd":
            body = decompress(body)
        try:
            message = decode(body, request.headers["content-type"], _MESSAGES[request.url.path])
            if isinstance(message, SyncRequest):
                self.exchanges.append(message)
                if "wait" in request.url.params and not message.changes:
                    self._wait(request, claims["device"], message)
            with self._one_at_a_time:
                response = self.memory.answer(claims["device"], message, self.clock())
        except RemoteError as error:
            expected = error.detail.get("expected")
            known = expected if isinstance(expected, int) else None
            return problem(error.status, error.code, detail=str(error), field=error.path, expected=known)
        with self.news:
            self.news.notify_all()
        return httpx.Response(200, content=encode(response), headers={"Content-Type": MSGPACK})

    def _fetch(self, path: str, claims: Mapping[str, str]) -> httpx.Response:
        """Answer one of the other routes."""
        if path == "/v1/schema":
            return httpx.Response(200, content=msgspec.json.encode(self.memory.schema))
        if path == "/v1/token":
            return httpx.Response(200, json={"token": token_for(claims["device"], claims["sub"])})
        key = tuple(unquote(part) for part in path.removeprefix("/v1/entities/").split("/")[:2])
        found = [one for one in self.memory.history if (one.change.kind, one.change.entity_id) == key]
        if not found:
            return problem(404, "not_found")
        entries = [{"change": one.change, "outcome": one.outcome} for one in found]
        return httpx.Response(200, content=msgspec.json.encode({"history": entries}))

    def _wait(self, request: httpx.Request, device_id: str, message: SyncRequest) -> None:
        def is_over() -> bool:
            page = self.memory.pull(device_id, message.cursor, message.rows_max)
            return bool(page.rows or page.evicted or "gone" in request.extensions)

        self.waiting.release()
        with self.news:
            self.news.wait_for(is_over, timeout=_LONG_POLL_SECONDS_MAX)


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def problem(
    status: int,
    code: str,
    *,
    detail: str = "",
    field: str = "",
    remedy: str = "",
    expected: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Return the answer that refuses a request."""
    document = Problem("about:blank", code, status, code, detail, field, remedy=remedy, expected=expected)
    return httpx.Response(status, content=msgspec.json.encode(document), headers=headers)


@contextmanager
def served(authority: HttpAuthority) -> Iterator[str]:
    """Serve `authority` on loopback and give its URL."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.authority = authority
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    authority: HttpAuthority


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        url = f"http://localhost{self.path}"
        answer = self.server.authority.answer(
            httpx.Request(self.command, url, headers=dict(self.headers.items()), content=body)
        )
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("content-type", JSON))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def handle(self) -> None:
        # A client that was killed is what this server is for.
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
