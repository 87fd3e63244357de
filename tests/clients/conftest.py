"""A small authority behind HTTP, in this process, and replicas that talk to it.

It is `MemoryAuthority` (the core's own ingest and feed) with the server's routes around it, as an httpx transport, so
that no socket is needed; `served` puts the same thing behind a real one for child processes.
"""

import asyncio
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Protocol

import httpx
import msgspec
import pytest

from rightfit_client.replica import Replica
from rightfit_sync.errors import RemoteError
from rightfit_sync.schema.declare import declare, group, invariant, kind, merge, ref
from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.wire.codec import MSGPACK, decode, decompress, encode
from rightfit_sync.wire.messages import Problem, SyncRequest

NOW = 1_763_830_000_000
LONG_POLL_SECONDS_MAX = 20


class Step(msgspec.Struct):
    note: str = ""
    done: bool = False


@kind("property", audience=["all"])
class Property(msgspec.Struct):
    address: str


@kind(
    "work_order",
    audience=["all", "team:{team}"],
    groups={"completion": group("status", "completed_at", lead="status")},
    invariants={"dates": invariant("ordered", "opened_on", "due_on")},
)
class WorkOrder(msgspec.Struct):
    title: str
    notes: Annotated[str, merge("text", on_overlap="merge")]
    cost_pence: Annotated[int, merge("counter")]
    price: Decimal
    ratio: float
    opened_on: date
    due_on: date
    visited_at: datetime
    signature: bytes
    urgent: bool
    priority: Annotated[str, merge("register")]
    team: str
    status: Annotated[
        str, merge("workflow", transitions={"OPEN": ["ASSIGNED"], "ASSIGNED": ["DONE"], "DONE": []})
    ]
    completed_at: str
    tags: set[str]
    meta: Annotated[dict[str, Decimal], merge("map")]
    checklist: list[Step]
    anything: object
    property_id: Annotated[str | None, ref("property")] = None


SCHEMA = declare(1, Property, WorkOrder)


def token_for(device_id: str, subject: str = "ann", tenant: str = "memory") -> str:
    """A token as the server's, but for its signature: a device does not check that."""
    claims = {"tenant": tenant, "sub": subject, "device": device_id, "exp": 4_000_000_000}
    parts = [{"alg": "HS256"}, claims, "signature"]
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


class Answer(Protocol):
    """What happens to one request, instead of (or around) the authority's own answer."""

    def __call__(self, serve: Callable[[], httpx.Response]) -> httpx.Response: ...


class HttpAuthority(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """`memory` behind the server's routes. `faults` are taken one per request; `exchanges` are what was asked."""

    def __init__(self, schema: Schema) -> None:
        self.memory = MemoryAuthority(schema)
        self.faults: list[Answer | None] = []
        self.exchanges: list[SyncRequest] = []
        self.body_bytes_max = 8_000_000
        self.refused_tokens: set[str] = set()
        self.fetched: dict[str, bytes] = {}
        self.now = NOW
        self.news = threading.Condition()
        self.waiting = threading.Semaphore(0)
        self._one_at_a_time = threading.Lock()

    def let_in(self, device_id: str, subject: str = "ann", tags: tuple[str, ...] = ("all",)) -> str:
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

    def refuse(self, status: int, code: str = "refused", **more: object) -> None:
        """Answer the next request with a problem."""
        answer = problem(status, code, **more)
        self.faults.append(lambda _serve: answer)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        fault = self.faults.pop(0) if self.faults else None

        def serve() -> httpx.Response:
            return self._serve(request, body)

        return serve() if fault is None else fault(serve)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        return await asyncio.to_thread(
            self.handle_request,
            httpx.Request(request.method, request.url, headers=request.headers, content=body),
        )

    def _serve(self, request: httpx.Request, body: bytes) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token in self.refused_tokens:
            return problem(401, "token_expired")
        if request.url.path in self.fetched:
            return httpx.Response(200, content=self.fetched[request.url.path])
        if len(body) > self.body_bytes_max:
            return problem(413, "too_large")
        if request.headers.get("content-encoding") == "zstd":
            body = decompress(body)
        claims = json.loads(_decoded(token.split(".")[1]))
        try:
            message = decode(body, request.headers["content-type"], SyncRequest)
            self.exchanges.append(message)
            if "wait" in request.url.params and not message.changes:
                self._wait(claims["device"], message)
            with self._one_at_a_time:
                response = self.memory.sync(claims["device"], message, self.now)
        except RemoteError as error:
            expected = error.detail.get("expected")
            return problem(error.status, error.code, detail=str(error), expected=expected)
        with self.news:
            self.news.notify_all()
        return httpx.Response(200, content=encode(response), headers={"Content-Type": MSGPACK})

    def _wait(self, device_id: str, message: SyncRequest) -> None:
        def has_news() -> bool:
            page = self.memory.pull(device_id, message.cursor, message.rows_max)
            return bool(page.rows or page.evicted)

        self.waiting.release()
        with self.news:
            self.news.wait_for(has_news, timeout=LONG_POLL_SECONDS_MAX)


def _decoded(text: str) -> bytes:
    from base64 import urlsafe_b64decode  # noqa: PLC0415 - beside its use.

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    document = Problem(type="about:blank", title=code, status=status, code=code, **more)  # type: ignore[arg-type]
    return httpx.Response(status, content=msgspec.json.encode(document), headers=headers)


@contextmanager
def served(authority: HttpAuthority) -> Iterator[str]:
    """Serve `authority` on loopback and give its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = httpx.Request(
                "POST", f"http://localhost{self.path}", headers=dict(self.headers), content=body
            )
            answer = authority.handle_request(request)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class OpenReplica(Protocol):
    """Opens the replica of a device of `authority`; it is closed after the test."""

    def __call__(self, name: str, /, **options: object) -> Replica: ...


@pytest.fixture
def schema() -> Schema:
    return SCHEMA


@pytest.fixture
def authority() -> HttpAuthority:
    return HttpAuthority(SCHEMA)


@pytest.fixture
def serve(authority: HttpAuthority) -> Iterator[Callable[[], str]]:
    """Puts the authority behind a real socket and returns its URL."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(served(authority))


@pytest.fixture
def make_token() -> Callable[..., str]:
    return token_for


@pytest.fixture
def open_replica(tmp_path: Path, authority: HttpAuthority) -> Iterator[OpenReplica]:
    with ExitStack() as stack:

        def opened(name: str, **options: object) -> Replica:
            settings: dict[str, object] = {
                "schema": authority.memory.schema,
                "url": "http://authority",
                "token": token_for(name),
                "clock": lambda: NOW,
                "transport": authority,
                "async_transport": authority,
                **options,
            }
            if name not in authority.memory.devices:
                authority.let_in(name)
            replica = Replica.open(tmp_path / f"{name}.db", **settings)  # type: ignore[arg-type]
            return stack.enter_context(replica)

        yield opened


@pytest.fixture
def replica(open_replica: OpenReplica) -> Replica:
    return open_replica("dev-a")
