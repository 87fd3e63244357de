"""Pulling: rows of a page that go to their tables as they came, without becoming entities in between.

Where no edit waits and none was ever lost, what an app sees of an entity is its trunk. A trunk that has one value at
each path, that was never deleted and is in no conflict shows just these values. So all that `ReplicaCore.take_page`
does with such a row comes down to two rows: its bytes in the trunk, unless that has a newer one, and its values in the
view table. Nearly all rows of a first pull are of this kind; `take_page` has all others, and the rest of the page.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rightfit_client.convert import Column
from rightfit_client.store import SqliteStore
from rightfit_sync.feed import Page
from rightfit_sync.packing import ReadRow, Rows
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import undisputed
from rightfit_sync.store import Key


class _Sorted(NamedTuple):
    """The rows of a page: those that are plain, their columns by kind, and all others."""

    plain: Sequence[ReadRow]
    columns: Mapping[str, Sequence[Sequence[Column]]]
    others: Sequence[ReadRow]


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
            found = self._sorted(rows.read)
            shown = self._file.put_plain(found.plain, found.columns) if found.plain else set()
            return shown | super().take_page(replace(page, rows=Rows(found.others)))

    def _is_in_the_way(self, rows: Sequence[ReadRow]) -> bool:
        """Whether more than the trunk decides what is shown, or a row shows our device id to be used elsewhere."""
        state = self._file.state()
        ours, spent = state.device_id, state.counter
        return not self._file.has_no_edits() or any(
            row.read.version_vector.get(ours, 0) > spent for row in rows
        )

    def _sorted(self, rows: Sequence[ReadRow]) -> _Sorted:
        plain: list[ReadRow] = []
        columns: dict[str, list[Sequence[Column]]] = {}
        others: list[ReadRow] = []
        plain_columns = self._file.views.plain_columns
        for row in rows:
            kind = row.read.kind
            by_path = undisputed(row.read)
            found = None if by_path is None else plain_columns((kind, row.entity_id), by_path, row.orphans)
            if found is None:
                others.append(row)
            else:
                plain.append(row)
                columns.setdefault(kind, []).append(found)
        return _Sorted(plain, columns, others)
