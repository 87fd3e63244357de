"""HTTP: one exchange as a request and its answer, sent by httpx in a thread or in an event loop.

MessagePack over `POST /v1/sync` and `/v1/reconcile`, compressed with zstd where that pays. Every failure
becomes one of `errors`: not reached, overloaded or broken (`Offline`), refused (`RemoteProblem` and its
kinds). A 401 is tried once more with a renewed token. A response larger than `RESPONSE_BYTES_MAX` is refused
while it is read.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from threading import Event
from time import time
from typing import Final, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec

from rightfit_client.credentials import Credentials
from rightfit_client.errors import LocalError, NeedsUpgrade, Offline, RemoteProblem, problem_error
from rightfit_client.limits import (
    ANNOUNCING_SECONDS_MAX,
    COMPRESS_FROM_BYTES,
    REQUEST_TIMEOUT_SECONDS,
    RESPONSE_BYTES_MAX,
    RETRY_AFTER_MAX_SECONDS,
)
from rightfit_sync.exchange import RESPONSE_TOO_LARGE, Call, Response
from rightfit_sync.limits import PROTOCOL_VERSIONS_SPOKEN
from rightfit_sync.wire.codec import JSON, MSGPACK, MSGPACK_BY_COLUMNS, compress, decode_msgpack
from rightfit_sync.wire.messages import Problem, ReconcileResponse, SyncRequest, SyncResponse

SYNC_PATH: Final = "/v1/sync"
RECONCILE_PATH: Final = "/v1/reconcile"
_OVERLOADED = frozenset({408, 429, 500, 502, 503, 504})

_T = TypeVar("_T")


class HttpRequest(msgspec.Struct, frozen=True):
    """A request before the token is put on it."""

    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str] = {}
    params: Mapping[str, str] = {}
    wait_seconds: int = 0


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back, inflated."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Carries requests to one authority; tests may bring their own `httpx.BaseTransport` instead."""

    def exchange(self, call: Call) -> Response:
        """Carry out one exchange."""

    def fetch(self, request: HttpRequest) -> bytes:
        """Return the body of the answer to `request`."""


def sync_request(call: Call) -> HttpRequest:
    """Return the HTTP request of an exchange."""
    body = msgspec.msgpack.encode(call.request)
    headers = {"Content-Type": MSGPACK, "Accept": MSGPACK_BY_COLUMNS}
    if len(body) >= COMPRESS_FROM_BYTES:
        body = compress(body)
        headers["Content-Encoding"] = "zstd"
    params = {"wait": str(call.wait_seconds)} if call.wait_seconds else {}
    path = SYNC_PATH if isinstance(call.request, SyncRequest) else RECONCILE_PATH
    return HttpRequest("POST", path, body, headers, params, call.wait_seconds)


def sync_response(call: Call, answer: HttpAnswer) -> Response:
    """Return the message in the answer to `call`."""
    response: Response
    if isinstance(call.request, SyncRequest):
        response = decoded(answer, SyncResponse)
    else:
        response = decoded(answer, ReconcileResponse)
    if response.protocol_version not in PROTOCOL_VERSIONS_SPOKEN:
        detail = f"the authority speaks protocol {response.protocol_version}: upgrade this program"
        raise NeedsUpgrade(_problem(HTTPStatus.UPGRADE_REQUIRED, "protocol_unsupported", detail))
    return response


def decoded(answer: HttpAnswer, message_type: type[_T]) -> _T:
    """Return the message of this type in `answer`; raise `RemoteProblem` where it is another."""
    body = accepted(answer)
    try:
        if answer.headers.get("content-type", "").startswith(MSGPACK):
            return decode_msgpack(body, message_type)
        return msgspec.json.decode(body, type=message_type)
    except msgspec.MsgspecError as error:
        raise RemoteProblem(
            _problem(answer.status, "malformed_response", f"the answer is none: {error}")
        ) from error


def accepted(answer: HttpAnswer) -> bytes:
    """Return the body of a successful answer; raise what any other one means."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return answer.body
    problem = _read_problem(answer)
    if answer.status in _OVERLOADED:
        raise Offline(
            f"the authority cannot answer now ({problem.detail or problem.title})", _retry_after(answer)
        )
    raise problem_error(problem)


def _read_problem(answer: HttpAnswer) -> Problem:
    try:
        return msgspec.json.decode(answer.body, type=Problem)
    except msgspec.MsgspecError:
        status = HTTPStatus(answer.status)
        return _problem(status, f"http_{status.value}", f"{status.value} {status.phrase}")


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, code=code, detail=detail
    )


def _retry_after(answer: HttpAnswer) -> float | None:
    said = answer.headers.get("retry-after", "")
    try:
        seconds = (
            float(said)
            if said.replace(".", "").isdigit()
            else parsedate_to_datetime(said).timestamp() - time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)


def _too_large() -> RemoteProblem:
    detail = f"the answer has more than {RESPONSE_BYTES_MAX} bytes"
    return RemoteProblem(_problem(HTTPStatus.OK, RESPONSE_TOO_LARGE, detail))


def _offline(error: httpx.HTTPError | httpx.InvalidURL) -> Exception:
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return LocalError("invalid_url", f"{error}: a URL such as https://sync.example.org is needed", "url")
    if isinstance(error, httpx.DecodingError):
        return RemoteProblem(
            _problem(HTTPStatus.OK, "malformed_response", f"the answer cannot be inflated: {error}")
        )
    return Offline(f"the authority cannot be reached ({type(error).__name__}: {error})")


@lru_cache(maxsize=64)
def _url(url: str, path: str, query: str) -> httpx.URL:
    return httpx.URL(url.rstrip("/") + path + (f"?{query}" if query else ""))


def _prepared(url: str, request: HttpRequest, token: str) -> httpx.Request:
    timeout = httpx.Timeout(REQUEST_TIMEOUT_SECONDS, read=REQUEST_TIMEOUT_SECONDS + request.wait_seconds)
    headers = {
        "Accept": JSON,
        "Accept-Encoding": "zstd",
        "User-Agent": "rightfit",
        **request.headers,
        "Authorization": f"Bearer {token}",
    }
    return httpx.Request(
        request.method,
        _url(url, request.path, urlencode(request.params)),
        headers=headers,
        content=request.content,
        extensions={"timeout": timeout.as_dict()},
    )


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for `url`."""
    proxies = getproxies()
    try:
        parts = urlsplit(url)
    except ValueError:
        # The first request says what is wrong with it.
        return None
    if not proxies or proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


