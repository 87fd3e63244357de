"""The peers' servers, as processes of their own on loopback, each with an empty folder."""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

from benchmarks.peers.roster import HERE, Peer
from rightfit_server.embedded.postgres import start_postgres

KINTO = HERE.parent.parent / "build" / "peers" / "kinto" / "bin" / "kinto"
START_SECONDS_MAX = 60.0
END_SECONDS_MAX = 5.0


class ServerError(Exception):
    """A server did not come up; the message holds the end of what it said."""


@contextmanager
def serving(peer: Peer, folder: Path, workload: Path) -> Iterator[tuple[int, int]]:
    """Run the peer's server until the block ends; give its port and its process id. Raises `ServerError`."""
    port = _free_port()
    if peer.name == "kinto":
        with start_postgres(folder / "postgres", database="kinto") as postgres:
            urls = dict.fromkeys(("KINTO_STORAGE_URL", "KINTO_PERMISSION_URL"), postgres.url)
            ini = ("--ini", str(HERE / "kinto" / "kinto.ini"))
            _run([str(KINTO), "migrate", *ini], urls, folder)
            yield from _running([str(KINTO), "start", *ini, "--port", str(port)], port, folder, urls)
    else:
        store = folder / "server"
        store.mkdir()
        script = str(HERE / peer.name / peer.server)
        yield from _running(["node", script, str(port), str(store), str(workload)], port, folder, {})


def _run(command: Sequence[str], extra: Mapping[str, str], folder: Path) -> None:
    with (folder / "server.log").open("a") as log:
        ended = subprocess.run(command, env={**os.environ, **extra}, stdout=log, stderr=log, check=False)
    if ended.returncode:
        raise ServerError(_end_of(folder))


def _running(
    command: Sequence[str], port: int, folder: Path, extra: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, env={**os.environ, **extra}, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it takes connections."""
    deadline = monotonic() + START_SECONDS_MAX
    while monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            sleep(0.05)
    raise ServerError(_end_of(folder))


def _end_of(folder: Path) -> str:
    return (folder / "server.log").read_text(encoding="utf-8", errors="replace")[-500:]
