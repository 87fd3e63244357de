"""Connections: kept for the next request, apart from those that wait, and led through the environment's proxy."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rightfit_client.credentials import Credentials
from rightfit_client.transport import AsyncHttpTransport, HttpRequest, HttpTransport
from rightfit_sync.exchange import Call
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.wire.messages import SyncRequest

pytestmark = pytest.mark.anyio

TIMEOUT_SECONDS = 20
CALL = Call(SyncRequest(PROTOCOL_VERSION, 1, "dev-a"))


class Answering(BaseHTTPRequestHandler):
    """Answers nonsense, or never."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.client_address[1], self.path))
        self.server.heard.release()
        if self.path == "/never":
            # Until the caller goes away.
            self.server.gone.append(self.rfile.read(1))
            self.server.left.release()
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """`asked` says over which connection what came; `heard` and `left` are released for each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[int, str]] = []
        self.gone: list[bytes] = []
        self.heard = threading.Semaphore(0)
        self.left = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def credentials() -> Credentials:
    known = Credentials(None, lambda _: None)
    known._token = "x"
    return known


@asynccontextmanager
async def device(url: str) -> AsyncIterator[AsyncHttpTransport]:
    transport = AsyncHttpTransport(url, credentials())
    yield transport
    await transport.close()


async def test_a_dropped_long_poll_leaves_the_connection_of_other_requests(server: Server) -> None:
    async with device(server.url) as transport:
        # What comes back is no answer, but a whole one as HTTP sees it.
        with pytest.raises(Exception, match="the answer is none"):
            await transport.exchange(CALL)
        polling = asyncio.ensure_future(
            transport._attempt(HttpRequest("POST", "/never", wait_seconds=20), "x")
        )
        for _ in range(2):
            assert await asyncio.to_thread(server.heard.acquire, timeout=TIMEOUT_SECONDS)
        polling.cancel()
        await asyncio.wait([polling])
        # The server hears of it.
        assert await asyncio.to_thread(server.left.acquire, timeout=TIMEOUT_SECONDS)
        assert server.gone == [b""]
        with pytest.raises(Exception, match="the answer is none"):
            await transport.exchange(CALL)
    (first, _), (poll, _), (last, _) = server.asked
    assert first == last != poll


@pytest.mark.parametrize(("name", "path"), [("far", "http://far.example/v1/sync"), ("127.0.0.1", "/v1/sync")])
def test_the_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    transport = HttpTransport("http://far.example" if name == "far" else server.url, credentials())
    with pytest.raises(Exception, match="the answer is none"):
        transport.exchange(CALL)
    transport.close()
    assert [asked for _, asked in server.asked] == [path]
