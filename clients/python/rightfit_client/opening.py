"""Opening a replica: the file's lock, format and owner, and the way from its schema to the one given.

A schema upgrade is one transaction: view tables are altered, the outbox is carried forward (never dropped;
the digests stay those of the forms first made durable), and every view is computed anew from trunk and
outbox, so that kinds and fields that were unknown before appear.

What nobody else has a copy of is looked at first: a file that is damaged there, or behind in its marker, is not
simply worked with (faults F05 and F07; see `layout`, `pages`, `marker`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from rightfit_client import marker
from rightfit_client.claims import read_claims
from rightfit_client.connection import FILE_FORMAT, connect, damaged, pragma, storage_error
from rightfit_client.credentials import TokenSource
from rightfit_client.errors import OpenError
from rightfit_client.facts import meta, put_meta, put_state
from rightfit_client.layout import check_precious, is_laid_out, lay_out, renew
from rightfit_client.left_log import LeftLog, put_back
from rightfit_client.limits import KEYS_PER_CHUNK
from rightfit_client.lock import FileLock
from rightfit_client.pulling import PullingCore
from rightfit_client.sqlite import sqlite3
from rightfit_client.store import SqliteStore
from rightfit_client.tables import ViewTable, guard, migrate, view_tables
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_client.view_writer import ViewWriter
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Change, encoded
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState

SCHEMA: Final = "schema"
URL: Final = "url"
LAST_SYNCED: Final = "last_synced_at"
MARKER: Final = "marker"
KEPT_FACTS: Final = (SCHEMA, URL, LAST_SYNCED)
"""What a new file takes over from a damaged one."""

TOKEN_SUFFIX: Final = "-token"  # noqa: S105 - a file's name.
"""Where the command line keeps the token, beside the file."""

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
        self.unit.answer(asked for table in self.tables.values() for asked in table.guards().values())
        self.store = SqliteStore(
            self.unit, ViewWriter(connection, schema, self.tables), is_shared=lock is None
        )
        self.core = PullingCore(self.store, schema, lambda: str(uuid4()))
        self.markers: Path | None = None
        self._lock = lock

    @property
    def is_read_only(self) -> bool:
        """Whether the file was opened for reading alone."""
        return self._lock is None

    def close(self, *, remove: bool = False) -> None:
        """Close the connection, remove the file if that is wanted, then let the next process in."""
        with self.unit.lock:
            kept = _kept(self.connection) if remove and self.markers is not None else None
            self.connection.close()
        if kept is not None and self.markers is not None:
            marker.remove(self.markers, kept.name)
        for suffix in ("-wal", "-shm", TOKEN_SUFFIX, "") if remove else ():
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()


def open_file(
    path: Path,
    schema: Schema | None,
    owner: Callable[[], ReplicaState],
    *,
    upgrade: Upgrade | None,
    markers: Path | None = None,
) -> OpenFile:
    """Open `path` for writing, or make it; `owner` gives the first state of a new file.

    `markers` is the folder with the file's marker (None: it has none). Raises `OpenError` and its kinds,
    `SchemaError`, `StorageError` (`corrupt`: see `salvage`).
    """
    lock = FileLock(path)
    try:
        left = LeftLog(path)
        try:
            opened = _opened(path, left, lock, schema, owner, upgrade)
        except BaseException:
            put_back(path)
            raise
    except BaseException:
        lock.release()
        raise
    try:
        if markers is not None:
            _check_in(opened, markers)
    except BaseException:
        opened.close()
        raise
    return opened


def _opened(
    path: Path,
    left: LeftLog,
    lock: FileLock,
    schema: Schema | None,
    owner: Callable[[], ReplicaState],
    upgrade: Upgrade | None,
) -> OpenFile:
    connection = connect(path, read_only=False)
    try:
        left.check()
        if left.is_there:
            # What is left of one commit must not stand behind those to come, as if it were a second.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return _read_in(path, connection, lock, schema, owner, upgrade)
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(error) from error
    except BaseException:
        connection.close()
        raise


def _read_in(
    path: Path,
    connection: sqlite3.Connection,
    lock: FileLock,
    schema: Schema | None,
    owner: Callable[[], ReplicaState],
    upgrade: Upgrade | None,
) -> OpenFile:
    if not is_laid_out(connection):
        return _make(path, connection, lock, _given(schema, path), owner())
    if pragma(connection, "user_version") < FILE_FORMAT:
        with UnitOfWork(connection).transaction():
            renew(connection)
            for table in view_tables(_stored_schema(connection)).values():
                guard(connection, table)
    check_precious(connection)
    former = _stored_schema(connection)
    opened = OpenFile(path, connection, lock, schema or former)
    opened.store.state()
    _upgrade(opened, former, upgrade)
    return opened


def _check_in(opened: OpenFile, markers: Path) -> None:
    """Compare the file with its marker, give both a new token, and go on under a new id where they differ."""
    opened.markers = markers
    kept = _kept(opened.connection)
    is_newest = kept is not None and marker.has(markers, kept)
    fresh = marker.fresh(kept.name if kept is not None and is_newest else "")
    former = [kept.token] if kept is not None and is_newest else []
    marker.write(markers, fresh.name, [*former, fresh.token])
    with opened.unit.transaction():
        if kept is not None and not is_newest:
            opened.core.take_new_id()
        put_meta(opened.connection, MARKER, msgspec.json.encode(fresh).decode())
    if former:
        marker.write(markers, fresh.name, [fresh.token])


def _kept(connection: sqlite3.Connection) -> marker.Kept | None:
    said = meta(connection, MARKER)
    return None if said is None else msgspec.json.decode(said, type=marker.Kept)


def make_file(path: Path, schema: Schema | None, state: ReplicaState) -> OpenFile:
    """Make a file that nobody else knows of, and that needs no lock."""
    connection = connect(path, read_only=False)
    try:
        return _make(path, connection, None, _given(schema, path), state)
    except BaseException:
        connection.close()
        raise


def open_for_reading(path: Path) -> OpenFile:
    """Open `path` beside whoever writes it.

    Raises `OpenError` (`missing`, `older_format`) and `StorageError`.
    """
    connection = connect(path, read_only=True)
    try:
        return OpenFile(path, connection, None, _stored_schema(connection))
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(error) from error
    except BaseException:
        connection.close()
        raise


def first_state(source: TokenSource, device_id: str | None) -> ReplicaState:
    """Return the state of a new file: its device and subject are its token's."""
    token = source() if callable(source) else source
    if token is not None:
        claims = read_claims(token)
        return ReplicaState(claims.device, subject=claims.subject)
    if device_id is None:
        raise OpenError(
            "needs_device", "a new replica needs a token, which names its device and subject", "token"
        )
    return ReplicaState(device_id)


def remembered_url(opened: OpenFile, url: str | None) -> str | None:
    """Return the authority's URL, the one given last where none is given now."""
    known = meta(opened.connection, URL)
    if url is not None and url != known and not opened.is_read_only:
        with opened.unit.transaction():
            put_meta(opened.connection, URL, url)
    return url or known


def _given(schema: Schema | None, path: Path) -> Schema:
    if schema is None:
        raise OpenError("needs_schema", f"{path} is new: give the schema that it shall have")
    return schema


def _stored_schema(connection: sqlite3.Connection) -> Schema:
    if not is_laid_out(connection):
        raise OpenError("missing", "the file is empty: make the replica first")
    if pragma(connection, "user_version") < FILE_FORMAT:
        raise OpenError("older_format", "the file has an older format: open it once for writing")
    stored = meta(connection, SCHEMA)
    if stored is None:
        raise damaged("its schema is gone")
    return msgspec.json.decode(stored, type=Schema)


def _make(
    path: Path, connection: sqlite3.Connection, lock: FileLock | None, schema: Schema, state: ReplicaState
) -> OpenFile:
    opened = OpenFile(path, connection, lock, schema)
    with opened.unit.transaction():
        lay_out(connection)
        put_state(connection, state)
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
