"""The replica's own tables, all named `rightfit_…`, beside the view tables.

| table | a row is |
|---|---|
| `rightfit_meta` | a fact about the file: the schema, the authority's URL |
| `rightfit_state` | the one `ReplicaState`; its counter may be behind that of the last entry in the outbox |
| `rightfit_trunk` | an entity as the authority has it (`packing.encode_row`) |
| `rightfit_outbox` | an `outbox.Entry`; `position` is the outbox order |
| `rightfit_rejected` | a `store.Rejected` |
| `rightfit_lost` | a rejected or void dot, kept for ever |
| `rightfit_conflict` | an open `conflicts.Conflict` of the view |

SQLite notices damage to the shape of its pages, but not to what is in them. So whatever cannot be computed
from the rest carries a checksum: `crc` is the CRC-32 of the blob beside it, of a fact's name and value, or of
what `facts.sealed` encodes; `check_precious` and the store hold the file to it (fault F07).

| format | what is new |
|---|---|
| 1 | |
| 2 | `rightfit_state.must_reconcile`, the `crc` columns |
| 3 | an index of answered edits; rows of the trunk are packed, those of before are read as well |
| 4 | the outbox has no other index, an entry alone says whose it is; the view tables are guarded by a function |

Names that begin with `rightfit_` or `sqlite_` are therefore not for kinds.
"""

from typing import Final
from zlib import crc32

from rightfit_client.connection import APPLICATION_ID, FILE_FORMAT, damaged, pragma
from rightfit_client.facts import as_bytes, read_state, sealed
from rightfit_client.query import quoted
from rightfit_client.sqlite import sqlite3

PREFIX: Final = "rightfit_"
_FORMAT_WITH_CHECKSUMS: Final = 2

_ANSWERED: Final = (
    "CREATE INDEX IF NOT EXISTS rightfit_outbox_answered ON rightfit_outbox (position) WHERE NOT pending"
)
_OUTBOX: Final = """CREATE TABLE rightfit_outbox (
    position INTEGER PRIMARY KEY, pending INTEGER NOT NULL, entry BLOB NOT NULL, crc INTEGER NOT NULL)"""
_TABLES = (
    """CREATE TABLE rightfit_meta (
        name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    """CREATE TABLE rightfit_state (
        id INTEGER PRIMARY KEY CHECK (id = 1), device_id TEXT NOT NULL,
        subject TEXT NOT NULL, counter INTEGER NOT NULL, former_ids TEXT NOT NULL, cursor TEXT,
        epoch TEXT NOT NULL, tags TEXT NOT NULL, authority_kinds TEXT,
        must_reconcile INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE rightfit_trunk (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, seq INTEGER NOT NULL, tags TEXT NOT NULL,
        row BLOB NOT NULL, crc INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, entity_id))""",
    _OUTBOX,
    _ANSWERED,
    """CREATE TABLE rightfit_rejected (
        position INTEGER PRIMARY KEY, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
        rejected BLOB NOT NULL, crc INTEGER NOT NULL DEFAULT 0, UNIQUE (device_id, counter))""",
    """CREATE TABLE rightfit_lost (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
        PRIMARY KEY (kind, entity_id, device_id, counter)) WITHOUT ROWID""",
    """CREATE TABLE rightfit_conflict (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, conflict_id TEXT NOT NULL, path TEXT NOT NULL,
        reason TEXT NOT NULL, conflict BLOB NOT NULL,
        PRIMARY KEY (kind, entity_id, conflict_id)) WITHOUT ROWID""",
    "CREATE INDEX rightfit_conflict_by_id ON rightfit_conflict (conflict_id)",
)

PRECIOUS: Final = ("rightfit_meta", "rightfit_state", "rightfit_outbox", "rightfit_rejected", "rightfit_lost")
_BLOBS: Final = {"rightfit_trunk": "row", "rightfit_outbox": "entry", "rightfit_rejected": "rejected"}
_CHECKED: Final = (*_BLOBS, "rightfit_meta", "rightfit_state")


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the replica's own tables in a new file; call it inside a transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FILE_FORMAT}")


def is_laid_out(connection: sqlite3.Connection) -> bool:
    """Whether the file is a replica already; raise `StorageError("corrupt")` where it is what is left of one."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rightfit_state'").fetchone()
    is_ours = pragma(connection, "application_id") == APPLICATION_ID
    if is_ours != (found is not None):
        raise damaged("the file's header or its list of tables")
    return is_ours


def renew(connection: sqlite3.Connection) -> None:
    """Bring a file of an older format up to date; call it inside a transaction."""
    if pragma(connection, "user_version") < _FORMAT_WITH_CHECKSUMS:
        _add_checksums(connection)
    _drop_guards(connection)
    connection.execute("ALTER TABLE rightfit_state DROP COLUMN writing")
    connection.execute("ALTER TABLE rightfit_outbox RENAME TO rightfit_outbox_before")
    connection.execute(_OUTBOX)
    connection.execute(
        "INSERT INTO rightfit_outbox SELECT position, pending, entry, crc FROM rightfit_outbox_before"
    )
    connection.execute("DROP TABLE rightfit_outbox_before")
    connection.execute(_ANSWERED)
    connection.execute(f"PRAGMA user_version = {FILE_FORMAT}")


def _drop_guards(connection: sqlite3.Connection) -> None:
    """Drop the triggers that guard the view tables; they are made anew (see `tables`)."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rightfit\\_guard\\_%' ESCAPE '\\'"
    for (name,) in connection.execute(sql).fetchall():
        connection.execute(f"DROP TRIGGER {quoted(str(name))}")


def _add_checksums(connection: sqlite3.Connection) -> None:
    for table in _CHECKED:
        _add_column(connection, table, "crc")
    _add_column(connection, "rightfit_state", "must_reconcile")
    connection.create_function(
        "rightfit_crc", 1, lambda content: crc32(as_bytes(content)), deterministic=True
    )
    for table, column in _BLOBS.items():
        connection.execute(f"UPDATE {table} SET crc = rightfit_crc({column})")  # noqa: S608 - words of ours.
    connection.execute("UPDATE rightfit_meta SET crc = rightfit_crc(name || value)")
    connection.create_function("rightfit_crc", 1, None)
    connection.execute(
        "UPDATE rightfit_state SET crc = ?", (sealed(read_state(connection, is_sealed=False)),)
    )


def _add_column(connection: sqlite3.Connection, table: str, name: str) -> None:
    there = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    if name not in there:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")


def check_precious(connection: sqlite3.Connection) -> None:
    """Raise `StorageError("corrupt")` where SQLite finds damage in the tables that nobody else has a copy of.

    It takes as long as the outbox is; the trunk, which the authority has too, is left to the doctor.
    """
    for table in PRECIOUS:
        said = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({table})")]
        if said != ["ok"]:
            raise damaged(f"{table}: {said[0]}")
        if table in _BLOBS:
            sql = f"SELECT {_BLOBS[table]}, crc FROM {table}"  # noqa: S608 - words of ours.
            if any(crc32(as_bytes(blob)) != crc for blob, crc in connection.execute(sql)):
                raise damaged(f"{table}: a row is not what was written")
