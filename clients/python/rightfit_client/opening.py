"""Opening a replica: the file's lock, format and owner, and the way from its schema to the one given.

A schema upgrade is one transaction: view tables are altered, the outbox is carried forward (never dropped;
the digests stay those of the forms first made durable), and every view is computed anew from trunk and
outbox, so that kinds and fields that were unknown before appear.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from rightfit_client.connection import connect
from rightfit_client.errors import OpenError
from rightfit_client.layout import is_laid_out, lay_out, meta, put_meta
from rightfit_client.limits import KEYS_PER_CHUNK
from rightfit_client.lock import FileLock
from rightfit_client.sqlite import sqlite3
from rightfit_client.store import SqliteStore, fresh_state
from rightfit_client.tables import ViewTable, migrate, view_tables
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_client.view_writer import ViewWriter
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Change, encoded
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState

SCHEMA: Final = "schema"

Upgrade = Callable[[Change], Change]
"""Rewrites one pending change for a newer schema; dot, kind and entity stay."""

_T = TypeVar("_T")


class OpenFile:
    """An open replica file: `store` and `core` over it, `tables` of its `schema`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: FileLock | None, schema: Schema
    ) -> None:
        self.path = path
        self.connection = connection
        self.schema = schema
        self.tables: Mapping[str, ViewTable] = view_tables(schema)
        self.unit = UnitOfWork(connection)
        self.store = SqliteStore(
            self.unit, ViewWriter(connection, schema, self.tables), is_shared=lock is None
        )
        self.core = ReplicaCore(self.store, schema, lambda: str(uuid4()))
        self._lock = lock

    @property
    def is_read_only(self) -> bool:
        """Whether the file was opened for reading alone."""
        return self._lock is None

    def close(self, *, remove: bool = False) -> None:
        """Close the connection, remove the file if that is wanted, then let the next process in."""
        with self.unit.lock:
            self.connection.close()
        for suffix in ("-wal", "-shm", "") if remove else ():
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()


def open_file(
    path: Path, schema: Schema | None, owner: Callable[[], ReplicaState], *, upgrade: Upgrade | None
) -> OpenFile:
    """Open `path` for writing, or make it; `owner` gives the first state of a new file.

    Raises `OpenError` and its kinds, `SchemaError`, `StorageError`.
    """
    lock = FileLock(path)
    try:
        connection = connect(path, read_only=False)
    except BaseException:
        lock.release()
        raise
    try:
        if not is_laid_out(connection):
            return _make(path, connection, lock, _given(schema, path), owner())
        former = _stored_schema(connection)
        opened = OpenFile(path, connection, lock, schema or former)
        _upgrade(opened, former, upgrade)
    except BaseException:
        connection.close()
        lock.release()
        raise
    return opened


def open_for_reading(path: Path) -> OpenFile:
    """Open `path` beside whoever writes it; raise `OpenError("missing")` where there is none."""
    connection = connect(path, read_only=True)
    try:
        return OpenFile(path, connection, None, _stored_schema(connection))
    except BaseException:
        connection.close()
        raise


def _given(schema: Schema | None, path: Path) -> Schema:
    if schema is None:
        raise OpenError("needs_schema", f"{path} is new: give the schema that it shall have")
    return schema


def _stored_schema(connection: sqlite3.Connection) -> Schema:
    stored = meta(connection, SCHEMA) if is_laid_out(connection) else None
    if stored is None:
        raise OpenError("missing", "the file is empty: make the replica first")
    return msgspec.json.decode(stored, type=Schema)


def _make(
    path: Path, connection: sqlite3.Connection, lock: FileLock, schema: Schema, state: ReplicaState
) -> OpenFile:
    opened = OpenFile(path, connection, lock, schema)
    with opened.unit.transaction():
        lay_out(connection)
        fresh_state(connection, state)
        opened.unit.open_guard()
        migrate(connection, None, opened.tables)
        put_meta(connection, SCHEMA, _text(schema))
    return opened


def _upgrade(opened: OpenFile, former: Schema, upgrade: Upgrade | None) -> None:
    schema = opened.schema
    if schema.schema_version < former.schema_version:
        found, given = former.schema_version, schema.schema_version
        message = f"{opened.path} has schema {found}, this program schema {given}: upgrade it"
        raise OpenError("schema_older", message)
    if _text(schema) == _text(former):
        return
    with opened.unit.transaction():
        if upgrade is not None:
            for entry in list(opened.store.pending()):
                opened.store.put_entry(_carried(entry, upgrade))
        rebuild(opened, former)
        put_meta(opened.connection, SCHEMA, _text(schema))


def _carried(entry: Entry, upgrade: Upgrade) -> Entry:
    before = entry.change
    change = upgrade(before)
    if (change.dot, change.kind, change.entity_id) != (before.dot, before.kind, before.entity_id):
        raise OpenError("upgrade", f"the upgrade of {before.dot} must keep its dot, kind and entity")
    return replace(entry, change=change, size_bytes=len(encoded(change)))


def rebuild(opened: OpenFile, former: Schema) -> None:
    """Make view tables and conflicts anew from trunk and outbox; call it inside a transaction."""
    opened.unit.open_guard()
    migrate(opened.connection, former, opened.tables)
    for keys in _chunks(opened.store.entity_keys(), KEYS_PER_CHUNK):
        opened.store.put_views({key: opened.core.shown(key) for key in keys})


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _text(schema: Schema) -> str:
    return msgspec.json.encode(schema, order="sorted").decode()
