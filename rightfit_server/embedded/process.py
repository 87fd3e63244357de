"""One directory, one server process: what PostgreSQL and Valkey have in common.

Invariants:

- A directory belongs to one process of ours at a time, by an advisory lock on `<directory>/lock`. The system
  drops the lock with its holder, however that ends; it is never stale.
- Who holds the lock may end servers that a killed holder left behind: nobody else is using them.
- A server has a session of its own. Ctrl-C reaches our process alone, which decides the order of the end.
- Nothing listens on the network. The socket's folder is closed to other accounts; that is the authentication.

    <directory>/lock  data/  run/ (the socket)  server.log  server.log.1 (the run before)
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from rightfit_server.embedded.account import Account
from rightfit_server.embedded.errors import EmbeddedError

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
LOG_TAIL_LINES = 12
SOCKET_PATH_BYTES_MAX = 103
"""What the strictest system we run on allows (macOS); Linux allows 107."""


@contextlib.contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """Make and lock a directory, and yield its absolute path.

    Raises:
        EmbeddedError: Another process holds it.
    """
    home = directory.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedError(
                f"{home} is in use by another process: stop it, or choose another one"
            ) from error
        yield home


@contextlib.contextmanager
def socket_folder(home: Path, socket_name: str) -> Iterator[Path]:
    """Yield a folder for the socket: under `home`, or a temporary one where that path grows too long."""
    near = home / "run"
    if len(os.fsencode(near / socket_name)) <= SOCKET_PATH_BYTES_MAX:
        yield near
        return
    label = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    with tempfile.TemporaryDirectory(prefix=f"rightfit-{label}-", ignore_cleanup_errors=True) as far:
        yield Path(far)


def end_leftovers(name: str, data: Path, marks: Iterable[Path], end: signal.Signals) -> None:
    """End servers that a killed holder of the lock left on `data`, and remove the files that mark them.

    Both servers work in their data folder: that tells them from a stranger with the same process id.

    Raises:
        EmbeddedError: One of them does not end.
    """
    found = [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == name and process.info["cwd"] == str(data)
    ]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(end)
    _, alive = psutil.wait_procs(found, timeout=STOP_SECONDS_MAX)
    if alive:
        raise EmbeddedError(
            f"{name}, process {alive[0].pid}, still runs on {data} and does not end: end it by hand"
        )
    for mark in marks:
        mark.unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """Return a plain environment: PGOPTIONS and the like of our caller are not meant for this server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@contextlib.contextmanager
def running(
    command: Sequence[str],
    home: Path,
    account: Account,
    *,
    is_ready: Callable[[int], bool],
    ends: Sequence[signal.Signals],
) -> Iterator[int]:
    """Run a server and yield its process id once it is ready; end it with the block.

    Args:
        command: Program and arguments; it stays in the foreground and logs to its standard output.
        home: Where its log goes.
        account: Whom it runs as.
        is_ready: Asked, with the process id, until it says so.
        ends: Signals to end it, tried in turn for `STOP_SECONDS_MAX` each; SIGKILL is the last.

    Raises:
        EmbeddedError: It ended, or was not ready within `START_SECONDS_MAX`; the message holds the log's end.
    """
    log = home / "server.log"
    if log.exists():
        log.replace(home / "server.log.1")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
            env=environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        state = _await_ready(process, is_ready)
        if state is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
            raise EmbeddedError(f"{command[0]} {state} in {home}; its log ends:\n{tail}")
        yield process.pid
    finally:
        _end(process, ends)


def _await_ready(process: subprocess.Popen[bytes], is_ready: Callable[[int], bool]) -> str | None:
    """Return None once the server is ready, else what it did instead."""
    give_up = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up:
        if is_ready(process.pid):
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"ended with code {process.wait(POLL_SECONDS)}"
    return f"did not answer within {START_SECONDS_MAX:.0f} s"


def _end(process: subprocess.Popen[bytes], ends: Sequence[signal.Signals]) -> None:
    for end in (*ends, signal.SIGKILL):
        process.send_signal(end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
            return
