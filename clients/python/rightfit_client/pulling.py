"""Pulling: rows of a page that go to their tables as they came.

Where no edit waits and none was ever lost, what an app sees of an entity is its trunk. So all that
`ReplicaCore.take_page` does with a row comes down to two rows: its bytes in the trunk, unless that has a newer one, and
what it shows in the view table. Most rows, and nearly all of a first pull, have one value at each path, were never
deleted and are in no conflict: they show just these values, and need not even become entities.

Everything else of a page is left to `take_page`, and so is a page that finds something in the outbox.
"""

from collections.abc import Callable, Sequence

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
        with self._file.transaction():
            if self._is_in_the_way(rows.read):
                return super().take_page(page)
            shown = self._file.put_pulled(self._pulled(rows.read)) if rows else set()
            return shown | super().take_page(replace(page, rows=()))

    def _is_in_the_way(self, rows: Sequence[ReadRow]) -> bool:
        """Whether more than the trunk decides what is shown, or a row shows our device id to be used elsewhere."""
        state = self._file.state()
        ours, spent = state.device_id, state.counter
        return not self._file.has_no_edits() or any(
            row.read.version_vector.get(ours, 0) > spent for row in rows
        )

    def _pulled(self, rows: Sequence[ReadRow]) -> Pulled:
        pulled = Pulled(rows, {}, {})
        plain_columns = self._file.views.plain_columns
        for row in rows:
            key = (row.read.kind, row.entity_id)
            by_path = undisputed(row.read)
            columns = None if by_path is None else plain_columns(key, by_path, row.orphans)
            if columns is None:
                pulled.others[key] = row.whole()
            else:
                # A page names nobody twice; were it to, the later row would be the one to show.
                pulled.others.pop(key, None)
                pulled.columns.setdefault(row.read.kind, []).append(columns)
        return pulled
