"""Collecting tombstones: deleted records that nobody has to hear of any more leave the database.

A tombstone goes when all of this holds:

| condition | because |
|---|---|
| every device that counts has acknowledged its commit | who has not would go on showing the record |
| no record that stays names it, shown or in a value beside the shown one | it would name something unknown |
| it keeps no edit that its deletes had not seen | that one is in conflict, or kept to be restored |
| its kind is in the schema | else nobody can tell that it is deleted |

A device counts unless it was signed out, has been silent for longer than the retention period, or is a former
id of a replica that took another one, with nobody seen under it since.

All that this decides is when. That nobody misses anything hangs on `purge_horizon` alone, which moves in the
same transaction: a cursor before it is refused (410), and its device pushes what it has and builds its copy
anew. The history stays for ever and the receipts with it, so that a repeated create raises nobody.

Racing a push (fault F13 of docs/explanation/faults.md): the rows of tombstones are locked first, passing over
those that a push holds, the tenant's row last. So this never waits for a push that may wait for it; a push
that had a record first keeps it, and one that comes later finds that it is gone.

Source: docs/explanation/semantics.md, section 6.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, cast

import msgspec
import psycopg

from rightfit_server.postgres.administration import Connection, tenant
from rightfit_server.postgres.rows import columns
from rightfit_sync.errors import LocalError
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.life import delete_conflict, is_deleted
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import decode_state
from rightfit_sync.values import Value

TOMBSTONES_PER_TRANSACTION_MAX = 10_000
"""How many are looked at in one transaction; pushes wait while those that go are removed."""

ROWS_AT_A_TIME = 1_000

Fate: TypeAlias = Literal["collected", "named", "disputed", "unknown"]

# A device that has just taken another id is not waited for under the former one, unless a clone goes on with it.
_SLOWEST = """
    SELECT d.device_id, d.subject_id, d.acknowledged_seq, d.last_seen_at
    FROM app.devices d
    WHERE d.tenant_id = %(tenant_id)s AND d.subject_id IS NOT NULL AND d.revoked_at IS NULL
        AND coalesce(d.last_seen_at, d.created_at) >= now() - make_interval(days => %(retention_days)s)
        AND NOT EXISTS (
            SELECT FROM app.devices s
            WHERE s.tenant_id = d.tenant_id AND s.former_device_id = d.device_id
                AND s.created_at >= coalesce(d.last_seen_at, d.created_at)
        )
    ORDER BY d.acknowledged_seq, d.device_id LIMIT 1
"""
_TOMBSTONES = """
    SELECT seq, state FROM app.entities
    WHERE tenant_id = %s AND deleted_at IS NOT NULL AND commit_seq <= %s AND seq > %s
    ORDER BY seq LIMIT %s FOR UPDATE SKIP LOCKED
"""
# The table of references knows what is shown. What may be shown later stands in the record alone: of those in
# conflict, and of deleted ones, which may be restored. One statement, so that nothing moves between the two.
_NAMING = """
    SELECT r.kind, r.entity_id, r.target_kind, r.target_id, NULL
    FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS t (kind, entity_id)
        JOIN app.entity_references r ON r.target_kind = t.kind AND r.target_id = t.entity_id
    WHERE r.tenant_id = %(tenant_id)s
    UNION ALL
    SELECT e.kind, e.entity_id, NULL, NULL, e.state FROM app.entities e
    WHERE e.tenant_id = %(tenant_id)s AND (e.deleted_at IS NOT NULL OR EXISTS (
        SELECT FROM app.conflicts c WHERE c.tenant_id = e.tenant_id AND c.kind = e.kind
            AND c.entity_id = e.entity_id AND c.closed_at IS NULL
    ))
"""
_HORIZON = """
    UPDATE app.tenants t SET purge_horizon = greatest(purge_horizon, (
        SELECT max(e.commit_seq) FROM app.entities e
            JOIN unnest(%(kinds)s::text[], %(ids)s::text[]) AS k (kind, entity_id)
                ON k.kind = e.kind AND k.entity_id = e.entity_id
        WHERE e.tenant_id = t.tenant_id
    )) WHERE t.tenant_id = %(tenant_id)s
"""
_COLLECT = """
    WITH gone AS (
        DELETE FROM app.entities e
        USING unnest(%(kinds)s::text[], %(ids)s::text[]) AS k (kind, entity_id)
        WHERE e.tenant_id = %(tenant_id)s AND e.kind = k.kind AND e.entity_id = k.entity_id
        RETURNING e.*
    )
    INSERT INTO app.purged (
        tenant_id, kind, entity_id, commit_seq, version_vector, deleted_at, deleted_by_device_id
    )
    SELECT tenant_id, kind, entity_id, commit_seq, version_vector, deleted_at, deleted_by_device_id FROM gone
"""
_UNREAD = """
    SELECT count(*) FROM app.entities WHERE tenant_id = %s AND deleted_at IS NOT NULL AND commit_seq > %s
