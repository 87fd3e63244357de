"""Pulling: rows of a page that go to their tables as they came.

What an app sees of an entity of which no edit waits is its trunk. So all that `ReplicaCore.take_page` does with its
row comes down to two rows: its bytes in the trunk, unless that has a newer one, and what it shows in the view table.
Most rows, and nearly all of a first pull, have one value at each path, were never deleted and are in no conflict: they
show just these values, and need not even become entities.

The same holds where all edits of the entity have been answered and are in its row, as nearly always after a push: they
leave the outbox with it (see `outbox.finished`). A new record of our own, which nobody else has touched, is shown
already.

Everything else of a page is left to `take_page`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from rightfit_client.store import Pulled, SqliteStore
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.feed import Page
from rightfit_sync.outbox import Entry
from rightfit_sync.packing import ReadRow, Rows
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import State, undisputed
from rightfit_sync.store import Key


class PullingCore(ReplicaCore):
    """The logic of a replica that is kept in a `SqliteStore`."""

    def __init__(self, store: SqliteStore, schema: Schema, fresh_id: Callable[[], str]) -> None:
        super().__init__(store, schema, fresh_id)
        self._file = store

    def states(self, keys: Collection[Key]) -> Mapping[Key, State]:
        """Return the states of trunks, as `ReplicaCore.states` does: most never become entities."""
        return self._file.states(keys)

    def take_page(self, page: Page) -> set[Key]:
        """Take in a page of the feed, as `ReplicaCore.take_page` does."""
        rows = page.rows
        if not isinstance(rows, Rows) or page.evicted:
            return super().take_page(page)
        # Should a page name an entity twice, the later row counts.
        brought = {(row.read.kind, row.entity_id): row for row in rows.read}
        with self._file.transaction():
            edited = self._file.edited(brought.keys())
            done = self._done(brought, edited) if edited else {}
            disputed = edited - done.keys()
            if len(disputed) == len(brought) or self._is_used_elsewhere(brought.values()):
                return super().take_page(page)
            left = [row for key, row in brought.items() if key in disputed] if disputed else []
            free = {key: row for key, row in brought.items() if key not in disputed} if disputed else brought
            newer = self._file.put_pulled(self._pulled(free, self._shown_already(brought, done)))
            self._let_go(done, newer)
            return newer | super().take_page(replace(page, rows=Rows(left)))

    def _done(self, rows: Mapping[Key, ReadRow], edited: set[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the entries of those `edited` of which all have been answered and are in the row."""
        return {
            key: queue
            for key, queue in self._file.entries(edited - self._file.put_off_views).items()
            if all(
                not entry.is_pending and includes(rows[key].read.version_vector, entry.change.dot)
                for entry in queue
            )
        }

    def _shown_already(self, rows: Mapping[Key, ReadRow], done: Mapping[Key, Sequence[Entry]]) -> set[Key]:
        """Return the keys of rows that are what their one entry, a create, has shown since it was made."""
        born = {
            key
            for key, queue in done.items()
            if len(queue) == 1 and _is_born(rows[key], queue[0]) and not self._views.has_taken_back(key)
        }
        return born.difference(self._file.trunks(born))

    def _let_go(self, done: Mapping[Key, Sequence[Entry]], newer: Collection[Key]) -> None:
        """Let the entries of those `done` go whose row was taken, `newer`; the trunk had a newer one of the others."""
        taken = done.keys() & newer
        self._file.drop_entries([entry.change.dot for key in taken for entry in done[key]])
        self._views.are_fresh(taken)
        self._views.refresh(done.keys() - taken, self.schema)

    def _is_used_elsewhere(self, rows: Iterable[ReadRow]) -> bool:
        """Whether a row holds a dot of our device id that we have not spent."""
        state = self._file.state()
        ours, spent = state.device_id, state.counter
        return any(row.read.version_vector.get(ours, 0) > spent for row in rows)

    def _pulled(self, rows: Mapping[Key, ReadRow], shown: Collection[Key]) -> Pulled:
        """Return `rows` as the store takes them; nothing need be written to show those `shown`."""
        pulled = Pulled(rows, {}, {})
        plain_columns = self._file.views.plain_columns
        for key, row in rows.items():
            if key in shown:
                continue
            by_path = undisputed(row.read)
            columns = None if by_path is None else plain_columns(key, by_path, row.orphans)
            if columns is None:
                pulled.others[key] = row.whole()
            else:
                pulled.columns.setdefault(key[0], []).append(columns)
        return pulled


def _is_born(row: ReadRow, entry: Entry) -> bool:
    """Whether `row` holds what the create of `entry` has brought into being, and nothing else is known of it."""
    read, change = row.read, entry.change
    is_alone = read.version_vector == {change.dot.device_id: change.dot.counter} and change.op == "create"
    return is_alone and not (read.fields or read.life or row.orphans or row.suggestions)
