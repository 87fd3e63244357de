"""Playing the scripted history on the SQLite that the SDK uses, with the recording VFS below it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from rightfit_client.sqlite import sqlite3

SOURCE: Final = Path(__file__).with_name("recording_vfs.c")
CHECKOUT: Final = Path(__file__).parents[2]
HEADER: Final = "sqlite3ext.h"
AS_OPENED: Final = "as_opened"
"""In place of a `PRAGMA synchronous`: what the SDK has chosen."""
VARIABLE: Final = "RIGHTFIT_DISK_LOG"
NAME: Final = "replica.db"
WHOLE: Final = ("first", "second")
"""The parts of the history that are one device's life, in order."""


def build(folder: Path) -> Path:
    """Compile the recording VFS into `folder`; skip the test where that cannot be done here."""
    why = "so that nothing records what SQLite asks of the disk"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip(f"there is no C compiler here, {why}: install cc (Debian: gcc libc6-dev)")
    probe = [compiler, "-E", "-include", HEADER, "-x", "c", os.devnull, "-o", os.devnull]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {HEADER} here, {why}: install SQLite's headers (Debian: libsqlite3-dev)")
    made = folder / "recording_vfs.so"
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", made, SOURCE], check=True)
    return made


def load(extension: Path) -> None:
    """Let all that this process opens from now on with the SDK's SQLite go through the recording VFS."""
    connection = sqlite3.connect(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(str(extension))
    connection.close()


def record(extension: Path, folder: Path, parts: Iterable[str], synchronous: str = AS_OPENED) -> Path:
    """Play these parts of the history in `folder`, each in a process of its own, and return the log.

    They go on from the replica and the log that are in `folder`.
    """
    log = folder / "log"
    log.touch()
    for part in parts:
        command = [sys.executable, "-m", "tests.crash.history", part]
        command += [str(extension), str(folder / NAME), str(log), synchronous]
        subprocess.run(command, cwd=CHECKOUT, env={**os.environ, VARIABLE: str(log)}, check=True)
    return log
