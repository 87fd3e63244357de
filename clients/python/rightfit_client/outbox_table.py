"""`OutboxTable`: the entries of the outbox in the file, and what is remembered of them.

A transaction puts entries off (`Unwritten`) and finds them all the same. What was read of the table is remembered, as
long as nobody else can write it: a sync meets the same entries when it plans a push, when the receipts come and when
the rows do. An entry whose mark says otherwise than its content whether it is pending is damaged.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from rightfit_client.connection import damaged
from rightfit_client.convert import Column
from rightfit_client.facts import as_json
from rightfit_client.questions import WANTED, Questions, by_key, genuine
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

_ENTRIES = by_key("t.entry, t.crc, t.position", "rightfit_outbox", " ORDER BY t.position")
_WAITING = "SELECT kind, entity_id FROM rightfit_outbox LIMIT ?"
_EDITED = by_key("t.kind, t.entity_id", "rightfit_outbox")
_PENDING = """SELECT entry, crc, position FROM rightfit_outbox WHERE position > ? AND pending
    ORDER BY position LIMIT ?"""
_ANSWERED = "SELECT entry, crc, position FROM rightfit_outbox WHERE NOT pending ORDER BY position"
_BY_DOT = f"""SELECT t.entry, t.crc, t.position FROM {WANTED} rightfit_outbox AS t
    WHERE t.device_id = wanted.value ->> 0 AND t.counter = wanted.value ->> 1 ORDER BY t.position"""  # noqa: S608
_DROP = "DELETE FROM rightfit_outbox WHERE device_id = ? AND counter = ?"
# Few are answered, and an index knows them; the others are not looked at one by one.
_COUNT_PENDING = (
    "SELECT (SELECT count(*) FROM rightfit_outbox) - (SELECT count(*) FROM rightfit_outbox WHERE NOT pending)"
)


class OutboxTable:
    """The outbox of the file that `unit` writes; what a transaction puts off is in `unwritten`.

    `is_shared` says that another process may write the file, too.
    """

    def __init__(self, unit: UnitOfWork, unwritten: Unwritten, *, is_shared: bool) -> None:
        self._unit = unit
        self._unwritten = unwritten
        self._is_shared = is_shared
        self._ask = Questions(unit)
        # Entries as the table has them, and the places of these; the pending ones up to `_gapless` are all among them.
        self._held: dict[int, Entry] = {}
        self._places: dict[Dot, int] = {}
        self._gapless = 0
        self._queues: dict[Key, list[Entry]] = {}
        # Of the transaction that is open: whether the outbox had nothing, once it has been asked, and what came since.
        self._was_empty: bool | None = None
        self._has_asked = False
        self._put_keys: set[Key] = set()
        self._decode = msgspec.msgpack.Decoder(Entry).decode

    def forget(self, *, was_committed: bool) -> None:
        """Forget what was remembered of the transaction that has ended."""
        self._was_empty, self._has_asked = None, False
        self._put_keys.clear()
        self._queues.clear()
        if not was_committed or self._is_shared:
            self._forget_entries()

    def _forget_entries(self) -> None:
        self._held.clear()
        self._places.clear()
        self._gapless = 0

    def write(self) -> None:
        """Write the entries that are put off."""
        unwritten = self._unwritten
        if unwritten.replaced:
            # What was read before is no longer what the table has.
            self._queues.clear()
            self._held.update({self._places[dot]: entry for dot, entry in unwritten.replaced.items()})
        if unwritten.appended or unwritten.replaced:
            self._gapless = 0
        unwritten.write_entries(self._unit.connection)

    def edited(self, keys: Collection[Key]) -> set[Key]:
        """Return those of `keys` that have entries."""
        # Mostly the outbox is short, and read faster than asked for each key.
        waiting = self._ask.as_written(_WAITING, (len(keys) + 1,))
        if len(waiting) > len(keys):
            waiting = self._ask.keyed(_EDITED, keys)
        edited = {(str(kind), str(entity_id)) for kind, entity_id in waiting}
        return (edited | self._unwritten.keys).intersection(keys)

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the entries of those `keys` that have some, in outbox order."""
        with self._unit.lock:
            if not self._unwritten.keys.isdisjoint(keys):
                self._unit.flush()
            known, replaced = self._queues, self._unwritten.replaced
            unknown = [key for key in keys if key not in known]
            found: dict[Key, list[Entry]] = {}
            if unknown and self._may_have(unknown):
                for entry in self._entries(self._ask.keyed(_ENTRIES, unknown)):
                    found.setdefault((entry.change.kind, entry.change.entity_id), []).append(entry)
            if self._unit.is_open:
                known.update({key: found.get(key, []) for key in unknown})
                found = {key: queue for key in keys if (queue := known[key])}
            if not replaced:
                return found
            return {
                key: [replaced.get(entry.change.dot, entry) for entry in queue]
                for key, queue in found.items()
            }

    def _may_have(self, keys: Collection[Key]) -> bool:
        """Whether there may be entries of `keys`: where there were none, those that were put there since.

        Whether there are any is worth asking for many keys, or for the second time in a transaction.
        """
        if not self._unit.is_open:
            return len(keys) == 1 or not self._ask.is_empty("rightfit_outbox")
        if self._was_empty is None and (self._has_asked or len(keys) > 1):
            self._was_empty = self._ask.is_empty("rightfit_outbox")
        self._has_asked = True
        return not self._was_empty or not self._put_keys.isdisjoint(keys)

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
                    self._places[entry.change.dot] = position
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
        return self._ask.count(_COUNT_PENDING)

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
            both = {entry.change.dot: entry for entry in entries} | replaced
            answered = [entry for entry in both.values() if not entry.is_pending]
            return sorted(answered, key=lambda entry: self._places[entry.change.dot])

    def by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those entries that have one of these `dots`, in outbox order."""
        with self._unit.lock:
            if self._unwritten.appended:
                self._unit.flush()
            if not dots:
                return []
            if self._places.keys() >= set(dots):
                found = [self._held[position] for position in sorted({self._places[dot] for dot in dots})]
            else:
                found = self._entries(self._ask.as_written(_BY_DOT, (as_json(dots),)))
            replaced = self._unwritten.replaced
            return [replaced.get(entry.change.dot, entry) for entry in found] if replaced else found

    def put(self, entry: Entry) -> None:
        """Put off appending an entry, or replacing the one with its dot in place; a transaction is open."""
        is_there = entry.change.dot in self._places
        if not is_there:
            self._queues.clear()
        self._unwritten.put(entry, is_there=is_there)
        self._put_keys.add((entry.change.kind, entry.change.entity_id))

    def drop(self, dots: Collection[Dot]) -> None:
        """Remove entries; a transaction is open."""
        self._unwritten.drop(dots)
        self._queues.clear()
        for dot in dots:
            position = self._places.pop(dot, None)
            if position is not None:
                del self._held[position]
        self._unit.connection.executemany(_DROP, [(dot.device_id, dot.counter) for dot in dots])
