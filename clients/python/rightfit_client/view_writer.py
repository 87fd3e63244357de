"""What follows from trunk and outbox: the rows of the view tables and the list of open conflicts."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from rightfit_client.convert import Column
from rightfit_client.sqlite import sqlite3
from rightfit_client.tables import ViewTable
from rightfit_sync.conflicts import Conflict, conflicts, is_surely_without
from rightfit_sync.feed import Row
from rightfit_sync.life import is_deleted
from rightfit_sync.outbox import Shown
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key
from rightfit_sync.values import Value
from rightfit_sync.view import undisputed_values

_FORGET = "DELETE FROM rightfit_conflict WHERE kind = ? AND entity_id = ?"
_REMEMBER = "INSERT INTO rightfit_conflict VALUES (?, ?, ?, ?, ?, ?)"


class ViewWriter:
    """Writes for `schema`, whose `tables` are on `connection`, in a transaction with the guard open."""

    def __init__(
        self, connection: sqlite3.Connection, schema: Schema, tables: Mapping[str, ViewTable]
    ) -> None:
        self.schema = schema
        self.tables = tables
        self._connection = connection
        # Only ever doubted in favour of there being some: nobody else writes the table.
        self._has_conflicts: bool | None = None

    def write(self, views: Mapping[Key, Shown], trunks: Mapping[Key, Row]) -> None:
        """Bring tables and conflicts up to date; `trunks` are the rows of these entities that there are."""
        plain: dict[str, list[Sequence[Column]]] = {}
        others: dict[str, list[tuple[str, Shown]]] = {}
        for key, shown in views.items():
            kind, entity_id = key
            columns = self._plain_columns(key, shown.entity, trunks.get(key))
            if columns is None:
                others.setdefault(kind, []).append((entity_id, shown))
            else:
                plain.setdefault(kind, []).append(columns)
        self.write_columns(plain)
        for kind, entities in others.items():
            if kind in self.tables:
                self._write_kind(self.tables[kind], entities)
            self._write_conflicts({(kind, entity_id): shown for entity_id, shown in entities}, trunks)

    def _plain_columns(self, key: Key, entity: Entity | None, row: Row | None) -> Sequence[Column] | None:
        """Return the columns of a living entity that is in no conflict for certain; None of any other."""
        by_path = None if entity is None else undisputed_values(entity)
        return (
            None if by_path is None else self.plain_columns(key, by_path, () if row is None else row.orphans)
        )

    def plain_columns(
        self, key: Key, by_path: Mapping[str, Value], orphans: Sequence[str]
    ) -> Sequence[Column] | None:
        """Return the columns of an entity of which `undisputed_values` gave `by_path`.

        Return None where it may be in a conflict, or has no table.
        """
        kind, entity_id = key
        table = self.tables.get(kind)
        if table is None or orphans or not is_surely_without(by_path, table.kind):
            return None
        return table.columns(entity_id, by_path)

    def write_columns(self, columns: Mapping[str, Iterable[Sequence[Column]]]) -> None:
        """Bring up to date what is in no conflict for certain: by kind, the columns of living entities."""
        has_conflicts = self._may_have_conflicts()
        for kind, rows in columns.items():
            self._connection.executemany(self.tables[kind].upsert, rows)
            if has_conflicts:
                self._connection.executemany(_FORGET, [(kind, row[0]) for row in rows])

    def _write_kind(self, table: ViewTable, entities: Iterable[tuple[str, Shown]]) -> None:
        present: list[Sequence[Column]] = []
        absent: list[tuple[str]] = []
        for entity_id, shown in entities:
            entity = shown.entity
            if entity is None or (entity.life and is_deleted(entity, table.kind)):
                absent.append((entity_id,))
            else:
                present.append(table.row(entity))
        if present:
            self._connection.executemany(table.upsert, present)
        if absent:
            self._connection.executemany(table.delete, absent)

    def _write_conflicts(self, views: Mapping[Key, Shown], trunks: Mapping[Key, Row]) -> None:
        if self._may_have_conflicts():
            self._connection.executemany(_FORGET, list(views))
        found = [
            (*key, one.conflict_id, one.path, one.reason, msgspec.msgpack.encode(one))
            for key, shown in views.items()
            for one in self.conflicts(shown, trunks.get(key))
        ]
        if found:
            self._has_conflicts = True
            self._connection.executemany(_REMEMBER, found)

    def _may_have_conflicts(self) -> bool:
        if self._has_conflicts is None:
            sql = "SELECT EXISTS (SELECT 1 FROM rightfit_conflict)"
            self._has_conflicts = bool(self._connection.execute(sql).fetchone()[0])
        return self._has_conflicts

    def conflicts(self, shown: Shown, row: Row | None) -> Collection[Conflict]:
        """Return the open conflicts of one entity; `row` is its trunk."""
        if shown.entity is None:
            return ()
        if row is None:
            return conflicts(shown.entity, self.schema)
        found = conflicts(shown.entity, self.schema, row.orphans)
        return [replace(one, suggestion=row.suggestions.get(one.path)) for one in found]
