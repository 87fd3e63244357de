"""Questions to the replica's tables: one statement for one key, and one for many at once.

What is read is held to its checksum: `StorageError("corrupt")` where it is not what was written.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from rightfit_client.connection import damaged, storage_error
from rightfit_client.convert import Column
from rightfit_client.facts import as_json
from rightfit_client.sqlite import sqlite3
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_sync.store import Key

WANTED = "json_each(?) AS wanted CROSS JOIN"
"""What a question for many joins its table with."""
_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM {})"


class ByKey(NamedTuple):
    """One question for one entity, and for many at once (their keys are one JSON parameter)."""

    one: str
    many: str


def by_key(columns: str, table: str, order: str = "") -> ByKey:
    """Return the question for these `columns` of a `table`, whose name in them is `t`."""
    one = f"SELECT {columns} FROM {table} AS t WHERE t.kind = ? AND t.entity_id = ?{order}"  # noqa: S608 - as below.
    many = (
        f"SELECT {columns} FROM {WANTED} {table} AS t "  # noqa: S608 - all three are words of ours.
        f"WHERE t.kind = wanted.value ->> 0 AND t.entity_id = wanted.value ->> 1{order}"
    )
    return ByKey(one, many)


class Questions:
    """What is asked on the connection of `unit`."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def as_written(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Column]]:
        """Return what the tables say, whatever is put off."""
        with self._unit.lock:
            try:
                return self._unit.connection.execute(sql, params).fetchall()
            except sqlite3.Error as error:
                raise storage_error(error) from error

    def each(self, sql: str) -> Iterator[Sequence[Column]]:
        """Yield what the tables say, row by row, whatever is put off."""
        with self._unit.lock:
            try:
                yield from self._unit.connection.execute(sql)
            except sqlite3.Error as error:
                raise storage_error(error) from error

    def all(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Column]]:
        """Return what the tables say once everything that is put off is written."""
        self._unit.flush()
        return self.as_written(sql, params)

    def keyed(self, question: ByKey, keys: Collection[Key]) -> list[Sequence[Column]]:
        """Return the rows of `keys`, whatever is put off."""
        if len(keys) == 1:
            return self.as_written(question.one, next(iter(keys)))
        return self.as_written(question.many, (as_json(keys),)) if keys else []

    def is_empty(self, table: str) -> bool:
        """Whether a table has no rows, whatever is put off."""
        return bool(self.as_written(_EMPTY.format(table))[0][0])

    def count(self, sql: str) -> int:
        """Return the number that `sql` asks for."""
        return int(self.all(sql)[0][0] or 0)


def genuine(blob: Column, crc: Column) -> bytes:
    """Return `blob` if it is what was written."""
    if not isinstance(blob, bytes) or crc32(blob) != crc:
        raise damaged("a row is not what was written")
    return blob
