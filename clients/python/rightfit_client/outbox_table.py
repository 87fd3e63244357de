"""`OutboxTable`: the entries of the outbox in the file, and what is remembered of them.

A transaction puts entries off (`Unwritten`) and finds them all the same. What was read of the table is remembered, as
long as nobody else can write it: a sync meets the same entries when it plans a push, when the receipts come and when
the rows do. An entry whose mark says otherwise than its content whether it is pending is damaged.
"""

from collections.abc import Collection, Iterable, KeysView, Mapping, Sequence

import msgspec

from rightfit_client.connection import damaged
from rightfit_client.convert import Column
from rightfit_client.facts import as_json
from rightfit_client.outbox_places import Places
from rightfit_client.questions import WANTED, Questions, genuine
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_client.unwritten import Unwritten
from rightfit_sync.causality.dot import Dot
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX
from rightfit_sync.outbox import Entry
from rightfit_sync.store import Key

_ENTRIES_AT_FIRST = 8
_ENTRIES_AT_ONCE = 512
_ENTRIES_REMEMBERED_MAX = 3 * CHANGES_PER_PUSH_MAX
"""Those of a push whose answer is being taken in, of the one that is on its way, and of the one that is planned."""

_WHOLE = "SELECT entry, crc, position FROM rightfit_outbox ORDER BY position"
_AT = "SELECT entry, crc, position FROM rightfit_outbox WHERE position = ?"
_AT_EACH = f"""SELECT t.entry, t.crc, t.position FROM {WANTED} rightfit_outbox AS t
    WHERE t.position = wanted.value"""  # noqa: S608 - both are words of ours.
_NEWEST = "SELECT entry, crc FROM rightfit_outbox ORDER BY position DESC LIMIT 1"
_PENDING = """SELECT entry, crc, position FROM rightfit_outbox WHERE position > ? AND pending
    ORDER BY position LIMIT ?"""
_ANSWERED = "SELECT entry, crc, position FROM rightfit_outbox WHERE NOT pending ORDER BY position"
_DROP = "DELETE FROM rightfit_outbox WHERE position = ?"
_COUNT = "SELECT count(*) FROM rightfit_outbox"
_COUNT_ANSWERED = "SELECT count(*) FROM rightfit_outbox WHERE NOT pending"


class _Name(msgspec.Struct, frozen=True):
    """Of a change, which one it is and of what."""

    dot: Dot
    kind: str
    entity_id: str


class _Named(msgspec.Struct, frozen=True):
    """Of an entry, the name of its change; the rest is passed over."""

    change: _Name


