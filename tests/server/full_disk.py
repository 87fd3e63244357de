"""PostgreSQL on a disk that can be full: its programs, started with `full_disk.c` loaded first.

Nobody needs to be root for it, and no other process meets it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).with_name("full_disk.c")
LIBRARY: Final = "full_disk.so"
VARIABLE: Final = "RIGHTFIT_FULL_DISK"


class Disk:
    """A disk on which a folder is full as long as a test says so; `programs` are for `start_postgres`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._flag = folder / "full"
        self.programs = folder / "programs"
        self.programs.mkdir(mode=0o755)
        (self.programs / "initdb").symlink_to(programs / "initdb")
        loaded = f"LD_PRELOAD={shlex.quote(str(folder / LIBRARY))} {VARIABLE}={shlex.quote(str(self._flag))}"
        program = self.programs / "postgres"
        program.write_text(f'#!/bin/sh\n{loaded} exec {shlex.quote(str(programs / "postgres"))} "$@"\n')
        program.chmod(0o755)

    @contextmanager
    def full(self, folder: Path) -> Iterator[None]:
        """Let no file below `folder` grow inside the block."""
        self._flag.write_text(f"{folder.resolve()}/")
        self._flag.chmod(0o644)
        try:
            yield
        finally:
            self._flag.unlink()


def make_disk(folder: Path, programs: Path) -> Disk:
    """Return a disk with room, kept in `folder`, for these programs; skip the test where that cannot be done here."""
    why = "so that no disk can be made to look full"
    if sys.platform != "linux":
        pytest.skip(f"this is not Linux, {why}")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip(f"there is no C compiler here, {why}: install cc (Debian: gcc libc6-dev)")
    probe = [compiler, "-E", "-include", "dlfcn.h", "-x", "c", os.devnull, "-o", os.devnull]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"there is no dlfcn.h here, {why}: install the C library's headers (Debian: libc6-dev)")
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]
    library = folder / LIBRARY
    subprocess.run([compiler, *flags, "-o", library, SOURCE, "-ldl"], check=True)
    library.chmod(0o755)
    return Disk(folder, programs)
