"""The transports straight on a socket: connections are kept and replaced, failures have httpx's names, proxies are
found."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from rightfit_client.credentials import Credentials
from rightfit_client.direct import AsyncDirectTransport, DirectTransport
from rightfit_client.transport import AsyncHttpTransport, HttpRequest, HttpTransport
from rightfit_sync.exchange import Call
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.wire.messages import SyncRequest

pytestmark = pytest.mark.anyio

TIMEOUT_SECONDS = 20
BODY = b"x" * 100_000


class Answering(BaseHTTPRequestHandler):
    """Answers by what the path says."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.client_address[1], self.path, asked))
        self.server.heard.release()
        if self.path == "/chunked":
            self.send_response_only(103)
            self.end_headers()
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(2):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(BODY), BODY))
            self.wfile.write(b"0\r\n\r\n")
        elif self.path.startswith("/never"):
            # Until the caller goes away.
            self.server.gone.append(self.rfile.read(1))
            self.server.left.release()
            self.close_connection = True
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(asked) + (self.path == "/cut")))
            self.end_headers()
            self.wfile.write(asked)
            self.close_connection = self.path in ("/cut", "/once")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """`asked` says over which connection what came; `heard` and `left` are released for each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[int, str, bytes]] = []
        self.gone: list[bytes] = []
        self.heard = threading.Semaphore(0)
        self.left = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def connections(self) -> list[int]:
        return [port for port, _, _ in self.asked]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as one:
        yield one


def request(url: str, body: bytes = b"hello", seconds: float = TIMEOUT_SECONDS) -> httpx.Request:
    return httpx.Request("POST", url, content=body, extensions={"timeout": httpx.Timeout(seconds).as_dict()})


class Threaded:
    """`DirectTransport`, as the tests of both ask it."""

    def __init__(self) -> None:
        self.transport = DirectTransport()

    async def __call__(self, asked: httpx.Request) -> bytes:
        def ask() -> bytes:
            response = self.transport.handle_request(asked)
            try:
                return response.read()
            finally:
                response.close()

        return await asyncio.to_thread(ask)

    async def close(self) -> None:
        self.transport.close()


class InLoop:
    """`AsyncDirectTransport`, likewise."""

    def __init__(self) -> None:
        self.transport = AsyncDirectTransport()

    async def __call__(self, asked: httpx.Request) -> bytes:
        response = await self.transport.handle_async_request(asked)
        try:
            return await response.aread()
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self.transport.aclose()


Asking = Threaded | InLoop


@pytest.fixture(params=[Threaded, InLoop])
async def ask(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Asking]:
    asking: Asking = request.param()
    yield asking
    await asking.close()


async def test_a_connection_is_kept_for_the_next_request(server: Server, ask: Asking) -> None:
    for body in (b"one", b"", BODY):
        assert await ask(request(f"{server.url}/plain?a=1", body)) == body
    assert await ask(request(f"{server.url}/chunked")) == BODY * 2
    assert len(set(server.connections())) == 1
    assert [path for _, path, _ in server.asked] == ["/plain?a=1"] * 3 + ["/chunked"]


async def test_a_connection_that_the_server_has_closed_is_replaced(server: Server, ask: Asking) -> None:
    assert await ask(request(f"{server.url}/once")) == b"hello"
    # The end of the connection has arrived once another one could be made after it.
    other = type(ask)()
    await other(request(f"{server.url}/plain"))
    await other.close()
    assert await ask(request(f"{server.url}/plain", b"again")) == b"again"
    assert len(set(server.connections())) == 3


async def test_what_goes_wrong_has_the_name_that_httpx_gives_it(server: Server, ask: Asking) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(request(f"{server.url}/cut"))
    with pytest.raises(httpx.ReadTimeout):
        await ask(request(f"{server.url}/never", seconds=0.05))
    assert await asyncio.to_thread(server.left.acquire, timeout=TIMEOUT_SECONDS)
    assert await ask(request(f"{server.url}/plain")) == b"hello"
    assert len(set(server.connections())) == 3
    other = type(ask)()
    with pytest.raises(httpx.UnsupportedProtocol):
        await other(request("gopher://127.0.0.1/"))
    with socket.socket() as unheard:
        # A port that nobody listens on, and nobody else can take meanwhile.
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            await type(ask)()(request(f"http://127.0.0.1:{unheard.getsockname()[1]}/plain"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` that nobody trusts, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", key, "-out", made], check=True, stderr=subprocess.DEVNULL)
    return made, key


async def test_certificates_are_verified(
    ask: Asking, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        url = f"https://localhost:{server.server_port}/plain"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await ask(request(url))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        trusting = type(ask)()
        assert await trusting(request(url)) == b"hello"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            # A genuine certificate of somebody else.
            await type(ask)()(request(url.replace("localhost", "127.0.0.1")))
        await trusting.close()


@asynccontextmanager
async def device(url: str) -> AsyncIterator[AsyncHttpTransport]:
    credentials = Credentials(None, lambda _: None)
    credentials._token = "x"
    transport = AsyncHttpTransport(url, credentials)
    yield transport
    await transport.close()


async def test_a_dropped_long_poll_leaves_the_connection_of_other_requests(server: Server) -> None:
    call = Call(SyncRequest(PROTOCOL_VERSION, 1, "dev-a"))
    async with device(server.url) as transport:
        # What comes back is no answer, but a whole one as HTTP sees it.
        with pytest.raises(Exception, match="the answer is none"):
            await transport.exchange(call)
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
            await transport.exchange(call)
    first, poll, last = server.connections()
    assert first == last != poll


def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call(SyncRequest(PROTOCOL_VERSION, 1, "dev-a"))
    credentials = Credentials(None, lambda _: None)
    credentials._token = "x"
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "near.example")
    transport = HttpTransport("http://far.example", credentials)
    with pytest.raises(Exception, match="the answer is none"):
        transport.exchange(call)
    transport.close()
    assert [path for _, path, _ in server.asked] == ["http://far.example/v1/sync"]
    near = HttpTransport("http://near.example", credentials)
    assert isinstance(near._http, DirectTransport)
    near.close()
