"""What the app sees of each entity, brought up to date in the store as trunk and outbox move on.

`refresh` lets go of the entries that are done, folds what is left over the trunk, and writes the view. Within
`refreshing_once` all of that waits for the end of the block: an answer with receipts and a page touches most entities
twice. Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry, Shown, finished, fold
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Store


class Views:
    """The views in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stale: set[Key] | None = None
        self._unheld: set[Key] = set()
        self._taken_back: set[Key] = set()

    def folded(self, keys: Collection[Key], schema: Schema) -> Mapping[Key, Shown]:
        """Return what the app sees of `keys`, worked out anew."""
        trunks, entries, lost = self._store.trunks(keys), self._store.entries(keys), self._store.lost(keys)
        views = {}
        for key in keys:
            trunk = trunks[key].entity if key in trunks else None
            views[key] = fold(trunk, entries.get(key, ()), schema, lost.get(key, frozenset()))
        return views

    def took_back(self, key: Key) -> None:
        """Remember that an own change of `key` has left the outbox, and no trunk will bring it."""
        self._taken_back.add(key)

    @contextmanager
    def refreshing_once(self, schema: Schema) -> Iterator[None]:
        """Bring views up to date once, when the block ends, whatever is taken in; open a transaction first."""
        stale: set[Key] = set()
        self._stale, self._unheld = stale, set()
        try:
            yield
        finally:
            self._stale = None
        self.refresh(stale, schema, self._unheld)

    def refresh(self, keys: Collection[Key], schema: Schema, unheld: Collection[Key] = ()) -> None:
        """Let finished entries go and bring the views of `keys` up to date; `unheld` had no trunk before."""
        if self._stale is not None:
            self._stale.update(keys)
            self._unheld.update(unheld)
            return
        trunks, entries, lost = self._store.trunks(keys), self._store.entries(keys), self._store.lost(keys)
        gone: set[Dot] = set()
        views: dict[Key, Shown] = {}
        for key in keys:
            row, queue = trunks.get(key), entries.get(key, ())
            trunk = None if row is None else row.entity
            done = finished(trunk, queue, schema) if queue else ()
            if done:
                gone.update(entry.change.dot for entry in done)
                is_first = key in unheld and key not in self._taken_back
                if row is not None and is_first and _is_shown_already(row, queue):
                    continue
                queue = [entry for entry in queue if entry.change.dot not in gone]
            views[key] = fold(trunk, queue, schema, lost.get(key, frozenset()))
        self._taken_back.clear()
        if gone:
            self._store.drop_entries(gone)
        if views:
            self._store.put_views(views)


def _is_shown_already(row: Row, queue: Sequence[Entry]) -> bool:
    """Whether the first trunk of an entity is what its one entry, a create, has shown since it was made."""
    entity, change = row.entity, queue[0].change
    if len(queue) > 1 or change.op != "create" or row.orphans or row.suggestions:
        return False
    if entity.version_vector != {change.dot.device_id: change.dot.counter} or entity.life:
        return False
    dots: Sequence[WrittenDot] = [WrittenDot(change.dot.device_id, change.dot.counter, change.written_at)]
    for siblings in entity.fields.values():
        found = siblings[0].dots
        if len(siblings) > 1 or (found is not dots and found != dots):
            return False
        # Fields of one change mostly share the very list.
        dots = found
    return True