class OutboxTable:
    """The outbox of the file that `unit` writes; what a transaction puts off is in `unwritten`.

    `is_shared` says that another process may write the file, too.
    """

    def __init__(self, unit: UnitOfWork, unwritten: Unwritten, *, is_shared: bool) -> None:
        self._unit = unit
        self._unwritten = unwritten
        self._is_shared = is_shared
        self._ask = Questions(unit)
        # Entries as the table has them, by their places; the pending ones up to `_gapless` are all among them.
        self._held: dict[int, Entry] = {}
        self._gapless = 0
        self._queues: dict[Key, list[Entry]] = {}
        # Where all entries stand, those that are put off included, once somebody has asked.
        self._places: Places | None = None
        self._places_version: Column = None
        # The dot of the last entry, where it was put by us; whether the transaction that is open has moved any.
        self._newest: Dot | None = None
        self._has_moved = False
        self._decode = msgspec.msgpack.Decoder(Entry).decode
        self._decode_name = msgspec.msgpack.Decoder(_Named).decode

    def forget(self, *, was_committed: bool) -> None:
        """Forget what was remembered of the transaction that has ended."""
        if self._has_moved and not was_committed:
            self._places = self._newest = None
        self._has_moved = False
        self._queues.clear()
        if not was_committed or self._is_shared:
            self._forget_entries()

    def _forget_entries(self) -> None:
        self._held.clear()
        self._gapless = 0

    def write(self) -> None:
        """Write the entries that are put off."""
        unwritten = self._unwritten
        if unwritten.replaced:
            self._held.update(unwritten.replaced)
        if unwritten.appended or unwritten.replaced:
            self._gapless = 0
        unwritten.write_entries(self._unit.connection)

    def newest(self) -> Dot | None:
        """Return the dot of the last entry that the table has."""
        rows = self._ask.as_written(_NEWEST)
        return self._decode_name(genuine(*rows[0])).change.dot if rows else None

    def ends_with(self, dot: Dot) -> bool:
        """Whether the last entry is known to have this dot."""
        return self._newest == dot

    def _placed(self) -> Places:
        """Return where all entries stand."""
        if self._is_shared:
            ((version,),) = self._ask.as_written("PRAGMA data_version")
            if version != self._places_version:
                self._places, self._places_version = None, version
        if self._places is None:
            places = Places()
            for blob, crc, position in self._ask.each(_WHOLE):
                change = self._decode_name(genuine(blob, crc)).change
                places.place(int(position or 0), change.dot, (change.kind, change.entity_id))
            self._places = places
        return self._places

    def keys(self) -> KeysView[Key]:
        """Return the entities that have entries."""
        return self._placed().keys()

    def edited(self, keys: Collection[Key]) -> set[Key]:
        """Return those of `keys` that have entries."""
        return self.keys() & set(keys)

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the entries of those `keys` that have some, in outbox order."""
        with self._unit.lock:
            if not self._placed().has_any(keys):
                return {}
            if not self._unwritten.keys.isdisjoint(keys):
                self._unit.flush()
            known = self._queues
            unknown = [key for key in keys if key not in known]
            found: dict[Key, list[Entry]] = {}
            if unknown:
                for entry in self._at(self._placed().of(unknown)):
                    found.setdefault((entry.change.kind, entry.change.entity_id), []).append(entry)
            if self._unit.is_open:
                known.update({key: found.get(key, []) for key in unknown})
                found = {key: queue for key in keys if (queue := known[key])}
            return found

    def _at(self, positions: Sequence[int]) -> list[Entry]:
        """Return the entries at these places, which are in order, as the transaction leaves them; the lock is held."""
        held, replaced = self._held, self._unwritten.replaced
        if not all(position in held for position in positions):
            rows = self._rows_at(positions)
            positions = [int(row[2] or 0) for row in rows]
            found = self._entries(rows)
        else:
            found = [held[position] for position in positions]
        if not replaced:
            return found
        return [replaced.get(position, entry) for position, entry in zip(positions, found, strict=True)]

    def _rows_at(self, positions: Sequence[int]) -> Sequence[Sequence[Column]]:
        if len(positions) == 1:
            return self._ask.as_written(_AT, positions)
        rows = self._ask.as_written(_AT_EACH, (as_json(positions),))
        return sorted(rows, key=lambda row: int(row[2] or 0))

    def _entries(self, rows: Iterable[Sequence[Column]]) -> list[Entry]:
        """Return the entries of rows of `entry, crc, position` as the table has them; the lock is held."""
        if len(self._held) >= _ENTRIES_REMEMBERED_MAX and not self._unit.is_open:
            self._forget_entries()
        held, remembers = self._held, self._remembers
        entries = []
        for blob, crc, column in rows:
            position = int(column or 0)
            entry = held.get(position)
            if entry is None:
                entry = self._decode(genuine(blob, crc))
                if remembers:
                    held[position] = entry
            entries.append(entry)
        return entries

    @property
    def _remembers(self) -> bool:
        """Whether the table stays as it is read."""
        return self._unit.is_open or not self._is_shared

    def pending(self) -> Iterable[Entry]:
        """Return the pending entries, in outbox order, lazily."""
        last, entries = self._pending_at_hand()
        yield from entries
        limit = _ENTRIES_AT_FIRST
        while found := self._pending_after(last, limit):
            last, entries = found
            yield from entries
            limit = _ENTRIES_AT_ONCE

    def _pending_at_hand(self) -> tuple[int, Sequence[Entry]]:
        """Return the first pending entries, as far as they are remembered, and up to which place that is."""
        with self._unit.lock:
            self._unit.flush()
            positions = sorted(position for position in self._held if position <= self._gapless)
            entries = [self._held[position] for position in positions]
            return self._gapless, [entry for entry in entries if entry.is_pending]

    def _pending_after(self, last: int, limit: int) -> tuple[int, Sequence[Entry]] | None:
        """Return the pending entries that follow the place `last`, and up to which place that is; None at the end."""
        with self._unit.lock:
            rows = self._ask.all(_PENDING, (last, limit))
            entries = self._entries(rows)
            if not all(entry.is_pending for entry in entries):
                raise damaged("an edit that was answered is marked as pending")
            if not rows:
                return None
            end = int(rows[-1][2] or 0)
            if last == self._gapless and self._remembers:
                self._gapless = end
            return end, entries

    def count_pending(self) -> int:
        """Return how many are pending."""
        with self._unit.lock:
            # Few are answered, and an index knows them; the others are counted where that takes no look at each.
            answered, places = self._ask.count(_COUNT_ANSWERED), None if self._is_shared else self._places
            return (self._ask.count(_COUNT) if places is None else len(places)) - answered

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged entries, in outbox order."""
        with self._unit.lock:
            if self._unwritten.appended:
                self._unit.flush()
            entries = self._entries(self._ask.as_written(_ANSWERED))
            if any(entry.is_pending for entry in entries):
                raise damaged("a pending edit is marked as answered")
            replaced = self._unwritten.replaced
            if not replaced:
                return entries
            find = self._placed().find
            both = {find(entry.change.dot) or 0: entry for entry in entries} | replaced
            return [entry for _, entry in sorted(both.items()) if not entry.is_pending]

    def by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those entries that have one of these `dots`, in outbox order."""
        with self._unit.lock:
            if self._unwritten.appended:
                self._unit.flush()
            return self._at(self._found(dots))

    def _found(self, dots: Iterable[Dot]) -> list[int]:
        """Return the places of the entries with these dots, in order."""
        find = self._placed().find
        return sorted({position for dot in dots if (position := find(dot)) is not None})

    def put(self, entry: Entry) -> None:
        """Put off appending an entry, or replacing the one with its dot in place; a transaction is open."""
        change, places = entry.change, self._placed()
        key = change.kind, change.entity_id
        position = places.find(change.dot)
        self._queues.pop(key, None)
        if position is None:
            position = places.append(change.dot, key)
            self._newest, self._has_moved = change.dot, True
            self._unwritten.append(position, entry)
        else:
            self._unwritten.replace(position, entry)

    def drop(self, dots: Collection[Dot]) -> None:
        """Remove entries; a transaction is open."""
        places, positions = self._placed(), self._found(dots)
        self._unwritten.drop(positions)
        self._newest, self._has_moved = None, True
        for position in positions:
            self._queues.pop(places.remove(position), None)
            self._held.pop(position, None)
        self._unit.connection.executemany(_DROP, [(position,) for position in positions])
