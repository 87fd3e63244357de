"""Writing a push: the tenant's row is taken when nothing but writing is left to do.

And held until the commit.

So sequence numbers become visible in their order, and a reader of "everything after n" misses nothing.
All writes travel in the push's pipeline, each kind of row as one statement (see `bulk`).
"""

from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple

from msgspec import UNSET
from psycopg import AsyncPipeline

from rightfit_server.ingest.shape import is_storable
from rightfit_server.ports.storage import (
    AudienceWrite,
    CommitPlan,
    Committed,
    ConflictOpened,
    ContentionError,
    EntityWrite,
)
from rightfit_server.postgres.bulk import filled, text_array
from rightfit_server.postgres.pipeline import answered, under_way
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import as_name, encode_change, encode_json
from rightfit_sync.causality.dot import is_authority
from rightfit_sync.digests import canonical_state, place
from rightfit_sync.feed import chained
from rightfit_sync.ingest.snapshot import Key, Recorded

_COUNT = (
    "SELECT head, chain, authority_counter, epoch FROM app.tenants WHERE tenant_id = %s FOR NO KEY UPDATE"
)
# The authority's own device has its counter with the tenant: then no device is named. Whoever gives back what is not
# here proves that it was lost, should nobody have noticed yet.
_MOVE_ON = """
    WITH
        moved AS (
            UPDATE app.tenants SET head = %(head)s, chain = %(chain)s, authority_counter = %(authority_counter)s,
                restored_at = coalesce(restored_at, CASE WHEN %(gives_back)s THEN now() END)
            WHERE tenant_id = %(tenant_id)s
        ),
        spent AS (
            UPDATE app.devices SET counter = %(counter)s, last_seen_at = now()
            WHERE tenant_id = %(tenant_id)s AND device_id = %(spending_id)s
        )
    INSERT INTO app.commits (tenant_id, seq, chain, device_id)
    VALUES (%(tenant_id)s, %(head)s, %(chain)s, %(device_id)s)
"""
# The audience is said, too, and compared by the table: as a generated column, it would have every row copied once more.
_ENTITY_TYPES = (
    "bigint bytea jsonb jsonb text[] text[] text[] jsonb text[] jsonb bigint text text text text text"
)
_INSERT = """
    INSERT INTO app.entities (
        tenant_id, commit_seq, seq, state, version_vector, document, own_tags, neighbour_tags, audience, lost_tags,
        orphans, suggestions, deleted_at, deleted_by_device_id, digest, place, kind, entity_id
    )
    SELECT %s, %s, seq, state, version_vector, document, own_tags, neighbour_tags, audience, lost_tags, orphans,
        suggestions, to_timestamp(deleted_at / 1000.0), deleted_by_device_id, digest, place, kind, entity_id
    FROM {rows} AS r (
        seq, state, version_vector, document, own_tags, neighbour_tags, audience, lost_tags, orphans, suggestions,
        deleted_at, deleted_by_device_id, digest, place, kind, entity_id
    )
"""
# The rows are there, and locked. An `UPDATE` would join them, and the planner, who knows little of a tenant, would read
# all that the tenant has; a conflict of keys is looked up key by key.
_UPDATE = (
    _INSERT
    + """
    ON CONFLICT (tenant_id, kind, entity_id) DO UPDATE
    SET commit_seq = excluded.commit_seq, seq = excluded.seq, state = excluded.state,
        version_vector = excluded.version_vector, document = excluded.document, own_tags = excluded.own_tags,
        neighbour_tags = excluded.neighbour_tags, audience = excluded.audience, lost_tags = excluded.lost_tags,
        orphans = excluded.orphans, suggestions = excluded.suggestions, deleted_at = excluded.deleted_at,
        deleted_by_device_id = excluded.deleted_by_device_id, digest = excluded.digest, place = excluded.place
"""
)
_AUDIENCE_TYPES = "bigint text[] jsonb text text"
_AUDIENCE = """
    UPDATE app.entities e
    SET commit_seq = %s, seq = r.seq, neighbour_tags = r.neighbour_tags, audience = own_tags || r.neighbour_tags,
        lost_tags = r.lost_tags
    FROM {rows} AS r (seq, neighbour_tags, lost_tags, kind, entity_id)
    WHERE e.kind = r.kind AND e.entity_id = r.entity_id
"""
_FORGET_TYPES = "text text"
_FORGET_REFERENCES = """
    DELETE FROM app.entity_references r USING {rows} AS k (kind, entity_id)
    WHERE r.kind = k.kind AND r.entity_id = k.entity_id
"""
_REFERENCE_TYPES = "text text text text text"
_REFERENCE = """
    INSERT INTO app.entity_references (tenant_id, kind, entity_id, path, target_kind, target_id)
    SELECT %s, * FROM {rows} AS r
"""
_CHANGE_TYPES = "bigint text text text text text text json json integer text text bigint text text"
_CHANGE = """
    INSERT INTO app.changes (
        tenant_id, commit_seq, counter, device_id, digest, kind, entity_id, op, status, change, outcome, ordinal,
        transaction_id, was_device_id, was_counter, was_digest, subject_id
    ) SELECT %s, %s, * FROM {rows} AS r
"""
_JOIN_TYPES = "integer text text bytea"
_JOIN = """
    INSERT INTO app.joins (tenant_id, commit_seq, device_id, ordinal, kind, entity_id, state)
    SELECT %s, %s, %s, * FROM {rows} AS r
"""
# A conflict of the same id is open again after a reference was orphaned, mended, and orphaned once more.
_OPEN_TYPES = "text text text text text jsonb text text"
_OPEN = """
    INSERT INTO app.conflicts (
        tenant_id, opened_seq, conflict_id, kind, entity_id, path, reason, dots, suggestion, opened_by_device_id
    ) SELECT %s, %s, * FROM {rows} AS r
    ON CONFLICT (tenant_id, conflict_id) DO UPDATE
    SET suggestion = excluded.suggestion, opened_at = now(), opened_seq = excluded.opened_seq,
        opened_by_device_id = excluded.opened_by_device_id, closed_at = NULL, closed_seq = NULL,
        closed_by_device_id = NULL, closed_by_subject_id = NULL
"""
_CLOSE_TYPES = "text text"
_CLOSE = """
    UPDATE app.conflicts c
    SET closed_at = now(), closed_seq = %s, closed_by_device_id = r.device_id, closed_by_subject_id = %s
    FROM {rows} AS r (conflict_id, device_id)
    WHERE c.conflict_id = r.conflict_id AND c.closed_at IS NULL
"""
_EFFECT_TYPES = "integer text jsonb text bigint"
_EFFECT = """
    INSERT INTO app.effects (tenant_id, commit_seq, ordinal, name, payload, device_id, counter)
    SELECT %s, %s, * FROM {rows} AS r
"""


