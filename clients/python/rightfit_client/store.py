"""`SqliteStore`: the core's `Store` on one SQLite file.

The trunk and the outbox are the truth; view tables and conflicts follow from them (`ViewWriter`) and can be
rebuilt at any time. See `unit_of_work` for durability. Rows of the trunk that a transaction has touched are
remembered until it ends, since a page reads back what it has just written.

What is read is held to its checksum (`questions`). The outbox has a module of its own (`OutboxTable`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple
from zlib import crc32

import msgspec
from msgspec.structs import replace

from rightfit_client.connection import damaged, storage_error
from rightfit_client.convert import Column
from rightfit_client.facts import as_json, put_state, read_list, read_state
from rightfit_client.outbox_table import OutboxTable
from rightfit_client.questions import Questions, by_key, genuine
from rightfit_client.sqlite import sqlite3
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_client.unwritten import Unwritten
from rightfit_client.view_writer import ViewWriter
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry, Fold, Shown, view_of
from rightfit_sync.packing import ReadRow, decode_parts, decode_row, encode_read_row, encode_row
from rightfit_sync.state import State
from rightfit_sync.store import Key, Rejected, ReplicaState

_TRUNKS = by_key("t.row, t.crc", "rightfit_trunk")
_NUMBERS = by_key("t.kind, t.entity_id, t.seq", "rightfit_trunk")
_LOST = by_key("t.kind, t.entity_id, t.device_id, t.counter", "rightfit_lost")

_PUT_TRUNK = """INSERT INTO rightfit_trunk (kind, entity_id, seq, tags, row, crc)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, entity_id) DO UPDATE SET
    seq = excluded.seq, tags = excluded.tags, row = excluded.row, crc = excluded.crc"""
_PUT_NEWER = f"{_PUT_TRUNK} WHERE excluded.seq >= rightfit_trunk.seq"
_PUT_REJECTED = """INSERT INTO rightfit_rejected (device_id, counter, rejected, crc) VALUES (?, ?, ?, ?)
    ON CONFLICT (device_id, counter) DO UPDATE SET rejected = excluded.rejected, crc = excluded.crc"""
_CONFLICTS = """SELECT conflict FROM rightfit_conflict
    WHERE kind = ifnull(?, kind) AND entity_id = ifnull(?, entity_id) ORDER BY kind, entity_id, path, reason"""


class Pulled(NamedTuple):
    """Rows of a page: all of them, the columns of those that are in no dispute, by kind, and all others whole."""

    rows: Mapping[Key, ReadRow]
    columns: dict[str, list[Sequence[Column]]]
    others: dict[Key, Row]


class SqliteStore:
    """`is_shared` says that another process may write the file: then nothing is remembered between reads."""

    def __init__(self, unit: UnitOfWork, views: ViewWriter, *, is_shared: bool = False) -> None:
        self.unit = unit
        self.views = views
        self._connection = unit.connection
        self._transactions = unit.transactions
        self._is_shared = is_shared
        self._state: ReplicaState | None = None
        self._rows: dict[Key, Row | None] = {}
        self._unwritten = Unwritten()
        self._outbox = OutboxTable(unit, self._unwritten, is_shared=is_shared)
        self._ask = Questions(unit)
        # What its own row says, where that is known: the last entry of the outbox tells a later one.
        self._counter_written: int | None = None
        # Only ever doubted in favour of there being some.
        self._has_lost: bool | None = None
        self._has_trunks: bool | None = None
        self._encode = msgspec.msgpack.Encoder().encode
        unit.ending = self._write
        unit.ended = self._forget

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction, or join the one that is open. Raises `StorageError` where nothing was kept."""
        return self._transactions

    def reading(self) -> AbstractContextManager[None]:
        """Keep other threads from writing, for reads that belong together."""
        return self.unit.reading()

    def _forget(self, was_committed: bool) -> None:
        if not was_committed:
            self._state = self._has_lost = self._has_trunks = self._counter_written = None
        self._outbox.forget(was_committed=was_committed)
        self._rows.clear()
        self._unwritten.clear()

    def _write(self) -> None:
        """Write what the transaction has put off."""
        state = self._state
        if state is not None and state.counter != self._counter_written and not self._is_told(state):
            self._connection.execute("UPDATE rightfit_state SET counter = ?", (state.counter,))
            self._counter_written = state.counter
        unwritten = self._unwritten
        if unwritten:
            self._outbox.write()
            if unwritten.shown:
                shown = dict(unwritten.shown)
                unwritten.shown.clear()
                self.unit.open_guard()
                self.views.write(shown, self.trunks(shown.keys()))

    def _is_told(self, state: ReplicaState) -> bool:
        """Whether the last entry of the outbox tells the counter."""
        return self._outbox.ends_with(Dot(state.device_id, state.counter))

    def state(self) -> ReplicaState:
        """Return the replica's state."""
        known = self._state
        if known is None or self._is_shared:
            with self.unit.lock:
                try:
                    known = read_state(self._connection)
                except sqlite3.Error as error:
                    raise storage_error(error) from error
                self._counter_written = known.counter
                newest = self._outbox.newest()
                if newest is not None and newest.device_id == known.device_id:
                    known = replace(known, counter=max(known.counter, newest.counter))
                self._state = known
        return known

    def put_state(self, state: ReplicaState) -> None:
        """Replace the replica's state."""
        with self._transactions:
            former = self._state
            if former is not None and replace(former, counter=state.counter) == state:
                self.unit.put_off += 1
            else:
                put_state(self._connection, state)
                self._counter_written = state.counter
            self._state = state

    def trunks(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        """Return the trunk rows of those `keys` that there are."""
        if not self._may_have_trunks():
            return {}
        known = self._rows
        unknown = [key for key in keys if key not in known]
        found = self._ask.keyed(_TRUNKS, unknown) if unknown else ()
        rows = [decode_row(genuine(blob, crc)) for blob, crc in found]
        fetched = {(row.entity.kind, row.entity.entity_id): row for row in rows}
        if not self.unit.is_open:
            return fetched
        known.update({key: fetched.get(key) for key in unknown})
        return {key: row for key in keys if (row := known[key]) is not None}

    def states(self, keys: Collection[Key]) -> Mapping[Key, State]:
        """Return the states of those trunk rows of `keys` that there are."""
        if not self._may_have_trunks():
            return {}
        rows = [decode_parts(genuine(blob, crc)) for blob, crc in self._ask.keyed(_TRUNKS, keys)]
        found = {(state.kind, entity_id): state for entity_id, state in rows}
        if self.unit.is_open:
            self._rows.update({key: None for key in keys if key not in found})
        return found

    def trunk_tags(self) -> Iterable[tuple[Key, Sequence[str]]]:
        """Return every trunk row's key and tags."""
        rows = self._ask.all("SELECT kind, entity_id, tags FROM rightfit_trunk")
        try:
            return [((str(kind), str(entity_id)), read_list(tags)) for kind, entity_id, tags in rows]
        except msgspec.MsgspecError as error:
            raise damaged(f"the tags of a row of the trunk: {error}") from error

    def _may_have_trunks(self) -> bool:
        if self._has_trunks is None and not self._is_shared:
            self._has_trunks = not self._ask.is_empty("rightfit_trunk")
        return self._has_trunks is not False

    def put_trunks(self, rows: Iterable[Row]) -> None:
        """Insert or replace trunk rows."""
        with self._transactions:
            taken = {(row.entity.kind, row.entity.entity_id): row for row in rows}
            blobs = [encode_row(row) for row in taken.values()]
            columns = [
                (*key, row.seq, as_json(row.tags), blob, crc32(blob))
                for (key, row), blob in zip(taken.items(), blobs, strict=True)
            ]
            self._connection.executemany(_PUT_TRUNK, columns)
            self._has_trunks = None
            self._rows.update(taken)

    def edited(self, keys: Collection[Key]) -> set[Key]:
        """Return those of `keys` that not only the trunk has a say in: an edit waits, or a view is put off."""
        return self._outbox.edited(keys) | self._unwritten.shown.keys() & set(keys)

    @property
    def put_off_views(self) -> set[Key]:
        """The entities whose view is put off."""
        return set(self._unwritten.shown)

    def put_pulled(self, pulled: Pulled) -> set[Key]:
        """Insert rows of the trunk, or replace older ones, and show them; return those that were not older.

        It must be known that nothing but the trunk has a say in what is shown (see `edited`).
        """
        with self._transactions:
            rows, columns, others = pulled
            cursor = self._connection.executemany(_PUT_NEWER, _trunk_columns(rows))
            newer = set(rows)
            if cursor.rowcount != len(rows):
                newer -= self._not_taken(rows)
                others = {key: row for key, row in others.items() if key in newer}
                columns = {
                    kind: [row for row in found if (kind, row[0]) in newer] for kind, found in columns.items()
                }
            self._rows.clear()
            self._has_trunks = None
            # Rows that are shown already are among neither, and nobody need look at their view again.
            self.unit.changed.update(columns, (kind for kind, _ in others))
            self.unit.open_guard()
            self.views.write_columns(columns)
            if others:
                self.views.write({key: view_of(Fold(row.entity)) for key, row in others.items()}, others)
            return newer

    def _not_taken(self, rows: Mapping[Key, ReadRow]) -> set[Key]:
        """Return the keys of rows that are older than what the trunk has."""
        return {
            key
            for kind, entity_id, seq in self._ask.keyed(_NUMBERS, rows)
            if rows[key := (str(kind), str(entity_id))].seq < int(seq or 0)
        }

    def drop_trunks(self, keys: Collection[Key]) -> None:
        """Remove trunk rows."""
        with self._transactions:
            sql = "DELETE FROM rightfit_trunk WHERE kind = ? AND entity_id = ?"
            self._connection.executemany(sql, list(keys))
            self._rows.update(dict.fromkeys(keys))

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the outbox entries of those `keys` that have some, in outbox order."""
        return self._outbox.entries(keys)

    def _encoded(self, record: Entry | Rejected) -> tuple[bytes, int]:
        blob = self._encode(record)
        return blob, crc32(blob)

    def pending(self) -> Iterable[Entry]:
        """Return the pending outbox entries, in outbox order, lazily."""
        return self._outbox.pending()

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged outbox entries, in outbox order."""
        return self._outbox.acknowledged()

    def entries_by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those outbox entries that have one of these `dots`, in outbox order."""
        return self._outbox.by_dot(dots)

    def put_entry(self, entry: Entry) -> None:
        """Append an entry, or replace the one with its dot in place."""
        with self._transactions:
            self._outbox.put(entry)
            self._put_off(is_edit=entry.is_pending)

    def _put_off(self, *, is_edit: bool = False) -> None:
        self.unit.put_off += 1
        self.unit.has_grown = self.unit.has_grown or is_edit
        if self._unwritten.is_much:
            self._write()

    def drop_entries(self, dots: Collection[Dot]) -> None:
        """Remove entries."""
        with self._transactions:
            self._outbox.drop(dots)

    def lost(self, keys: Collection[Key]) -> Mapping[Key, frozenset[Dot]]:
        """Return the rejected and void dots of those `keys` that have some. They are kept for ever."""
        found: dict[Key, set[Dot]] = {}
        if self._has_lost is None and not self._is_shared:
            self._has_lost = not self._ask.is_empty("rightfit_lost")
        if self._has_lost is False:
            return {}
        for kind, entity_id, device_id, counter in self._ask.keyed(_LOST, keys):
            found.setdefault((str(kind), str(entity_id)), set()).add(Dot(str(device_id), int(counter or 0)))
        return {key: frozenset(dots) for key, dots in found.items()}

    def put_lost(self, key: Key, dot: Dot) -> None:
        """Remember a rejected or void dot."""
        with self._transactions:
            self._has_lost = True
            row = (*key, dot.device_id, dot.counter)
            self._connection.execute("INSERT OR IGNORE INTO rightfit_lost VALUES (?, ?, ?, ?)", row)

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list, oldest first."""
        found = self._ask.all("SELECT rejected, crc FROM rightfit_rejected ORDER BY position")
        return [msgspec.msgpack.decode(genuine(blob, crc), type=Rejected) for blob, crc in found]

    def put_rejected(self, rejected: Rejected) -> None:
        """Append to the rejected list."""
        dot = rejected.change.dot
        with self._transactions:
            row = (dot.device_id, dot.counter, *self._encoded(rejected))
            self._connection.execute(_PUT_REJECTED, row)

    def drop_rejected(self, dot: Dot) -> None:
        """Remove one from the rejected list."""
        with self._transactions:
            row = (dot.device_id, dot.counter)
            sql = "DELETE FROM rightfit_rejected WHERE device_id = ? AND counter = ?"
            self._connection.execute(sql, row)

    def put_views(self, views: Mapping[Key, Shown]) -> None:
        """Bring the view tables and the list of conflicts up to date with these entities."""
        with self._transactions:
            self.unit.changed.update({kind for kind, _ in views})
            self._unwritten.shown.update(views)
            self._put_off()

    def count_pending(self) -> int:
        """Return how many changes wait for their receipt."""
        return self._outbox.count_pending()

    def count_rejected(self) -> int:
        """Return the length of the rejected list."""
        return self._ask.count("SELECT count(*) FROM rightfit_rejected")

    def count_conflicts(self) -> int:
        """Return how many conflicts are open in the view."""
        return self._ask.count("SELECT count(*) FROM rightfit_conflict")

    def conflicts(self, kind: str | None = None, entity_id: str | None = None) -> list[Conflict]:
        """Return the open conflicts of the view, of all entities or of these."""
        return self._read_conflicts(self._ask.all(_CONFLICTS, (kind, entity_id)))

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one open conflict of the view."""
        sql = "SELECT conflict FROM rightfit_conflict WHERE conflict_id = ?"
        return next(iter(self._read_conflicts(self._ask.all(sql, (conflict_id,)))), None)

    def entity_keys(self) -> list[Key]:
        """Return every entity that trunk or outbox know."""
        with self.unit.lock:
            rows = self._ask.all("SELECT kind, entity_id FROM rightfit_trunk ORDER BY kind, entity_id")
            known = dict.fromkeys((str(kind), str(entity_id)) for kind, entity_id in rows)
            return [*(known | dict.fromkeys(self._outbox.keys()))]

    def _read_conflicts(self, rows: Iterable[Sequence[Column]]) -> list[Conflict]:
        return [msgspec.msgpack.decode(blob, type=Conflict) for (blob,) in rows if isinstance(blob, bytes)]


def _trunk_columns(rows: Mapping[Key, ReadRow]) -> Iterator[tuple[Column, ...]]:
    """Yield the columns of rows of the trunk; most of them have the very tags of the one before."""
    tags: Sequence[str] = ()
    as_text = as_json(tags)
    for (kind, entity_id), row in rows.items():
        if row.tags is not tags:
            tags, as_text = row.tags, as_json(row.tags)
        blob = encode_read_row(row)
        yield kind, entity_id, row.seq, as_text, blob, crc32(blob)
