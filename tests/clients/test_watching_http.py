"""`rightfit replica sync --watch`: it goes on until somebody ends it, and then it ends, whenever that is."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority

ENDED_SECONDS_MAX = 60
WATCH = ["replica", "sync", "--watch", "--json"]
COMMAND = [sys.executable, "-m", "rightfit_client", *WATCH]
DEAF = ["sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh"]
"""Starts a command as a shell starts what its script runs in the background: signals are ignored."""

Watch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def watch(tmp_path: Path, serve: Callable[[], str], authority: HttpAuthority) -> Iterator[Watch]:
    """Starts a command in a folder with a replica that has an edit to send; kills it should it stay too long."""
    url, token = serve(), authority.let_in("dev-a")
    path = tmp_path / "replica.db"
    with Replica.open(path, schema=authority.memory.schema, url=url, token=token, marker=None) as replica:
        replica.insert("work_order", title="x")
    environment = {**os.environ, "RIGHTFIT_TOKEN": token, "RIGHTFIT_MARKERS": str(tmp_path / "markers")}
    environment.pop("RIGHTFIT_REPLICA", None)
    started: list[subprocess.Popen[str]] = []

    def start(*command: str) -> "subprocess.Popen[str]":
        watching = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(watching)
        return watching

    yield start
    for watching in started:
        with watching:
            watching.kill()


def planted(code: str) -> list[str]:
    """Return the command in a process where `code` has been run before."""
    text = f"import signal, threading\n{code}\nfrom rightfit_client.command import main\nmain()"
    return [sys.executable, "-c", text, *WATCH]


@contextmanager
def killed_in_the_end(watching: "subprocess.Popen[str]") -> Iterator[None]:
    """Should it never get there, it is killed, so that the test fails rather than waits for ever."""
    end = threading.Timer(ENDED_SECONDS_MAX, watching.kill)
    end.start()
    try:
        yield
    finally:
        end.cancel()


def reach(watching: "subprocess.Popen[str]", state: str) -> None:
    assert watching.stdout is not None
    with killed_in_the_end(watching):
        assert state in (json.loads(line)["state"] for line in watching.stdout)


def end_of(watching: "subprocess.Popen[str]") -> tuple[int, str]:
    with killed_in_the_end(watching):
        said = watching.communicate()[1]
    return watching.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_goes_on_until_somebody_ends_it(
    watch: Watch, authority: HttpAuthority, number: signal.Signals
) -> None:
    watching = watch(*COMMAND)
    reach(watching, "up_to_date")
    assert authority.waiting.acquire(timeout=ENDED_SECONDS_MAX)
    watching.send_signal(number)
    assert end_of(watching) == (0, "")
    assert len(authority.memory.held) == 1


def test_it_ends_where_signals_were_ignored_when_it_was_started(watch: Watch) -> None:
    watching = watch(*DEAF, *COMMAND)
    reach(watching, "up_to_date")
    watching.send_signal(signal.SIGINT)
    assert end_of(watching) == (0, "")


@pytest.mark.parametrize(
    "code",
    [
        # While the file is being opened.
        """
from rightfit_client import opening, replica
def opened(*given, **named):
    signal.raise_signal(signal.SIGINT)
    return opening.open_file(*given, **named)
replica.open_file = opened""",
        # When the loop's thread runs already, and whoever started it does not know yet.
        """
start = threading.Thread.start
def started(thread):
    start(thread)
    if thread.name == "rightfit-sync":
        signal.raise_signal(signal.SIGINT)
threading.Thread.start = started""",
    ],
    ids=["opening", "starting"],
)
def test_it_ends_well_wherever_it_is_told(watch: Watch, code: str) -> None:
    assert end_of(watch(*planted(code))) == (0, "")


def test_a_second_signal_ends_it_at_once(watch: Watch) -> None:
    code = """
from rightfit_client import loop
def stuck(_thread):
    print('{"state": "stuck"}', flush=True)
    threading.Event().wait()
loop.LoopThread.stop = stuck"""
    watching = watch(*planted(code))
    reach(watching, "up_to_date")
    watching.send_signal(signal.SIGINT)
    reach(watching, "stuck")
    watching.send_signal(signal.SIGINT)
    assert end_of(watching)[0] == -signal.SIGINT


def test_it_ends_when_nobody_reads_what_it_says(watch: Watch) -> None:
    watching = watch(*COMMAND)
    assert watching.stdout is not None
    watching.stdout.close()
    with killed_in_the_end(watching):
        assert watching.wait() == 1
