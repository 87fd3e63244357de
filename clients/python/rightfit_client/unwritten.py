"""What a transaction has put off: rows of one kind go to SQLite together, when it ends or its tables are read.

An import of ten thousand records is then a few statements rather than fifty thousand; an edit that is acknowledged and
covered by the page of the same answer is never written as acknowledged. Nothing here outlives the transaction.
"""

from collections.abc import Iterable
from zlib import crc32

import msgspec

from rightfit_client.sqlite import sqlite3
from rightfit_sync.outbox import Entry, Shown
from rightfit_sync.store import Key

ROWS_MAX = 500
"""New edits and views that a transaction puts off at most: more are no quicker to write, and crowd the processor's
caches."""

REPLACED_MAX = 2_000
"""Edits that a transaction puts off writing anew at most: most are never written, since they are dropped before."""

_PUT = "INSERT INTO rightfit_outbox (pending, entry, crc, position) VALUES (?, ?, ?, ?)"
_REPLACE = "UPDATE rightfit_outbox SET pending = ?, entry = ?, crc = ? WHERE position = ?"
_encode = msgspec.msgpack.Encoder().encode


class Unwritten:
    """The entries, by their places in the outbox, and the views that one transaction has still to write."""

    def __init__(self) -> None:
        self.appended: dict[int, Entry] = {}
        self.replaced: dict[int, Entry] = {}
        self.shown: dict[Key, Shown] = {}
        self.keys: set[Key] = set()

    def __bool__(self) -> bool:
        return bool(self.appended or self.replaced or self.shown)

    @property
    def is_much(self) -> bool:
        """Whether it is time to write."""
        return len(self.appended) + len(self.shown) >= ROWS_MAX or len(self.replaced) >= REPLACED_MAX

    def append(self, position: int, entry: Entry) -> None:
        """Put off an entry that the table has not."""
        self.appended[position] = entry
        self.keys.add((entry.change.kind, entry.change.entity_id))

    def replace(self, position: int, entry: Entry) -> None:
        """Put off what shall stand in the place of another entry, which may have been put off itself."""
        (self.appended if position in self.appended else self.replaced)[position] = entry

    def drop(self, positions: Iterable[int]) -> None:
        """Forget the entries of these places."""
        for position in positions:
            self.appended.pop(position, None)
            self.replaced.pop(position, None)

    def write_entries(self, connection: sqlite3.Connection) -> None:
        """Write the entries."""
        appended = [_row(*one) for one in self.appended.items()]
        replaced = [_row(*one) for one in self.replaced.items()]
        self.appended.clear()
        self.replaced.clear()
        self.keys.clear()
        if replaced:
            connection.executemany(_REPLACE, replaced)
        if appended:
            connection.executemany(_PUT, appended)

    def clear(self) -> None:
        """Forget everything."""
        for part in (self.appended, self.replaced, self.shown, self.keys):
            part.clear()


def _row(position: int, entry: Entry) -> tuple[bool, bytes, int, int]:
    content = _encode(entry)
    return entry.is_pending, content, crc32(content), position