async def write_commit(
    connection: Connection, pipeline: AsyncPipeline, tenant_id: str, plan: CommitPlan
) -> Committed:
    """Send all of `plan` down `pipeline` and return the commit; raises `ContentionError`.

    Whether it could be written is told at the pipeline's end.
    """
    former, chain, counter = await _count(connection, pipeline, tenant_id, plan)
    keys = [_key(write) for write in plan.entities] + [write.key for write in plan.audiences]
    digests = [write.digest for write in plan.entities] + [write.digest for write in plan.audiences]
    head = former + max(1, len(keys))
    chain = chained(chain, head, [(*key, digest) for key, digest in zip(keys, digests, strict=True)])
    writing = _Writing(tenant_id, plan, head)
    async with connection.cursor() as cursor:
        device_id = plan.device.device_id
        await cursor.execute(
            _MOVE_ON,
            {
                "tenant_id": tenant_id,
                "head": head,
                "chain": chain,
                "authority_counter": max(counter, plan.authority_counter),
                "counter": plan.device_counter,
                "device_id": device_id,
                "spending_id": None if is_authority(device_id) else device_id,
                "gives_back": bool(plan.joined),
            },
        )
        changed_references = [
            _key(write) for write in plan.entities if write.references is not None and not write.is_new
        ]
        if changed_references:
            await cursor.execute(*filled(_FORGET_REFERENCES, _FORGET_TYPES, changed_references))
        for one in writing.statements(former + 1):
            if one.rows:
                text, parameters = filled(one.sql, one.types, one.rows)
                await cursor.execute(text, (*one.before, *parameters))
                await under_way(connection)
    return Committed(head, chain, former)


async def _count(
    connection: Connection, pipeline: AsyncPipeline, tenant_id: str, plan: CommitPlan
) -> tuple[int, str, int]:
    """Take the tenant's row; return the newest commit, its chain hash, and the authority's counter.

    Raises `ContentionError` where the push used numbers of the authority's own device, and somebody else has, too.
    """
    counted = await connection.execute(_COUNT, (tenant_id,))
    await answered(connection, pipeline)
    row = await counted.fetchone()
    known = plan.position
    head, chain, counter, epoch = row or (0, "", 0, "")
    is_free = known.authority_counter in (counter, plan.authority_counter)
    if epoch != known.epoch or not is_free:
        raise ContentionError("the authority's own counter, or its epoch, has moved on")
    return int(head), str(chain), int(counter)


def _key(write: EntityWrite) -> Key:
    return write.entity.kind, write.entity.entity_id


