"""Pulling: rows of a page that go to their tables as they came.

What an app sees of an entity of which no edit waits is its trunk. So all that `ReplicaCore.take_page` does with its
row comes down to two rows: its bytes in the trunk, unless that has a newer one, and what it shows in the view table.
Most rows, and nearly all of a first pull, have one value at each path, were never deleted and are in no conflict: they
show just these values, and need not even become entities.

Everything else of a page is left to `take_page`.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from rightfit_client.store import Pulled, SqliteStore
from rightfit_sync.feed import Page
from rightfit_sync.packing import ReadRow, Rows
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import undisputed
from rightfit_sync.store import Key


class PullingCore(ReplicaCore):
    """The logic of a replica that is kept in a `SqliteStore`."""

    def __init__(self, store: SqliteStore, schema: Schema, fresh_id: Callable[[], str]) -> None:
        super().__init__(store, schema, fresh_id)
        self._file = store

    def take_page(self, page: Page) -> set[Key]:
        """Take in a page of the feed, as `ReplicaCore.take_page` does."""
        rows = page.rows
        if not isinstance(rows, Rows) or page.evicted:
            return super().take_page(page)
        # Should a page name an entity twice, the later row counts.
        brought = {(row.read.kind, row.entity_id): row for row in rows.read}
        with self._file.transaction():
            edited = self._file.edited(brought.keys())
            if len(edited) == len(brought) or self._is_used_elsewhere(brought.values()):
                return super().take_page(page)
            left = [row for key, row in brought.items() if key in edited] if edited else []
            free = {key: row for key, row in brought.items() if key not in edited} if edited else brought
            shown = self._file.put_pulled(self._pulled(free))
            return shown | super().take_page(replace(page, rows=Rows(left)))

    def _is_used_elsewhere(self, rows: Iterable[ReadRow]) -> bool:
        """Whether a row holds a dot of our device id that we have not spent."""
        state = self._file.state()
        ours, spent = state.device_id, state.counter
        return any(row.read.version_vector.get(ours, 0) > spent for row in rows)

    def _pulled(self, rows: Mapping[Key, ReadRow]) -> Pulled:
        pulled = Pulled(rows, {}, {})
        plain_columns = self._file.views.plain_columns
        for key, row in rows.items():
            by_path = undisputed(row.read)
            columns = None if by_path is None else plain_columns(key, by_path, row.orphans)
            if columns is None:
                pulled.others[key] = row.whole()
            else:
                pulled.columns.setdefault(key[0], []).append(columns)
        return pulled
