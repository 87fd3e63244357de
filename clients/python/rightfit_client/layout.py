"""The replica's own tables, all named `rightfit_…`, beside the view tables.

| table | a row is |
|---|---|
| `rightfit_meta` | a fact about the file: the schema, the authority's URL |
| `rightfit_state` | the one `ReplicaState`; `writing` opens the guard of the view tables |
| `rightfit_trunk` | an entity as the authority has it (`feed.Row`, MessagePack) |
| `rightfit_outbox` | an `outbox.Entry`; `position` is the outbox order |
| `rightfit_rejected` | a `store.Rejected` |
| `rightfit_lost` | a rejected or void dot, kept for ever |
| `rightfit_conflict` | an open `conflicts.Conflict` of the view |

Names that begin with `rightfit_` or `sqlite_` are therefore not for kinds.
"""

from typing import Final

from rightfit_client.connection import APPLICATION_ID, FILE_FORMAT
from rightfit_client.sqlite import sqlite3

PREFIX: Final = "rightfit_"

_TABLES = (
    "CREATE TABLE rightfit_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE rightfit_state (
        id INTEGER PRIMARY KEY CHECK (id = 1), writing INTEGER NOT NULL DEFAULT 0, device_id TEXT NOT NULL,
        subject TEXT NOT NULL, counter INTEGER NOT NULL, former_ids TEXT NOT NULL, cursor TEXT,
        epoch TEXT NOT NULL, tags TEXT NOT NULL, authority_kinds TEXT,
        must_reconcile INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE rightfit_trunk (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, seq INTEGER NOT NULL, tags TEXT NOT NULL,
        row BLOB NOT NULL, PRIMARY KEY (kind, entity_id))""",
    """CREATE TABLE rightfit_outbox (
        position INTEGER PRIMARY KEY, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, pending INTEGER NOT NULL, entry BLOB NOT NULL,
        UNIQUE (device_id, counter))""",
    "CREATE INDEX rightfit_outbox_by_entity ON rightfit_outbox (entity_id, kind)",
    """CREATE TABLE rightfit_rejected (
        position INTEGER PRIMARY KEY, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
        rejected BLOB NOT NULL, UNIQUE (device_id, counter))""",
    """CREATE TABLE rightfit_lost (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
        PRIMARY KEY (kind, entity_id, device_id, counter)) WITHOUT ROWID""",
    """CREATE TABLE rightfit_conflict (
        kind TEXT NOT NULL, entity_id TEXT NOT NULL, conflict_id TEXT NOT NULL, path TEXT NOT NULL,
        reason TEXT NOT NULL, conflict BLOB NOT NULL,
        PRIMARY KEY (kind, entity_id, conflict_id)) WITHOUT ROWID""",
    "CREATE INDEX rightfit_conflict_by_id ON rightfit_conflict (conflict_id)",
)


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the replica's own tables in a new file; call it inside a transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FILE_FORMAT}")


def is_laid_out(connection: sqlite3.Connection) -> bool:
    """Whether the file is a replica already."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rightfit_state'").fetchone()
    return found is not None


def meta(connection: sqlite3.Connection, name: str) -> str | None:
    """Return a fact about the file, or None."""
    found = connection.execute("SELECT value FROM rightfit_meta WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def put_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember a fact about the file."""
    connection.execute("INSERT OR REPLACE INTO rightfit_meta VALUES (?, ?)", (name, value))