class _Statement(NamedTuple):
    """One statement: the types of its rows' columns, its rows, and the parameters before them."""

    sql: LiteralString
    types: LiteralString
    rows: Sequence[Sequence[object]]
    before: Sequence[object] = ()


class _Writing:
    """The rows of one commit."""

    def __init__(self, tenant_id: str, plan: CommitPlan, head: int) -> None:
        self._tenant_id = tenant_id
        self._plan = plan
        self._head = head

    def statements(self, first_seq: int) -> Iterable[_Statement]:
        """Return the statements, in an order that keeps foreign keys whole; those without rows are to be left out."""
        plan, tenant_id, head = self._plan, self._tenant_id, self._head
        commit = (tenant_id, head)
        numbered = list(enumerate(plan.entities, first_seq))
        new = [self._entity(seq, write) for seq, write in numbered if write.is_new]
        yield _Statement(_INSERT, _ENTITY_TYPES, new, commit)
        changed = [self._entity(seq, write) for seq, write in numbered if not write.is_new]
        yield _Statement(_UPDATE, _ENTITY_TYPES, changed, commit)
        beyond = enumerate(plan.audiences, first_seq + len(plan.entities))
        audiences = [self._audience(seq, write) for seq, write in beyond]
        yield _Statement(_AUDIENCE, _AUDIENCE_TYPES, audiences, (head,))
        references = [
            (*_key(write), reference.path, *reference.target)
            for write in plan.entities
            for reference in write.references or ()
        ]
        yield _Statement(_REFERENCE, _REFERENCE_TYPES, references, (tenant_id,))
        joined = [
            (ordinal, entity.kind, entity.entity_id, canonical_state(entity))
            for ordinal, entity in enumerate(plan.joined)
        ]
        yield _Statement(_JOIN, _JOIN_TYPES, joined, (*commit, plan.device.device_id))
        changes = [self._change(ordinal, one) for ordinal, one in enumerate(plan.recorded)]
        yield _Statement(_CHANGE, _CHANGE_TYPES, changes, commit)
        yield _Statement(_OPEN, _OPEN_TYPES, [_opened(one) for one in plan.opened], commit)
        yield _Statement(_CLOSE, _CLOSE_TYPES, plan.closed, (head, plan.subject_id))
        effects = [
            (ordinal, one.effect.name, encode_json(one.effect.payload), one.dot.device_id, one.dot.counter)
            for ordinal, one in enumerate(plan.effects)
        ]
        yield _Statement(_EFFECT, _EFFECT_TYPES, effects, commit)

    def _entity(self, seq: int, write: EntityWrite) -> Sequence[object]:
        kind, entity_id = _key(write)
        return (
            seq,
            write.state,
            encode_json(write.entity.version_vector),
            write.document,
            text_array(tuple(write.own_tags)),
            text_array(tuple(write.neighbour_tags)),
            text_array((*write.own_tags, *write.neighbour_tags)),
            self._lost(write),
            text_array(tuple(write.orphans)),
            encode_json(write.suggestions) if write.suggestions else b"{}",
            # A clock before 1970 is wrong in any case, and some would be beyond what the column holds.
            None if write.deleted_at is None else max(0, write.deleted_at),
            write.deleted_by_device_id,
            write.digest,
            place(kind, entity_id),
            kind,
            entity_id,
        )

    def _audience(self, seq: int, write: AudienceWrite) -> Sequence[object]:
        return (seq, text_array(tuple(write.neighbour_tags)), self._lost(write), *write.key)

    def _lost(self, write: EntityWrite | AudienceWrite) -> bytes:
        if not write.lost_tags and not write.newly_lost:
            return b"{}"
        return encode_json({**write.lost_tags, **dict.fromkeys(write.newly_lost, self._head)})

    def _change(self, ordinal: int, recorded: Recorded) -> Sequence[object]:
        change, outcome, plan = recorded.change, recorded.outcome, self._plan
        is_pushed = (
            change.dot.device_id == plan.device.device_id and change.dot.counter <= plan.device_counter
        )
        was = None if change.was is UNSET or not is_storable(change.was.dot) else change.was
        return (
            change.dot.counter,
            change.dot.device_id,
            recorded.digest,
            as_name(change.kind),
            as_name(change.entity_id),
            change.op,
            outcome.status,
            encode_change(change),
            encode_json(outcome),
            ordinal,
            None if change.transaction_id is None else as_name(change.transaction_id),
            None if was is None else was.dot.device_id,
            None if was is None else was.dot.counter,
            None if was is None else was.digest,
            plan.subject_id if is_pushed else None,
        )


def _opened(one: ConflictOpened) -> Sequence[object]:
    conflict = one.conflict
    key = (conflict.conflict_id, conflict.kind, conflict.entity_id, conflict.path, conflict.reason)
    return (*key, encode_json(conflict.dots), one.suggestion, one.device_id)
