"""One writer per replica file: a lock on a file beside it.

`flock` goes with the open file: it is released by the kernel when the process ends, however it ends, so that
a kill -9 leaves nothing to clean up. The lock is on a file of its own because closing any other descriptor of
a database file would drop the locks that SQLite holds in this process (https://sqlite.org/howtocorrupt.html,
section 2.2).
"""

import fcntl
import os
from pathlib import Path

from rightfit_client.errors import OpenError, ReplicaInUse

SUFFIX = "-lock"


class FileLock:
    """Held from `__init__` until `release`; raises `ReplicaInUse` where somebody else holds it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + SUFFIX)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"{database} cannot be made or written ({error.strerror}): choose another place"
            raise OpenError("unreachable", message) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip() or "another process"
            os.close(self._descriptor)
            message = (
                f"{database} is open in process {holder}: close it there, or open it with read_only=True"
            )
            raise ReplicaInUse("in_use", message) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go; the file stays, since removing it would let two others lock two different files."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
