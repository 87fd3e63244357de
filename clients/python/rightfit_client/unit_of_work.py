"""Transactions on the replica's one connection.

`synchronous=FULL`, so that what an outermost transaction wrote survives loss of power once it has returned.
An exception rolls everything back; a nested transaction that wrote and failed dooms the one around it, even
if somebody catches the exception in between. Threads share the connection under one lock, held for a whole
transaction.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final

from rightfit_client.connection import storage_error
from rightfit_client.errors import StorageError
from rightfit_client.sqlite import sqlite3


class UnitOfWork:
    """One connection's transactions.

    `ending` is called before an outermost transaction is committed or read past the store, to write what was put off
    (`put_off` counts it); `ended` under the lock when it is over, with whether it was committed;
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
        self.put_off = 0
        self.depth = 0
        self._is_doomed = False
        self._is_guard_open = False
        self.transactions: Final = _Transactions(self)

    @property
    def is_open(self) -> bool:
        """Whether a transaction is under way."""
        return self.depth > 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep other threads from writing, for reads that belong together."""
        with self.lock:
            yield

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction, or join the one that is open. Raises `StorageError` where nothing was kept."""
        return self.transactions

    def begin(self) -> None:
        """Begin a transaction; the lock, which is held, is let go where that fails."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self.lock.release()
            if isinstance(error, sqlite3.Error):
                raise storage_error(error) from error
            raise
        self.depth = 1

    def doom(self, before: tuple[int, int]) -> None:
        """Keep nothing where a part that has failed had written since `before`."""
        if (self.connection.total_changes, self.put_off) != before:
            self._is_doomed = True

    def leave(self, *, has_failed: bool) -> None:
        """Commit, or roll back."""
        try:
            if has_failed:
                self._roll_back()
                return
            try:
                self._commit()
            except sqlite3.Error as error:
                self._roll_back()
                raise storage_error(error) from error
            except BaseException:
                self._roll_back()
                raise
            changed, has_grown = frozenset(self.changed), self.has_grown
            self._end(was_committed=True)
        finally:
            self.lock.release()
        if self.committed is not None:
            self.committed(changed, has_grown)

    def flush(self) -> None:
        """Write what was put off, so that whoever reads the tables themselves sees it."""
        if self.depth and self.ending is not None:
            self.ending()

    def _commit(self) -> None:
        if self._is_doomed:
            raise StorageError("doomed", "a part of this transaction failed: nothing of it was kept")
        self.flush()
        self.connection.execute("COMMIT")

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors (a full disk, say).
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self._end(was_committed=False)

    def _end(self, *, was_committed: bool) -> None:
        self.depth = 0
        self._is_doomed = self._is_guard_open = self.has_grown = False
        self.changed.clear()
        if self.ended is not None:
            self.ended(was_committed)

    def answer(self, guards: Iterable[str]) -> None:
        """Give the connection the functions of these names, by which triggers ask whether the guard is open."""
        for name in guards:
            self.connection.create_function(name, 0, lambda: self._is_guard_open)

    def open_guard(self) -> None:
        """Let the view tables be written until the transaction that is open ends."""
        self._is_guard_open = True


class _Transactions:
    """What a `with` block enters: a new transaction, or a part of the one that is open.

    One for all, which remembers where each part began, and in as few calls as can be, since a write enters five parts
    and generators are slow.
    """

    __slots__ = ("_began", "_unit")

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit
        self._began: list[tuple[int, int]] = []

    def __enter__(self) -> None:
        unit = self._unit
        unit.lock.acquire()
        if unit.depth:
            unit.depth += 1
            self._began.append((unit.connection.total_changes, unit.put_off))
        else:
            unit.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unit = self._unit
        if self._began:
            unit.depth -= 1
            before = self._began.pop()
            if kind is not None:
                unit.doom(before)
            unit.lock.release()
            return
        unit.leave(has_failed=kind is not None)
        if isinstance(error, sqlite3.Error):
            raise storage_error(error) from error
