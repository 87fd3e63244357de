"""Transactions on the replica's one connection.

`synchronous=FULL`, so that what an outermost transaction wrote survives loss of power once it has returned.
An exception rolls everything back; a nested transaction that wrote and failed dooms the one around it, even
if somebody catches the exception in between. Threads share the connection under one lock, held for a whole
transaction.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rightfit_client.connection import storage_error
from rightfit_client.errors import StorageError
from rightfit_client.sqlite import sqlite3


class UnitOfWork:
    """One connection's transactions.

    `ending` is called before an outermost transaction is committed, to write what is still to be written; `ended`
    under the lock when it is over, with whether it was committed;
    `committed` after it, without the lock, with the kinds whose views changed and whether the outbox grew.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.lock = threading.RLock()
        self.ending: Callable[[], None] | None = None
        self.ended: Callable[[bool], None] | None = None
        self.committed: Callable[[frozenset[str], bool], None] | None = None
        self.changed: set[str] = set()
        self.has_grown = False
        self._depth = 0
        self._is_doomed = False
        self._is_guard_open = False

    @property
    def is_open(self) -> bool:
        """Whether a transaction is under way."""
        return self._depth > 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep other threads from writing, for reads that belong together."""
        with self.lock:
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction, or join the one that is open. Raises `StorageError` where nothing was kept."""
        with self.lock:
            if self._depth:
                with self._joined():
                    yield
                return
            with self._outermost():
                yield
            changed, has_grown = frozenset(self.changed), self.has_grown
            self._end(was_committed=True)
        if self.committed is not None:
            self.committed(changed, has_grown)

    @contextmanager
    def _outermost(self) -> Iterator[None]:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            yield
            self._commit()
        except sqlite3.Error as error:
            self._roll_back()
            raise storage_error(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _commit(self) -> None:
        if self._is_doomed:
            raise StorageError("doomed", "a part of this transaction failed: nothing of it was kept")
        if self.ending is not None:
            self.ending()
        if self._is_guard_open:
            self.connection.execute("UPDATE rightfit_state SET writing = 0")
        self.connection.execute("COMMIT")

    @contextmanager
    def _joined(self) -> Iterator[None]:
        self._depth += 1
        before = self.connection.total_changes
        try:
            yield
        except BaseException:
            self._is_doomed = self._is_doomed or self.connection.total_changes != before
            raise
        finally:
            self._depth -= 1

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors (a full disk, say).
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self._end(was_committed=False)

    def _end(self, *, was_committed: bool) -> None:
        self._depth = 0
        self._is_doomed = self._is_guard_open = self.has_grown = False
        self.changed.clear()
        if self.ended is not None:
            self.ended(was_committed)

    def open_guard(self) -> None:
        """Let the view tables be written until the transaction that is open ends."""
        if not self._is_guard_open:
            self.connection.execute("UPDATE rightfit_state SET writing = 1")
            self._is_guard_open = True