"""


class SlowestDevice(msgspec.Struct, frozen=True):
    """The device that has acknowledged least of those that count, and when it was here last."""

    device_id: str
    subject_id: str
    acknowledged_seq: int
    last_seen_at: datetime | None


class Purged(msgspec.Struct, frozen=True):
    """What a purge came to: how many tombstones went, how many stay and why, and where the feed stands.

    Unread ones wait for a device, named ones for the record that names them; disputed ones keep an edit that no
    delete had seen, unknown ones are of a kind that the schema lacks. `slowest` is None where no device counts.
    """

    tenant_id: str
    collected: int
    unread: int
    named: int
    disputed: int
    unknown: int
    head: int
    horizon: int
    slowest: SlowestDevice | None


def purge(
    connection: Connection, tenant_id: str, schema: Schema, *, retention_days: int, is_dry: bool = False
) -> Purged:
    """Collect the tombstones of one tenant that may go; a dry run counts them and changes nothing.

    `connection` is the owner's, outside of a transaction: `TOMBSTONES_PER_TRANSACTION_MAX` of them make one.
    Raises `LocalError` (`unknown_tenant`).
    """
    # Each statement must see what was committed before it: references are read when their targets are locked.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    fates: Counter[Fate] = Counter()
    after: int | None = 0
    while after is not None:
        with tenant(connection, tenant_id):
            standing = _stand(connection, tenant_id, retention_days)
            limits = (tenant_id, standing.floor, after, TOMBSTONES_PER_TRANSACTION_MAX)
            rows = connection.execute(_TOMBSTONES, limits).fetchall()
            found = _fates(connection, tenant_id, [decode_state(state) for _, state in rows], schema)
            going = sorted(key for key, fate in found.items() if fate == "collected")
            if going and not is_dry:
                _collect(connection, tenant_id, going)
        fates.update(found.values())
        after = rows[-1][0] if len(rows) == TOMBSTONES_PER_TRANSACTION_MAX else None
    with tenant(connection, tenant_id):
        standing = _stand(connection, tenant_id, retention_days)
        (unread,) = connection.execute(_UNREAD, (tenant_id, standing.floor)).fetchone() or (0,)
    return Purged(
        tenant_id=tenant_id,
        collected=fates["collected"],
        unread=unread,
        named=fates["named"],
        disputed=fates["disputed"],
        unknown=fates["unknown"],
        head=standing.head,
        horizon=standing.horizon,
        slowest=standing.slowest,
    )


class _Standing(msgspec.Struct, frozen=True):
    head: int
    horizon: int
    slowest: SlowestDevice | None

    @property
    def floor(self) -> int:
        """The commit up to which every device that counts has read."""
        return self.head if self.slowest is None else self.slowest.acknowledged_seq


def _stand(connection: Connection, tenant_id: str, retention_days: int) -> _Standing:
    place = connection.execute(
        "SELECT head, purge_horizon FROM app.tenants WHERE tenant_id = %s", (tenant_id,)
    ).fetchone()
    if place is None:
        raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id")
    parameters = {"tenant_id": tenant_id, "retention_days": retention_days}
    slowest = connection.execute(_SLOWEST, parameters).fetchone()
    return _Standing(place[0], place[1], None if slowest is None else SlowestDevice(*slowest))


def _collect(connection: Connection, tenant_id: str, going: Sequence[Key]) -> None:
    """Remove these records, which are locked; with the first statement the tenant's row is, too."""
    kinds, ids = columns(going)
    parameters = {"tenant_id": tenant_id, "kinds": kinds, "ids": ids}
    connection.execute(_HORIZON, parameters)
    connection.execute(_COLLECT, parameters)


def _fates(
    connection: Connection, tenant_id: str, tombstones: Sequence[Entity], schema: Schema
) -> dict[Key, Fate]:
    """Return what becomes of each of these tombstones, which are locked."""
    entities = {(one.kind, one.entity_id): one for one in tombstones}
    fates = {key: _judged(entity, schema) for key, entity in entities.items()}
    holders = _holders(connection, tenant_id, entities, schema)
    going = {key for key, fate in fates.items() if fate == "collected"}
    staying = going
    while staying:
        staying = {key for key in going if not holders.get(key, frozenset()) <= going}
        going -= staying
        fates.update(dict.fromkeys(staying, "named"))
    return fates


def _judged(entity: Entity, schema: Schema) -> Fate:
    kind = schema.kinds.get(entity.kind)
    if kind is None:
        return "unknown"
    is_settled = is_deleted(entity, kind) and delete_conflict(entity, kind) is None
    return "collected" if is_settled else "disputed"


def _holders(
    connection: Connection, tenant_id: str, tombstones: Mapping[Key, Entity], schema: Schema
) -> dict[Key, set[Key]]:
    """Return which stored records name each of `tombstones`, in any of their values."""
    holders: dict[Key, set[Key]] = defaultdict(set)
    kinds, ids = columns(tombstones)
    with connection.cursor(name="naming") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(_NAMING, {"tenant_id": tenant_id, "kinds": kinds, "ids": ids})
        for kind, entity_id, target_kind, target_id, state in cursor:
            named = [(target_kind, target_id)] if state is None else _named(decode_state(state), schema)
            for target in named:
                if target in tombstones:
                    holders[target].add((kind, entity_id))
    return holders


def _named(entity: Entity, schema: Schema) -> Iterator[Key]:
    """Yield what `entity` refers to in any of its values, alone or inside a group."""
    kind = schema.kinds.get(entity.kind)
    for path, siblings in entity.fields.items() if kind is not None and kind.references else ():
        for sibling in siblings:
            members = {path: sibling.value}
            if isinstance(sibling.value, Mapping):
                members = cast("dict[str, Value]", sibling.value)
            for name, value in members.items():
                reference = kind.references.get(name) if kind is not None else None
                if reference is not None and isinstance(value, str):
                    yield reference.kind, value
