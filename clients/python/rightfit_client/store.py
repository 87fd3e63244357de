"""`SqliteStore`: the core's `Store` on one SQLite file.

The trunk and the outbox are the truth; view tables and conflicts follow from them (`ViewWriter`) and can be
rebuilt at any time. See `unit_of_work` for durability. Rows of the trunk that a transaction has touched are
remembered until it ends, since a page reads back what it has just written.

What is read is held to its checksum: `StorageError("corrupt")` where it is not what was written. An entry whose
mark says otherwise than its content whether it is pending is damaged too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple
from zlib import crc32

import msgspec

from rightfit_client.connection import damaged, storage_error
from rightfit_client.convert import Column
from rightfit_client.facts import as_json, put_state, read_list, read_state
from rightfit_client.sqlite import sqlite3
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_client.unwritten import Unwritten
from rightfit_client.view_writer import ViewWriter
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry, Fold, Shown, view_of
from rightfit_sync.packing import ReadRow, decode_row, encode_read_row, encode_row
from rightfit_sync.store import Key, Rejected, ReplicaState

_ENTRIES_AT_FIRST = 8
_ENTRIES_AT_ONCE = 512
_ENTRIES_REMEMBERED_MAX = 2_048
_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM {})"
_WANTED = "json_each(?) AS wanted CROSS JOIN"


class _ByKey(NamedTuple):
    """One question for one entity, and for many at once (their keys are one JSON parameter)."""

    one: str
    many: str


def _by_key(columns: str, table: str, order: str = "") -> _ByKey:
    one = f"SELECT {columns} FROM {table} AS t WHERE t.kind = ? AND t.entity_id = ?{order}"  # noqa: S608
    many = (
        f"SELECT {columns} FROM {_WANTED} {table} AS t "  # noqa: S608 - all three are words of this module.
        f"WHERE t.kind = wanted.value ->> 0 AND t.entity_id = wanted.value ->> 1{order}"
    )
    return _ByKey(one, many)


_TRUNKS = _by_key("t.row, t.crc", "rightfit_trunk")
_NUMBERS = _by_key("t.kind, t.entity_id, t.seq", "rightfit_trunk")
_ENTRIES = _by_key("t.entry, t.crc, t.position", "rightfit_outbox", " ORDER BY t.position")
_WAITING = "SELECT kind, entity_id FROM rightfit_outbox LIMIT ?"
_EDITED = _by_key("t.kind, t.entity_id", "rightfit_outbox")
_LOST = _by_key("t.kind, t.entity_id, t.device_id, t.counter", "rightfit_lost")

_PUT_TRUNK = """INSERT INTO rightfit_trunk (kind, entity_id, seq, tags, row, crc)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, entity_id) DO UPDATE SET
    seq = excluded.seq, tags = excluded.tags, row = excluded.row, crc = excluded.crc"""
_PUT_NEWER = f"{_PUT_TRUNK} WHERE excluded.seq >= rightfit_trunk.seq"
_PUT_REJECTED = """INSERT INTO rightfit_rejected (device_id, counter, rejected, crc) VALUES (?, ?, ?, ?)
    ON CONFLICT (device_id, counter) DO UPDATE SET rejected = excluded.rejected, crc = excluded.crc"""
_PENDING = """SELECT entry, crc, position FROM rightfit_outbox WHERE position > ? AND pending
    ORDER BY position LIMIT ?"""
_CONFLICTS = """SELECT conflict FROM rightfit_conflict
    WHERE kind = ifnull(?, kind) AND entity_id = ifnull(?, entity_id) ORDER BY kind, entity_id, path, reason"""
_BY_DOT = f"""SELECT t.entry, t.crc, t.position FROM {_WANTED} rightfit_outbox AS t
    WHERE t.device_id = wanted.value ->> 0 AND t.counter = wanted.value ->> 1 ORDER BY t.position"""  # noqa: S608


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
        self._is_shared = is_shared
        self._state: ReplicaState | None = None
        self._rows: dict[Key, Row | None] = {}
        self._known: dict[bytes, Entry] = {}
        self._read: dict[Dot, int] = {}
        self._queues: dict[Key, list[Entry]] = {}
        self._unwritten = Unwritten()
        self._counter_written: int | None = None
        # Only ever doubted in favour of there being some.
        self._has_lost: bool | None = None
        self._has_trunks: bool | None = None
        # Of the transaction that is open: whether the outbox had nothing, once it has been asked, and what came since.
        self._outbox_was_empty: bool | None = None
        self._has_asked = False
        self._put_keys: set[Key] = set()
        self._decode_entry = msgspec.msgpack.Decoder(Entry).decode
        self._encode = msgspec.msgpack.Encoder().encode
        unit.ending = self._write
        unit.ended = self._forget

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction, or join the one that is open. Raises `StorageError` where nothing was kept."""
        return self.unit.transaction()

    def reading(self) -> AbstractContextManager[None]:
        """Keep other threads from writing, for reads that belong together."""
        return self.unit.reading()

    def _forget(self, was_committed: bool) -> None:
        if not was_committed:
            self._state = self._has_lost = self._has_trunks = None
        self._outbox_was_empty, self._has_asked = None, False
        self._put_keys.clear()
        self._rows.clear()
        self._read.clear()
        self._queues.clear()
        self._unwritten.clear()
        self._counter_written = None

    def _write(self) -> None:
        """Write what the transaction has put off."""
        state, written = self._state, self._counter_written
        if state is not None and written is not None and state.counter != written:
            self._connection.execute("UPDATE rightfit_state SET counter = ?", (state.counter,))
            self._counter_written = state.counter
        unwritten = self._unwritten
        if unwritten:
            if unwritten.replaced:
                # What was read before is no longer what the table has.
                self._queues.clear()
            unwritten.write_entries(self._connection)
            if unwritten.shown:
                shown = dict(unwritten.shown)
                unwritten.shown.clear()
                self.unit.open_guard()
                self.views.write(shown, self.trunks(shown.keys()))

    def _is_empty(self, table: str) -> bool:
        return bool(self._as_written(_EMPTY.format(table))[0][0])

    def _all(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Column]]:
        self.unit.flush()
        return self._as_written(sql, params)

    def _as_written(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Column]]:
        """Return what the tables say, whatever is put off."""
        with self.unit.lock:
            try:
                return self._connection.execute(sql, params).fetchall()
            except sqlite3.Error as error:
                raise storage_error(error) from error

    def _keyed(self, question: _ByKey, keys: Collection[Key]) -> list[Sequence[Column]]:
        if len(keys) == 1:
            return self._as_written(question.one, next(iter(keys)))
        return self._as_written(question.many, (as_json(keys),)) if keys else []

    def state(self) -> ReplicaState:
        """Return the replica's state."""
        known = self._state
        if known is None or self._is_shared:
            with self.unit.lock:
                try:
                    known = self._state = read_state(self._connection)
                except sqlite3.Error as error:
                    raise storage_error(error) from error
        return known

    def put_state(self, state: ReplicaState) -> None:
        """Replace the replica's state."""
        with self.transaction():
            former = self._state
            if former is not None and msgspec.structs.replace(former, counter=state.counter) == state:
                if self._counter_written is None:
                    self._counter_written = former.counter
                self.unit.put_off += 1
            else:
                put_state(self._connection, state)
                self._counter_written = state.counter
            self._state = state

    def trunks(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        """Return the trunk rows of those `keys` that there are."""
        known = self._rows
        unknown = [key for key in keys if key not in known]
        found = self._keyed(_TRUNKS, unknown) if unknown and self._may_have_trunks() else ()
        rows = [decode_row(_genuine(blob, crc)) for blob, crc in found]
        fetched = {(row.entity.kind, row.entity.entity_id): row for row in rows}
        if not self.unit.is_open:
            return fetched
        known.update({key: fetched.get(key) for key in unknown})
        return {key: row for key in keys if (row := known[key]) is not None}

    def trunk_tags(self) -> Iterable[tuple[Key, Sequence[str]]]:
        """Return every trunk row's key and tags."""
        rows = self._all("SELECT kind, entity_id, tags FROM rightfit_trunk")
        try:
            return [((str(kind), str(entity_id)), read_list(tags)) for kind, entity_id, tags in rows]
        except msgspec.MsgspecError as error:
            raise damaged(f"the tags of a row of the trunk: {error}") from error

    def _may_have_trunks(self) -> bool:
        if self._has_trunks is None and not self._is_shared:
            self._has_trunks = not self._is_empty("rightfit_trunk")
        return self._has_trunks is not False

    def put_trunks(self, rows: Iterable[Row]) -> None:
        """Insert or replace trunk rows."""
        with self.transaction():
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
        unwritten = self._unwritten
        # Mostly the outbox is short, and read faster than asked for each key.
        waiting = self._as_written(_WAITING, (len(keys) + 1,))
        if len(waiting) > len(keys):
            waiting = self._keyed(_EDITED, keys)
        edited = {(str(kind), str(entity_id)) for kind, entity_id in waiting}
        edited.update(unwritten.keys, unwritten.shown)
        return edited.intersection(keys)

    def put_pulled(self, pulled: Pulled) -> set[Key]:
        """Insert rows of the trunk, or replace older ones, and show them; return whose view may have changed.

        It must be known that nothing but the trunk has a say in what is shown (see `edited`).
        """
        with self.transaction():
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
            self.unit.changed.update(kind for kind, _ in newer)
            self.unit.open_guard()
            self.views.write_columns(columns)
            if others:
                self.views.write({key: view_of(Fold(row.entity)) for key, row in others.items()}, others)
            return newer

    def _not_taken(self, rows: Mapping[Key, ReadRow]) -> set[Key]:
        """Return the keys of rows that are older than what the trunk has."""
        return {
            key
            for kind, entity_id, seq in self._keyed(_NUMBERS, rows)
            if rows[key := (str(kind), str(entity_id))].seq < int(seq or 0)
        }

    def drop_trunks(self, keys: Collection[Key]) -> None:
        """Remove trunk rows."""
        with self.transaction():
            sql = "DELETE FROM rightfit_trunk WHERE kind = ? AND entity_id = ?"
            self._connection.executemany(sql, list(keys))
            self._rows.update(dict.fromkeys(keys))

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the outbox entries of those `keys` that have some, in outbox order."""
        if not self._unwritten.keys.isdisjoint(keys):
            self.unit.flush()
        known, replaced = self._queues, self._unwritten.replaced
        unknown = [key for key in keys if key not in known]
        found: dict[Key, list[Entry]] = {}
        if unknown and self._may_have_entries(unknown):
            for entry in self._read_entries(self._keyed(_ENTRIES, unknown)):
                found.setdefault((entry.change.kind, entry.change.entity_id), []).append(entry)
        if self.unit.is_open:
            known.update({key: found.get(key, []) for key in unknown})
            found = {key: queue for key in keys if (queue := known[key])}
        if not replaced:
            return found
        return {
            key: [replaced.get(entry.change.dot, entry) for entry in queue] for key, queue in found.items()
        }

    def _may_have_entries(self, keys: Collection[Key]) -> bool:
        """Whether the outbox may have entries of `keys`: where it had none, those that were put there since.

        Whether it has any is worth asking for many keys, or for the second time in a transaction.
        """
        if not self.unit.is_open:
            return len(keys) == 1 or not self._is_empty("rightfit_outbox")
        if self._outbox_was_empty is None and (self._has_asked or len(keys) > 1):
            self._outbox_was_empty = self._is_empty("rightfit_outbox")
        self._has_asked = True
        return not self._outbox_was_empty or not self._put_keys.isdisjoint(keys)

    def _read_entries(self, rows: Iterable[Sequence[Column]]) -> list[Entry]:
        """Return the entries of rows of `entry, crc, position` as the tables have them."""
        return [self._read_entry(_genuine(blob, crc), position) for blob, crc, position in rows]

    def _read_entry(self, blob: bytes, position: Column) -> Entry:
        """Return the entry in `blob`: a sync meets the same ones again and again."""
        known = self._known.get(blob)
        if known is None:
            known = self._decode_entry(blob)
            if len(self._known) >= _ENTRIES_REMEMBERED_MAX:
                self._known.clear()
            self._known[blob] = known
        if self.unit.is_open and isinstance(position, int):
            self._read[known.change.dot] = position
        return known

    def _encoded(self, record: Entry | Rejected) -> tuple[bytes, int]:
        blob = self._encode(record)
        return blob, crc32(blob)

    def pending(self) -> Iterable[Entry]:
        """Return the pending outbox entries, in outbox order, lazily."""
        last: Column = 0
        limit = _ENTRIES_AT_FIRST
        while found := self._all(_PENDING, (last, limit)):
            last = found[-1][2]
            limit = _ENTRIES_AT_ONCE
            entries = self._read_entries(found)
            if not all(entry.is_pending for entry in entries):
                raise damaged("an edit that was answered is marked as pending")
            yield from entries

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged outbox entries, in outbox order."""
        if self._unwritten.appended:
            self.unit.flush()
        sql = "SELECT entry, crc, position FROM rightfit_outbox WHERE NOT pending ORDER BY position"
        entries = self._read_entries(self._as_written(sql))
        if any(entry.is_pending for entry in entries):
            raise damaged("a pending edit is marked as answered")
        replaced = self._unwritten.replaced
        if not replaced:
            return entries
        both = {entry.change.dot: entry for entry in entries} | replaced
        answered = [entry for entry in both.values() if not entry.is_pending]
        return sorted(answered, key=lambda entry: self._read[entry.change.dot])

    def entries_by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those outbox entries that have one of these `dots`, in outbox order."""
        if self._unwritten.appended:
            self.unit.flush()
        if not dots:
            return []
        replaced = self._unwritten.replaced
        found = self._read_entries(self._as_written(_BY_DOT, (as_json(dots),)))
        return [replaced.get(entry.change.dot, entry) for entry in found] if replaced else found

    def put_entry(self, entry: Entry) -> None:
        """Append an entry, or replace the one with its dot in place."""
        with self.transaction():
            is_there = entry.change.dot in self._read
            if not is_there:
                self._queues.clear()
            self._unwritten.put(entry, is_there=is_there)
            self._put_keys.add((entry.change.kind, entry.change.entity_id))
            self._put_off(is_edit=entry.is_pending)

    def _put_off(self, *, is_edit: bool = False) -> None:
        self.unit.put_off += 1
        self.unit.has_grown = self.unit.has_grown or is_edit
        if self._unwritten.is_much:
            self._write()

    def drop_entries(self, dots: Collection[Dot]) -> None:
        """Remove entries."""
        with self.transaction():
            self._unwritten.drop(dots)
            self._queues.clear()
            for dot in dots:
                self._read.pop(dot, None)
            sql = "DELETE FROM rightfit_outbox WHERE device_id = ? AND counter = ?"
            self._connection.executemany(sql, [(dot.device_id, dot.counter) for dot in dots])

    def lost(self, keys: Collection[Key]) -> Mapping[Key, frozenset[Dot]]:
        """Return the rejected and void dots of those `keys` that have some. They are kept for ever."""
        found: dict[Key, set[Dot]] = {}
        if self._has_lost is None and not self._is_shared:
            self._has_lost = not self._is_empty("rightfit_lost")
        if self._has_lost is False:
            return {}
        for kind, entity_id, device_id, counter in self._keyed(_LOST, keys):
            found.setdefault((str(kind), str(entity_id)), set()).add(Dot(str(device_id), int(counter or 0)))
        return {key: frozenset(dots) for key, dots in found.items()}

    def put_lost(self, key: Key, dot: Dot) -> None:
        """Remember a rejected or void dot."""
        with self.transaction():
            self._has_lost = True
            row = (*key, dot.device_id, dot.counter)
            self._connection.execute("INSERT OR IGNORE INTO rightfit_lost VALUES (?, ?, ?, ?)", row)

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list, oldest first."""
        found = self._all("SELECT rejected, crc FROM rightfit_rejected ORDER BY position")
        return [msgspec.msgpack.decode(_genuine(blob, crc), type=Rejected) for blob, crc in found]

    def put_rejected(self, rejected: Rejected) -> None:
        """Append to the rejected list."""
        dot = rejected.change.dot
        with self.transaction():
            row = (dot.device_id, dot.counter, *self._encoded(rejected))
            self._connection.execute(_PUT_REJECTED, row)

    def drop_rejected(self, dot: Dot) -> None:
        """Remove one from the rejected list."""
        with self.transaction():
            row = (dot.device_id, dot.counter)
            sql = "DELETE FROM rightfit_rejected WHERE device_id = ? AND counter = ?"
            self._connection.execute(sql, row)

    def put_views(self, views: Mapping[Key, Shown]) -> None:
        """Bring the view tables and the list of conflicts up to date with these entities."""
        with self.transaction():
            self.unit.changed.update({kind for kind, _ in views})
            self._unwritten.shown.update(views)
            self._put_off()

    def count_pending(self) -> int:
        """Return how many changes wait for their receipt."""
        # Few are answered, and an index knows them; the others are not looked at one by one.
        return self._count(
            "SELECT (SELECT count(*) FROM rightfit_outbox) - (SELECT count(*) FROM rightfit_outbox WHERE NOT pending)"
        )

    def count_rejected(self) -> int:
        """Return the length of the rejected list."""
        return self._count("SELECT count(*) FROM rightfit_rejected")

    def count_conflicts(self) -> int:
        """Return how many conflicts are open in the view."""
        return self._count("SELECT count(*) FROM rightfit_conflict")

    def conflicts(self, kind: str | None = None, entity_id: str | None = None) -> list[Conflict]:
        """Return the open conflicts of the view, of all entities or of these."""
        return self._read_conflicts(self._all(_CONFLICTS, (kind, entity_id)))

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one open conflict of the view."""
        sql = "SELECT conflict FROM rightfit_conflict WHERE conflict_id = ?"
        return next(iter(self._read_conflicts(self._all(sql, (conflict_id,)))), None)

    def entity_keys(self) -> list[Key]:
        """Return every entity that trunk or outbox know."""
        sql = "SELECT kind, entity_id FROM rightfit_trunk UNION SELECT kind, entity_id FROM rightfit_outbox"
        return [(str(kind), str(entity_id)) for kind, entity_id in self._all(sql)]

    def _count(self, sql: str) -> int:
        return int(self._all(sql)[0][0] or 0)

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


def _genuine(blob: Column, crc: Column) -> bytes:
    if not isinstance(blob, bytes) or crc32(blob) != crc:
        raise damaged("a row is not what was written")
    return blob