class HttpOptions:
    """Transports of one's own for httpx: `transport` for `sync()`, `async_transport` for the loop."""

    def __init__(
        self, transport: httpx.BaseTransport | None, async_transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self.transport = transport
        self.async_transport = async_transport


class HttpTransport:
    """Sends from the calling thread. `http` is an httpx transport of one's own (a proxy, a test's server)."""

    def __init__(self, url: str, credentials: Credentials, http: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._credentials = credentials
        self._http = http or httpx.HTTPTransport(proxy=_proxy(url))
        self._sender = ThreadPoolExecutor(1, "rightfit-send")
        self._announced: tuple[Call, Future[Response]] | None = None
        self._sent = Event()

    def announce(self, call: Call) -> None:
        """Send `call` already, from a thread; `exchange` of the same call returns the answer."""
        self._sent.clear()
        self._announced = (call, self._sender.submit(self._carry_out, call))
        # A thread that is busy lets others run every 5 ms only, and sending would take several such turns.
        self._sent.wait(ANNOUNCING_SECONDS_MAX)

    def exchange(self, call: Call) -> Response:
        """Carry out one exchange; raise one of `errors` where it fails."""
        announced, self._announced = self._announced, None
        if announced is not None:
            if announced[0] is call:
                return announced[1].result()
            # Requests of one replica must not overtake each other. What became of that one is as good as lost.
            wait([announced[1]])
        return self._carry_out(call)

    def _carry_out(self, call: Call) -> Response:
        try:
            answer = self._send(sync_request(call))
        finally:
            self._sent.set()
        return sync_response(call, answer)

    def _trace(self, event: str, _info: object) -> None:
        if event.endswith(".send_request_body.complete"):
            self._sent.set()

    def fetch(self, request: HttpRequest) -> bytes:
        """Return the body of the answer to `request`."""
        return accepted(self._send(request))

    def _send(self, request: HttpRequest) -> HttpAnswer:
        token = self._credentials.current()
        answer = self._attempt(request, token)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            answer = self._attempt(request, self._credentials.renew(token))
        return answer

    def _attempt(self, request: HttpRequest, token: str) -> HttpAnswer:
        try:
            prepared = _prepared(self._url, request, token)
            prepared.extensions["trace"] = self._trace
            response = self._http.handle_request(prepared)
            try:
                return _read(response)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _offline(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._sender.shutdown()
        self._http.close()


def _read(response: httpx.Response) -> HttpAnswer:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > RESPONSE_BYTES_MAX:
            raise _too_large()
    return HttpAnswer(response.status_code, dict(response.headers), bytes(body))


class AsyncHttpTransport:
    """Sends from an event loop; a request that is cancelled is dropped."""

    def __init__(
        self, url: str, credentials: Credentials, http: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url
        self._credentials = credentials
        # A long poll that is dropped takes its connection with it: the edit that it was dropped for has another.
        self._http = http or httpx.AsyncHTTPTransport(proxy=_proxy(url))
        self._polling = http or httpx.AsyncHTTPTransport(proxy=_proxy(url))

    async def exchange(self, call: Call) -> Response:
        """Carry out one exchange; raise one of `errors` where it fails."""
        request = sync_request(call)
        # The application's callback may take its time; the event loop must not.
        token = self._credentials.held
        if token is None:
            token = await asyncio.to_thread(self._credentials.current)
        answer = await self._attempt(request, token)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            renewed = await asyncio.to_thread(self._credentials.renew, token)
            answer = await self._attempt(request, renewed)
        return sync_response(call, answer)

    async def _attempt(self, request: HttpRequest, token: str) -> HttpAnswer:
        try:
            http = self._polling if request.wait_seconds else self._http
            response = await http.handle_async_request(_prepared(self._url, request, token))
            try:
                return await _read_async(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _offline(error) from error

    async def close(self) -> None:
        """Close the connections."""
        for http in {self._polling, self._http}:
            await http.aclose()


async def _read_async(response: httpx.Response) -> HttpAnswer:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > RESPONSE_BYTES_MAX:
            raise _too_large()
    return HttpAnswer(response.status_code, dict(response.headers), bytes(body))
