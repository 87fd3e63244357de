"""What the app sees of each entity, brought up to date in the store as trunk and outbox move on.

`refresh` lets go of the entries that are done, folds what is left over the trunk, and writes the view. Within
`refreshing_once` all of that waits for the end of the block: an answer with receipts and a page touches most entities
twice. Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from rightfit_sync.causality.dot import Dot
from rightfit_sync.outbox import Shown, finished, fold
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Store


class Views:
    """The views in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stale: set[Key] | None = None
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

    def has_taken_back(self, key: Key) -> bool:
        """Whether one has, and is still shown."""
        return key in self._taken_back

    def are_fresh(self, keys: Collection[Key]) -> None:
        """Forget that the views of `keys` were to be brought up to date: they are, and no entry of theirs is left."""
        if self._stale is not None:
            self._stale.difference_update(keys)

    @contextmanager
    def refreshing_once(self, schema: Schema) -> Iterator[None]:
        """Bring views up to date once, when the block ends, whatever is taken in; open a transaction first."""
        stale: set[Key] = set()
        self._stale = stale
        try:
            yield
        finally:
            self._stale = None
        self.refresh(stale, schema)

    def refresh(self, keys: Collection[Key], schema: Schema) -> None:
        """Let finished entries go and bring the views of `keys` up to date."""
        if self._stale is not None:
            self._stale.update(keys)
            return
        trunks, entries, lost = self._store.trunks(keys), self._store.entries(keys), self._store.lost(keys)
        gone: set[Dot] = set()
        views: dict[Key, Shown] = {}
        for key in keys:
            trunk = trunks[key].entity if key in trunks else None
            queue = entries.get(key, ())
            done = finished(trunk, queue, schema) if queue else ()
            if done:
                gone.update(entry.change.dot for entry in done)
                queue = [entry for entry in queue if entry.change.dot not in gone]
            views[key] = fold(trunk, queue, schema, lost.get(key, frozenset()))
        self._taken_back.clear()
        if gone:
            self._store.drop_entries(gone)
        if views:
            self._store.put_views(views)
