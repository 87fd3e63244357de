"""Ending servers as a power cut would: SIGKILL, without a word, to every process of them."""

import signal
from pathlib import Path
from typing import Literal, TypeAlias

import psutil

from rightfit_server.demo.stack import Stack

Victim: TypeAlias = Literal["api", "postgres", "both"]

END_SECONDS = 30


def kill_postgres(directory: Path) -> int:
    """Kill the postmaster of an embedded server and all that it has started; return how many were killed.

    The postmaster goes first, or it would notice and begin to recover; its sessions notice its end as well, so
    some may be gone before they are killed.
    """
    data = directory.resolve() / "data"
    postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
    found = [postmaster, *postmaster.children(recursive=True)]
    killed = sum(_is_killed(process) for process in found)
    _, alive = psutil.wait_procs(found[1:], timeout=END_SECONDS)
    assert alive == []
    return killed


def _is_killed(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def kill(stack: Stack, victim: Victim) -> None:
    """Kill the API, all of PostgreSQL, or both, and let what is left of the stack end."""
    if victim != "api":
        assert kill_postgres(stack.directory / "postgres") > 1
    if victim != "postgres":
        stack.send(signal.SIGKILL)
        assert stack.wait() == -signal.SIGKILL
    else:
        stack.end()
