"""`MemoryStore`: a replica's store in memory, the reference implementation of `rightfit_sync.store.Store`.

Durable as long as the object lives: an exception inside the outermost `transaction()` takes back all that was
written in it. `copy()` is what a backup or a cloned disk would hold. `views` is what an app would query.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from rightfit_sync.causality.dot import Dot
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry, Shown
from rightfit_sync.store import Key, Rejected, ReplicaState

_K = TypeVar("_K")
_V = TypeVar("_V")


class MemoryStore:
    """See `rightfit_sync.store.Store` for the contract."""

    def __init__(self, state: ReplicaState) -> None:
        self.views: dict[Key, Shown] = {}
        self._state = state
        self._trunks: dict[Key, Row] = {}
        self._entries: dict[Dot, Entry] = {}
        self._places: dict[Dot, int] = {}
        self._place = 0
        self._pending: dict[Dot, None] = {}
        self._by_key: dict[Key, dict[Dot, None]] = {}
        self._lost: dict[Key, frozenset[Dot]] = {}
        self._rejected: dict[Dot, Rejected] = {}
        self._undo: list[Callable[[], None]] | None = None

    def copy(self) -> "MemoryStore":
        """Return a store that holds the same now, and goes its own way from here."""
        twin = MemoryStore(self._state)
        for name in ("views", "_trunks", "_entries", "_places", "_pending", "_lost", "_rejected"):
            setattr(twin, name, dict(getattr(self, name)))
        twin._by_key = {key: dict(dots) for key, dots in self._by_key.items()}
        twin._place = self._place
        return twin

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction, or join the one that is open."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            for undo in reversed(self._undo):
                undo()
            raise
        finally:
            self._undo = None

    def reading(self) -> AbstractContextManager[None]:
        """Keep other threads from writing: there are none."""
        return nullcontext()

    def state(self) -> ReplicaState:
        """Return the replica's state."""
        return self._state

    def put_state(self, state: ReplicaState) -> None:
        """Replace the replica's state."""
        former = self._state

        def undo() -> None:
            self._state = former

        self._state = state
        self._journal(undo)

    def trunks(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        """Return the trunk rows of those `keys` that there are."""
        return {key: self._trunks[key] for key in keys if key in self._trunks}

    def trunk_tags(self) -> Iterable[tuple[Key, Sequence[str]]]:
        """Return every trunk row's key and tags."""
        return [(key, row.tags) for key, row in self._trunks.items()]

    def put_trunks(self, rows: Iterable[Row]) -> None:
        """Insert or replace trunk rows."""
        for row in rows:
            self._set(self._trunks, (row.entity.kind, row.entity.entity_id), row)

    def drop_trunks(self, keys: Collection[Key]) -> None:
        """Remove trunk rows."""
        for key in keys:
            self._remove(self._trunks, key)

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the outbox entries of those `keys` that have some, in outbox order."""
        return {
            key: [self._entries[dot] for dot in self._by_key[key]] for key in keys if self._by_key.get(key)
        }

    def pending(self) -> Iterable[Entry]:
        """Return the pending outbox entries, in outbox order, lazily."""
        return (self._entries[dot] for dot in list(self._pending))

    def count_pending(self) -> int:
        """Return how many entries are pending."""
        return len(self._pending)

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged outbox entries, in outbox order."""
        answered = [dot for dot, entry in self._entries.items() if not entry.is_pending]
        return [self._entries[dot] for dot in sorted(answered, key=self._places.__getitem__)]

    def entries_by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those outbox entries that have one of these `dots`, in outbox order."""
        found = [dot for dot in dots if dot in self._entries]
        return [self._entries[dot] for dot in sorted(found, key=self._places.__getitem__)]

    def put_entry(self, entry: Entry) -> None:
        """Append an entry, or replace the one with its dot in place."""
        dot, former = entry.change.dot, self._entries.get(entry.change.dot)
        if former is None:
            self._place += 1
            self._places[dot] = self._place
        if former is None or former.is_pending:
            self._index(entry)
        else:
            self._reindex(entry)
        self._journal(lambda: self._unindex(dot) if former is None else self._reindex(former))

    def drop_entries(self, dots: Collection[Dot]) -> None:
        """Remove entries."""
        for dot in dots:
            former = self._entries.get(dot)
            if former is not None:
                place = self._places[dot]
                self._unindex(dot)
                self._journal(lambda entry=former, place=place: self._reindex(entry, place))  # type: ignore[misc]

    def lost(self, keys: Collection[Key]) -> Mapping[Key, frozenset[Dot]]:
        """Return the rejected and void dots of those `keys` that have some."""
        return {key: self._lost[key] for key in keys if key in self._lost}

    def put_lost(self, key: Key, dot: Dot) -> None:
        """Remember a rejected or void dot."""
        self._set(self._lost, key, self._lost.get(key, frozenset()) | {dot})

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list, oldest first."""
        return list(self._rejected.values())

    def put_rejected(self, rejected: Rejected) -> None:
        """Append to the rejected list."""
        self._set(self._rejected, rejected.change.dot, rejected)

    def drop_rejected(self, dot: Dot) -> None:
        """Remove one from the rejected list."""
        self._remove(self._rejected, dot)

    def put_views(self, views: Mapping[Key, Shown]) -> None:
        """Bring what the app queries up to date with these entities."""
        for key, shown in views.items():
            self._set(self.views, key, shown)

    def _journal(self, undo: Callable[[], None]) -> None:
        if self._undo is not None:
            self._undo.append(undo)

    def _set(self, into: dict[_K, _V], key: _K, value: _V) -> None:
        self._keep(into, key)
        into[key] = value

    def _remove(self, from_: dict[_K, _V], key: _K) -> None:
        self._keep(from_, key)
        from_.pop(key, None)

    def _keep(self, mapping: dict[_K, _V], key: _K) -> None:
        """Let an undo put `key` back; into its old place in the rejected list, the one whose order counts."""
        if self._undo is None:
            return
        if key not in mapping:
            self._journal(lambda: _discard(mapping, key))
            return
        former = mapping[key]
        following = None if mapping is not self._rejected else dict(mapping)

        def undo() -> None:
            if following is None:
                mapping[key] = former
            else:
                mapping.clear()
                mapping.update(following)

        self._journal(undo)

    def _index(self, entry: Entry) -> None:
        dot = entry.change.dot
        self._entries[dot] = entry
        self._by_key.setdefault((entry.change.kind, entry.change.entity_id), {})[dot] = None
        if entry.is_pending:
            self._pending[dot] = None
        else:
            self._pending.pop(dot, None)

    def _unindex(self, dot: Dot) -> None:
        entry = self._entries.pop(dot)
        del self._places[dot]
        key = (entry.change.kind, entry.change.entity_id)
        del self._by_key[key][dot]
        if not self._by_key[key]:
            del self._by_key[key]
        self._pending.pop(dot, None)

    def _reindex(self, entry: Entry, place: int | None = None) -> None:
        """Put a former entry back at its place in every order."""
        if place is not None:
            self._places[entry.change.dot] = place
        self._index(entry)
        key = (entry.change.kind, entry.change.entity_id)
        for order in (self._pending, self._by_key[key]):
            sorted_dots = sorted(order, key=self._places.__getitem__)
            order.clear()
            order.update(dict.fromkeys(sorted_dots))


def _discard(mapping: dict[_K, _V], key: _K) -> None:
    mapping.pop(key, None)
