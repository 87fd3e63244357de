"""A link: a TCP relay between one device and the server, which counts, and can go down, or lose an answer.

Losing an answer is the fault that sync is judged by: the request arrives, the server commits, and the bytes
of the answer are thrown away with the connection. Fault F02 of docs/explanation/faults.md.
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class Link:
    """Relays from a port of its own to `host:port`; use it as a context manager.

    `relayed_bytes` are those of both directions, HTTP's own included.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_up = True
        self._loses_next_answer = False
        self.lost_answers = 0
        self.relayed_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="rightfit-link", daemon=True)

    @property
    def url(self) -> str:
        """Where the device finds the server."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            # Closing alone does not wake a thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()
        self._thread.join()

    def go_down(self) -> None:
        """Hang up, and refuse every connection until `go_up`."""
        self._is_up = False
        self._hang_up()

    def go_up(self) -> None:
        """Relay again."""
        self._is_up = True

    def lose_next_answer(self) -> None:
        """Let the next request through and throw its answer away."""
        self._loses_next_answer = True

    def _hang_up(self) -> None:
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            _end(connection)

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_up:
                device.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                device.close()
                continue
            with self._lock:
                self._open |= {device, server}
            for pump in (self._requests, self._answers):
                threading.Thread(target=pump, args=(device, server), daemon=True).start()

    def _requests(self, device: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := device.recv(CHUNK_BYTES):
                self._relay(chunk, server)
        self._part(device, server)

    def _answers(self, device: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(CHUNK_BYTES):
                if self._loses_next_answer:
                    self._loses_next_answer = False
                    self.lost_answers += 1
                    break
                self._relay(chunk, device)
        self._part(device, server)

    def _relay(self, chunk: bytes, target: socket.socket) -> None:
        with self._lock:
            self.relayed_bytes += len(chunk)
        target.sendall(chunk)

    def _part(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open -= set(connections)
        for connection in connections:
            _end(connection)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
