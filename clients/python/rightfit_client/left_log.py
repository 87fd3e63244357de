"""The write-ahead log that a process left when it was killed, or when the power went.

SQLite reads it up to the first frame whose checksum is wrong: that is where a commit was under way. But a frame that
was durable and was damaged later looks the same, and SQLite would show an older state without a word, and remove the
log when it is closed. So the log is kept under a second name until it is certain that nothing stands behind its end
(fault F07).

It is also synced before it is read: a killed process may have written a commit and not synced it, and what is seen
again, built upon and sent must be durable (faults F03 and F04 together).
"""

import os
import shutil
from pathlib import Path

from rightfit_client.connection import damaged
from rightfit_client.errors import StorageError
from rightfit_client.pages import hidden_commits

_KEPT = "-wal-kept"


class LeftLog:
    """The log beside the file at `path`, before SQLite opens that: call `check` once it has, else `put_back`."""

    def __init__(self, path: Path) -> None:
        self._file = path
        self._log, self._index, self._kept = _places(path)
        put_back(path)
        self.is_there = self._log.exists() and self._log.stat().st_size > 0
        if self.is_there:
            _sync(self._log)
            try:
                self._kept.hardlink_to(self._log)
            except OSError:
                shutil.copyfile(self._log, self._kept)

    def check(self) -> None:
        """Let the kept log go; raise `StorageError("corrupt")` where SQLite passed over commits that were durable."""
        hidden = hidden_commits(self._file, self._log, self._index) if self.is_there else 0
        if hidden > 1:
            raise damaged(f"its log breaks off before the last {hidden} commits")
        self._kept.unlink(missing_ok=True)


def put_back(path: Path) -> None:
    """Put the log back where SQLite has removed it, in this process or in one that was killed.

    What it had copied into the file is copied again.
    """
    log, index, kept = _places(path)
    if not kept.exists():
        return
    if log.exists() and log.stat().st_size > 0:
        kept.unlink()
        return
    index.unlink(missing_ok=True)
    kept.replace(log)


def _places(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", _KEPT)]


def _sync(log: Path) -> None:
    try:
        descriptor = os.open(log, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        message = (
            f"{log}, which a process left, could not be made durable ({error.strerror}): look at the disk"
        )
        raise StorageError("io_error", message) from error
