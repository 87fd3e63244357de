"""The files of one simulated phone, and a connection to them that fails when it is told to.

A crash is taken seriously: at the very moment, the files are copied as they are (the database and its write-ahead
log), before anything is rolled back or closed; the app starts again from that copy. A disk that is full is a limit on
the pages of the database, and where the transaction fits in all the same, a log that cannot be written at its commit.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rightfit_client.sqlite import sqlite3
from rightfit_sync.testing.simulation.ports import CrashError, Failure

NAME = "replica.db"
PAGES_MAX = 1_000_000

Disk = Mapping[str, bytes]
"""A copy of the files: their contents by the end of their names."""

_SUFFIXES = ("", "-wal")
_WRITES = ("INSERT", "UPDATE", "DELETE")


def copied(folder: Path) -> Disk:
    """Return the files in `folder` as they are."""
    places = {suffix: folder / f"{NAME}{suffix}" for suffix in _SUFFIXES}
    return {suffix: place.read_bytes() for suffix, place in places.items() if place.exists()}


def laid_down(disk: Disk, folder: Path) -> None:
    """Write the files anew into an empty `folder`."""
    folder.mkdir(parents=True)
    for suffix, content in disk.items():
        (folder / f"{NAME}{suffix}").write_bytes(content)


def removed(folder: Path) -> None:
    """Remove a folder with its files."""
    shutil.rmtree(folder, ignore_errors=True)


class FailingConnection:
    """A connection that counts writes and commits, and fails once as its `failure` says."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._is_full = False
        self.failure: Failure | None = None
        self.left: Disk | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a connection has.
        return getattr(self._connection, name)

    def arm(self, failure: Failure | None) -> None:
        """Let the next write, or transaction, fail; None takes that back."""
        self.failure = failure
        if failure is None:
            self._make_room()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        if self.failure is not None or self._is_full:
            if statement == "COMMIT":
                return self._commit()
            if statement.lstrip().startswith(_WRITES):
                self._write()
        return self._limited(lambda: self._connection.execute(statement, parameters))

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> sqlite3.Cursor:
        """Execute one statement for each of `rows`."""
        if self.failure is not None or self._is_full:
            self._write()
        return self._limited(lambda: self._connection.executemany(statement, rows))

    def _limited(self, execute: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        try:
            return execute()
        except sqlite3.OperationalError:
            # It fails once: whoever tries again finds room.
            self._make_room()
            raise

    def _write(self) -> None:
        if self._is_due("crash"):
            self._die("crash")
        if self._is_due("full"):
            (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            self._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
            self._is_full = True

    def _commit(self) -> sqlite3.Cursor:
        if self._is_full:
            self._make_room()
            raise sqlite3.OperationalError("database or disk is full")
        if self._is_due("before_commit"):
            self._die("before_commit")
        is_last = self._is_due("after_commit")
        done = self._connection.execute("COMMIT")
        if is_last:
            self._die("after_commit")
        return done

    def _is_due(self, how: str) -> bool:
        failure = self.failure
        if failure is None or failure.how != how:
            return False
        self.failure = None if failure.after <= 0 else Failure(how, failure.after - 1)
        return self.failure is None

    def _die(self, how: str) -> None:
        self.left = copied(self._folder)
        raise CrashError(how)

    def _make_room(self) -> None:
        if self._is_full:
            self._is_full = False
            self._connection.execute(f"PRAGMA max_page_count = {PAGES_MAX}").fetchall()
