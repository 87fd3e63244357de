"""HTTP/1.1 straight on a socket: httpx transports that keep a connection for the next request, and do no more.

h11 knows the protocol; here is only who reads and writes, from a thread (`DirectTransport`) or in an event loop
(`AsyncDirectTransport`). httpx's own transports can much that a replica does not ask for (pools, HTTP/2, proxies), and
need two to four times the processor time for a request: more than all else that a sync with nothing to do needs.
Certificates are verified as httpx does it. Each failure is raised as the httpx error of its kind.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import h11
import httpx

_READ_BYTES: Final = 65_536
_IDLE_MAX: Final = 2
"""Connections kept for the next request."""


class _Dialogue:
    """What is said on one connection, without I/O."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)

    def sent(self, request: httpx.Request) -> bytes:
        """Return the bytes of a request."""
        target, headers = request.url.raw_path, request.headers.raw
        parts = [
            self._http.send(h11.Request(method=request.method.encode(), target=target, headers=headers)),
            self._http.send(h11.Data(data=request.content)),
            self._http.send(h11.EndOfMessage()),
        ]
        return b"".join(part for part in parts if part)

    def heard(self, data: bytes) -> None:
        """Take in what has arrived; nothing says that the other side has closed the connection."""
        self._http.receive_data(data)

    def next(self) -> h11.Response | h11.Data | h11.EndOfMessage | None:
        """Return the next part of the answer, None where more has to arrive first."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                return event
            if not isinstance(event, h11.InformationalResponse):
                return None

    def is_again(self) -> bool:
        """Whether the connection can take another request; it begins anew."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True


@contextmanager
def _named(failed: type[httpx.TransportError], late: type[httpx.TransportError]) -> Iterator[None]:
    """Raise httpx's errors in place of those of sockets and of h11."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except (OSError, EOFError) as error:
        raise failed(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error


_connecting = (httpx.ConnectError, httpx.ConnectTimeout)
_writing = (httpx.WriteError, httpx.WriteTimeout)
_reading = (httpx.ReadError, httpx.ReadTimeout)


def _tls() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Place:
    """Where connections of one origin lead, and how."""

    def __init__(self, url: httpx.URL) -> None:
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{str(url)!r} is neither http:// nor https://")
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self.tls = _tls() if url.scheme == "https" else None


def _timeout(request: httpx.Request, name: str) -> float | None:
    found = request.extensions.get("timeout", {}).get(name)
    return None if found is None else float(found)


def _response(event: h11.Response, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> httpx.Response:
    return httpx.Response(event.status_code, headers=event.headers.raw_items(), stream=stream)


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, place: _Place, seconds: float | None) -> None:
        self.dialogue = _Dialogue()
        with _named(*_connecting):
            self._socket = socket.create_connection((place.host, place.port), seconds)
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if place.tls is not None:
                    self._socket = place.tls.wrap_socket(self._socket, server_hostname=place.host)
            except BaseException:
                self._socket.close()
                raise

    def is_over(self) -> bool:
        """Whether the other side has closed it: it says nothing unasked."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def write(self, data: bytes, seconds: float | None) -> None:
        with _named(*_writing):
            self._socket.settimeout(seconds)
            self._socket.sendall(data)

    def read(self, seconds: float | None) -> h11.Response | h11.Data | h11.EndOfMessage:
        with _named(*_reading):
            self._socket.settimeout(seconds)
            while (part := self.dialogue.next()) is None:
                self.dialogue.heard(self._socket.recv(_READ_BYTES))
            return part

    def close(self) -> None:
        self._socket.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, transport: "DirectTransport", connection: _Connection, seconds: float | None) -> None:
        self._transport = transport
        self._connection = connection
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        while isinstance(part := self._connection.read(self._seconds), h11.Data):
            yield bytes(part.data)

    def close(self) -> None:
        self._transport.keep(self._connection)


class DirectTransport(httpx.BaseTransport):
    """Sends to one origin, from any thread."""

    def __init__(self) -> None:
        self._place: _Place | None = None
        self._idle: list[_Connection] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; the answer's body is read from the connection, and must be closed."""
        place = self._place = self._place or _Place(request.url)
        connection = self._free() or _Connection(place, _timeout(request, "connect"))
        try:
            connection.write(connection.dialogue.sent(request), _timeout(request, "write"))
            seconds = _timeout(request, "read")
            part = connection.read(seconds)
        except BaseException:
            connection.close()
            raise
        assert isinstance(part, h11.Response)  # noqa: S101 - h11 lets nothing else come first.
        return _response(part, _Body(self, connection, seconds))

    def _free(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_over():
                return connection
            connection.close()
        return None

    def keep(self, connection: _Connection) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        if connection.dialogue.is_again() and len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()


class _AsyncConnection:
    """One connection in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialogue = _Dialogue()
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, place: _Place, seconds: float | None) -> "_AsyncConnection":
        with _named(*_connecting):
            async with asyncio.timeout(seconds):
                streams = await asyncio.open_connection(
                    place.host, place.port, ssl=place.tls, limit=_READ_BYTES
                )
        return cls(*streams)

    def is_over(self) -> bool:
        """Whether the other side has closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def write(self, data: bytes, seconds: float | None) -> None:
        with _named(*_writing):
            async with asyncio.timeout(seconds):
                self._writer.write(data)
                await self._writer.drain()

    async def read(self, seconds: float | None) -> h11.Response | h11.Data | h11.EndOfMessage:
        with _named(*_reading):
            while (part := self.dialogue.next()) is None:
                async with asyncio.timeout(seconds):
                    data = await self._reader.read(_READ_BYTES)
                self.dialogue.heard(data)
            return part

    def close(self) -> None:
        # Whoever closes has heard what it wanted: there is nothing left to be sent, or to be said in farewell.
        self._writer.transport.abort()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(
        self, transport: "AsyncDirectTransport", connection: _AsyncConnection, seconds: float | None
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while isinstance(part := await self._connection.read(self._seconds), h11.Data):
            yield bytes(part.data)

    async def aclose(self) -> None:
        self._transport.keep(self._connection)


class AsyncDirectTransport(httpx.AsyncBaseTransport):
    """Sends to one origin; a request that is cancelled takes its connection with it."""

    def __init__(self) -> None:
        self._place: _Place | None = None
        self._idle: list[_AsyncConnection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; the answer's body is read from the connection, and must be closed."""
        place = self._place = self._place or _Place(request.url)
        connection = self._free() or await _AsyncConnection.to(place, _timeout(request, "connect"))
        try:
            await connection.write(connection.dialogue.sent(request), _timeout(request, "write"))
            seconds = _timeout(request, "read")
            part = await connection.read(seconds)
        except BaseException:
            connection.close()
            raise
        assert isinstance(part, h11.Response)  # noqa: S101 - h11 lets nothing else come first.
        return _response(part, _AsyncBody(self, connection, seconds))

    def _free(self) -> _AsyncConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_over():
                return connection
            connection.close()
        return None

    def keep(self, connection: _AsyncConnection) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        if connection.dialogue.is_again() and len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()
