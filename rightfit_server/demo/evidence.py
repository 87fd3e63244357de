"""Evidence: what the server's database and a replica's file hold, read with plain SQL on both sides.

Neither the SDK nor the server's own code is asked: a fault in either must not be able to cover itself. All
that is read are columns, and the record's state, which both keep as MessagePack, for its siblings.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec
import psycopg

from rightfit_sync.feed import Row
from rightfit_sync.packing import decode_row
from rightfit_sync.records import Change, Entity
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec, Schema
from rightfit_sync.state import decode_state
from rightfit_sync.values import Value

Key: TypeAlias = tuple[str, str]
"""`(kind, entity_id)`."""


class Held(msgspec.Struct, frozen=True):
    """One record as the server holds it; `document` is what people see, `audience` who."""

    document: Mapping[str, Value]
    entity: Entity
    audience: frozenset[str] = frozenset()
    is_deleted: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A change that the server rejected: whose it was, and what."""

    subject_id: str
    change: Change
    code: str


class ServerEvidence(msgspec.Struct, frozen=True):
    """Everything of one tenant that the account needs. `open_conflicts` are `(key, path, conflict_id)`."""

    held: Mapping[Key, Held]
    open_conflicts: frozenset[tuple[Key, str, str]]
    refused: Sequence[Refused]


class ReplicaEvidence(msgspec.Struct, frozen=True):
    """What one replica's file holds: its view tables, trunk, open conflicts, outbox and rejected list."""

    views: Mapping[Key, Mapping[str, Value]]
    trunk: Mapping[Key, Entity]
    conflicts: frozenset[str]
    pending_count: int
    rejected: frozenset[tuple[str, int]]


def server_evidence(owner_url: str, tenant_id: str) -> ServerEvidence:
    """Read the database at `owner_url`."""
    with psycopg.connect(owner_url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant_id])
        entities = connection.execute(
            "SELECT kind, entity_id, document, state, audience, deleted_at IS NOT NULL FROM app.entities"
            " WHERE tenant_id = %s",
            [tenant_id],
        )
        held = {
            (kind, entity_id): Held(document, decode_state(state), frozenset(audience), gone)
            for kind, entity_id, document, state, audience, gone in entities
        }
        conflicts = connection.execute(
            "SELECT kind, entity_id, path, conflict_id FROM app.conflicts"
            " WHERE tenant_id = %s AND closed_at IS NULL",
            [tenant_id],
        )
        found = frozenset(((kind, entity_id), path, name) for kind, entity_id, path, name in conflicts)
        rejected = connection.execute(
            "SELECT subject_id, change, outcome ->> 'code' FROM app.changes"
            " WHERE tenant_id = %s AND status = 'rejected' ORDER BY device_id, counter",
            [tenant_id],
        )
        refused = [Refused(who, msgspec.convert(change, Change), code) for who, change, code in rejected]
    return ServerEvidence(held, found, refused)


def replica_evidence(path: Path, schema: Schema) -> ReplicaEvidence:
    """Read the replica's file at `path`, which nobody has open.

    Two SQLite libraries in one process, each with a connection to one file, would undo each other's locks.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        views = {
            (name, str(row["entity_id"])): screen(dict(row), kind)
            for name, kind in schema.kinds.items()
            for row in connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - names of our own schema.
        }
        trunk = {(row.entity.kind, row.entity.entity_id): row.entity for row in _trunk(connection)}
        conflicts = connection.execute("SELECT conflict_id FROM rightfit_conflict")
        pending = connection.execute("SELECT count(*) FROM rightfit_outbox WHERE pending").fetchone()
        rejected = connection.execute("SELECT device_id, counter FROM rightfit_rejected")
        return ReplicaEvidence(
            views=views,
            trunk=trunk,
            conflicts=frozenset(row[0] for row in conflicts),
            pending_count=int(pending[0]),
            rejected=frozenset((row[0], row[1]) for row in rejected),
        )


def _trunk(connection: sqlite3.Connection) -> Iterator[Row]:
    for (packed,) in connection.execute("SELECT row FROM rightfit_trunk"):
        yield decode_row(packed)


def screen(row: Mapping[str, object], kind: KindSpec) -> dict[str, Value]:
    """Return `{field: JSON value}` of a row of a view table; what holds nothing is left out."""
    shown = {name: _value(spec, row[name]) for name, spec in kind.fields.items()}
    return without_nothing(shown)


def without_nothing(document: Mapping[str, Value]) -> dict[str, Value]:
    """Return `document` without nulls and empty containers, which say the same as an absent field."""
    return {name: value for name, value in document.items() if value is not None and value not in ([], {})}


def _value(spec: FieldSpec, column: object) -> Value:
    if isinstance(column, str) and (spec.merge in CONTAINERS or spec.type in ("list", "map", "json")):
        decoded: Value = msgspec.json.decode(column)
        return decoded
    return bool(column) if spec.type == "bool" and column is not None else column
