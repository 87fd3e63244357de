"""What a transaction has put off: rows of one kind go to SQLite together, when it ends or its tables are read.

An import of ten thousand records is then a few statements rather than fifty thousand; an edit that is acknowledged and
covered by the page of the same answer is never written as acknowledged. Nothing here outlives the transaction.
"""

from collections.abc import Iterable
from zlib import crc32

import msgspec

from rightfit_client.sqlite import sqlite3
from rightfit_sync.causality.dot import Dot
from rightfit_sync.outbox import Entry, Shown
from rightfit_sync.store import Key

ROWS_MAX = 2_000
"""Rows that a transaction puts off at most."""

_PUT = """INSERT INTO rightfit_outbox (device_id, counter, kind, entity_id, pending, entry, crc)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device_id, counter) DO UPDATE SET kind = excluded.kind,
    entity_id = excluded.entity_id, pending = excluded.pending, entry = excluded.entry, crc = excluded.crc"""
_REPLACE = "UPDATE rightfit_outbox SET pending = ?, entry = ?, crc = ? WHERE device_id = ? AND counter = ?"
_encode = msgspec.msgpack.Encoder().encode


class Unwritten:
    """The entries and views that one transaction has still to write."""

    def __init__(self) -> None:
        self.appended: dict[Dot, Entry] = {}
        self.replaced: dict[Dot, Entry] = {}
        self.shown: dict[Key, Shown] = {}
        self.keys: set[Key] = set()

    def __bool__(self) -> bool:
        return bool(self.appended or self.replaced or self.shown)

    @property
    def is_much(self) -> bool:
        """Whether it is time to write."""
        return len(self.appended) + len(self.replaced) + len(self.shown) >= ROWS_MAX

    def put(self, entry: Entry, *, is_there: bool) -> None:
        """Put off an entry; `is_there` says that the table has one with its dot."""
        dot = entry.change.dot
        if is_there:
            self.replaced[dot] = entry
        else:
            self.appended[dot] = entry
            self.keys.add((entry.change.kind, entry.change.entity_id))

    def drop(self, dots: Iterable[Dot]) -> None:
        """Forget the entries with these dots."""
        for dot in dots:
            self.appended.pop(dot, None)
            self.replaced.pop(dot, None)

    def write_entries(self, connection: sqlite3.Connection) -> None:
        """Write the entries."""
        appended, replaced = list(self.appended.values()), list(self.replaced.values())
        self.appended.clear()
        self.replaced.clear()
        self.keys.clear()
        if replaced:
            connection.executemany(_REPLACE, [_replacing(entry) for entry in replaced])
        if appended:
            connection.executemany(_PUT, [_putting(entry) for entry in appended])

    def clear(self) -> None:
        """Forget everything."""
        for part in (self.appended, self.replaced, self.shown, self.keys):
            part.clear()


def _putting(entry: Entry) -> tuple[str, int, str, str, bool, bytes, int]:
    change, content = entry.change, _encode(entry)
    dot = change.dot
    return (
        dot.device_id,
        dot.counter,
        change.kind,
        change.entity_id,
        entry.is_pending,
        content,
        crc32(content),
    )


def _replacing(entry: Entry) -> tuple[bool, bytes, int, str, int]:
    content, dot = _encode(entry), entry.change.dot
    return entry.is_pending, content, crc32(content), dot.device_id, dot.counter
