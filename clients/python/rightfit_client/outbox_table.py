"""`OutboxTable`: the entries of the outbox in the file, and what is remembered of them.

A transaction puts entries off (`Unwritten`) and finds them all the same. What it has read of the table it remembers
until it ends; what an entry's bytes say is remembered for longer, since a sync meets the same ones again and again. An
entry whose mark says otherwise than its content whether it is pending is damaged.
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
from rightfit_sync.outbox import Entry
from rightfit_sync.store import Key

_ENTRIES_AT_FIRST = 8
_ENTRIES_AT_ONCE = 512
_ENTRIES_REMEMBERED_MAX = 2_048

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
    """The outbox of the file that `unit` writes; what a transaction puts off is in `unwritten`."""

    def __init__(self, unit: UnitOfWork, unwritten: Unwritten) -> None:
        self._unit = unit
        self._unwritten = unwritten
        self._ask = Questions(unit)
        self._known: dict[bytes, Entry] = {}
        self._read: dict[Dot, int] = {}
        self._queues: dict[Key, list[Entry]] = {}
        # Of the transaction that is open: whether the outbox had nothing, once it has been asked, and what came since.
        self._was_empty: bool | None = None
        self._has_asked = False
        self._put_keys: set[Key] = set()
        self._decode = msgspec.msgpack.Decoder(Entry).decode

    def forget(self) -> None:
        """Forget what was remembered of the transaction that has ended."""
        self._was_empty, self._has_asked = None, False
        self._put_keys.clear()
        self._read.clear()
        self._queues.clear()

    def write(self) -> None:
        """Write the entries that are put off."""
        if self._unwritten.replaced:
            # What was read before is no longer what the table has.
            self._queues.clear()
        self._unwritten.write_entries(self._unit.connection)

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
            key: [replaced.get(entry.change.dot, entry) for entry in queue] for key, queue in found.items()
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
        """Return the entries of rows of `entry, crc, position` as the table has them."""
        return [self._entry(genuine(blob, crc), position) for blob, crc, position in rows]

    def _entry(self, blob: bytes, position: Column) -> Entry:
        """Return the entry in `blob`: a sync meets the same ones again and again."""
        known = self._known.get(blob)
        if known is None:
            known = self._decode(blob)
            if len(self._known) >= _ENTRIES_REMEMBERED_MAX:
                self._known.clear()
            self._known[blob] = known
        if self._unit.is_open and isinstance(position, int):
            self._read[known.change.dot] = position
        return known

    def pending(self) -> Iterable[Entry]:
        """Return the pending entries, in outbox order, lazily."""
        last: Column = 0
        limit = _ENTRIES_AT_FIRST
        while found := self._ask.all(_PENDING, (last, limit)):
            last = found[-1][2]
            limit = _ENTRIES_AT_ONCE
            entries = self._entries(found)
            if not all(entry.is_pending for entry in entries):
                raise damaged("an edit that was answered is marked as pending")
            yield from entries

    def count_pending(self) -> int:
        """Return how many are pending."""
        return self._ask.count(_COUNT_PENDING)

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged entries, in outbox order."""
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
        return sorted(answered, key=lambda entry: self._read[entry.change.dot])

    def by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those entries that have one of these `dots`, in outbox order."""
        if self._unwritten.appended:
            self._unit.flush()
        if not dots:
            return []
        replaced = self._unwritten.replaced
        found = self._entries(self._ask.as_written(_BY_DOT, (as_json(dots),)))
        return [replaced.get(entry.change.dot, entry) for entry in found] if replaced else found

    def put(self, entry: Entry) -> None:
        """Put off appending an entry, or replacing the one with its dot in place; a transaction is open."""
        is_there = entry.change.dot in self._read
        if not is_there:
            self._queues.clear()
        self._unwritten.put(entry, is_there=is_there)
        self._put_keys.add((entry.change.kind, entry.change.entity_id))

    def drop(self, dots: Collection[Dot]) -> None:
        """Remove entries; a transaction is open."""
        self._unwritten.drop(dots)
        self._queues.clear()
        for dot in dots:
            self._read.pop(dot, None)
        self._unit.connection.executemany(_DROP, [(dot.device_id, dot.counter) for dot in dots])
