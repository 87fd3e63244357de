"""Writing a push: the tenant's row is taken when nothing but writing is left to do.

And held until the commit.

So sequence numbers become visible in their order, and a reader of "everything after n" misses nothing.
All writes travel in one pipeline, each kind of row as one statement with many parameter sets.
"""

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from rightfit_server.ingest.shape import is_storable
from rightfit_server.ports.storage import AudienceWrite, CommitPlan, ContentionError, EntityWrite
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import as_name, columns, encode_change, encode_json
from rightfit_sync.causality.dot import is_authority
from rightfit_sync.digests import canonical_state, place
from rightfit_sync.feed import chained
from rightfit_sync.ingest.snapshot import Key, Recorded
from rightfit_sync.records import Entity

# Where the push used numbers of the authority's own device, nobody else may have used them meanwhile.
_COUNT = """
    UPDATE app.tenants
    SET head = head + %(rows)s, authority_counter = greatest(authority_counter, %(spent)s)
    WHERE tenant_id = %(tenant_id)s AND epoch = %(epoch)s
        AND (%(spent)s = %(known)s OR authority_counter = %(known)s)
    RETURNING head, chain
"""
_CHAIN = "UPDATE app.tenants SET chain = %s WHERE tenant_id = %s"
_COMMIT = "INSERT INTO app.commits (tenant_id, seq, chain, device_id) VALUES (%s, %s, %s, %s)"
_DEVICE = "UPDATE app.devices SET counter = %s, last_seen_at = now() WHERE tenant_id = %s AND device_id = %s"
_INSERT = """
    INSERT INTO app.entities (
        seq, commit_seq, state, version_vector, document, own_tags, neighbour_tags, lost_tags, orphans,
        suggestions, deleted_at, deleted_by_device_id, digest, place, tenant_id, kind, entity_id
    ) VALUES (
        %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s, %s::jsonb, %s, %s::jsonb,
        to_timestamp(%s / 1000.0), %s, %s, %s, %s, %s, %s
    )
"""
_UPDATE = """
    UPDATE app.entities
    SET seq = %s, commit_seq = %s, state = %s, version_vector = %s::jsonb, document = %s::jsonb,
        own_tags = %s, neighbour_tags = %s, lost_tags = %s::jsonb, orphans = %s, suggestions = %s::jsonb,
        deleted_at = to_timestamp(%s / 1000.0), deleted_by_device_id = %s, digest = %s, place = %s
    WHERE tenant_id = %s AND kind = %s AND entity_id = %s
"""
_AUDIENCE = """
    UPDATE app.entities SET seq = %s, commit_seq = %s, neighbour_tags = %s, lost_tags = %s::jsonb
    WHERE tenant_id = %s AND kind = %s AND entity_id = %s
"""
_FORGET_REFERENCES = """
    DELETE FROM app.entity_references r USING unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
    WHERE r.tenant_id = %s AND r.kind = k.kind AND r.entity_id = k.entity_id
"""
_REFERENCE = """
    INSERT INTO app.entity_references (tenant_id, kind, entity_id, path, target_kind, target_id)
    VALUES (%s, %s, %s, %s, %s, %s)
"""
_CHANGE = """
    INSERT INTO app.changes (
        tenant_id, device_id, counter, digest, kind, entity_id, op, status, change, outcome, commit_seq,
        ordinal, transaction_id, was_device_id, was_counter, was_digest, subject_id
    ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::json, %s::json, %s, %s, %s, %s, %s, %s, %s)
"""
_JOIN = """
    INSERT INTO app.joins (tenant_id, commit_seq, ordinal, kind, entity_id, device_id, state)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
# A conflict of the same id is open again after a reference was orphaned, mended, and orphaned once more.
_OPEN = """
    INSERT INTO app.conflicts (
        tenant_id, conflict_id, kind, entity_id, path, reason, dots, suggestion, opened_seq,
        opened_by_device_id
    ) VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s)
    ON CONFLICT (tenant_id, conflict_id) DO UPDATE
    SET suggestion = excluded.suggestion, opened_at = now(), opened_seq = excluded.opened_seq,
        opened_by_device_id = excluded.opened_by_device_id, closed_at = NULL, closed_seq = NULL,
        closed_by_device_id = NULL, closed_by_subject_id = NULL
"""
_CLOSE = """
    UPDATE app.conflicts
    SET closed_at = now(), closed_seq = %s, closed_by_device_id = %s, closed_by_subject_id = %s
    WHERE tenant_id = %s AND conflict_id = %s AND closed_at IS NULL
"""
_EFFECT = """
    INSERT INTO app.effects (tenant_id, commit_seq, ordinal, name, payload, device_id, counter)
    VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s)
"""


async def write_commit(connection: Connection, tenant_id: str, plan: CommitPlan) -> int:
    """Write all of `plan` and return the number of the commit; raises `ContentionError`."""
    keys = [_key(write) for write in plan.entities] + [write.key for write in plan.audiences]
    rows = max(1, len(keys))
    counted = await connection.execute(
        _COUNT,
        {
            "rows": rows,
            "spent": plan.authority_counter,
            "known": plan.position.authority_counter,
            "tenant_id": tenant_id,
            "epoch": plan.position.epoch,
        },
    )
    found = await counted.fetchone()
    if found is None:
        raise ContentionError("the authority's own counter, or its epoch, has moved on")
    head, chain = found
    writing = _Writing(tenant_id, plan, head)
    digests = [write.digest for write in plan.entities] + [write.digest for write in plan.audiences]
    rows_said = [(*key, digest) for key, digest in zip(keys, digests, strict=True)]
    chain = chained(chain, head, rows_said)
    async with connection.pipeline(), connection.cursor() as cursor:
        await cursor.execute(_CHAIN, (chain, tenant_id))
        await cursor.execute(_COMMIT, (tenant_id, head, chain, plan.device.device_id))
        if not is_authority(plan.device.device_id):
            await cursor.execute(_DEVICE, (plan.device_counter, tenant_id, plan.device.device_id))
        changed_references = [
            _key(write) for write in plan.entities if write.references is not None and not write.is_new
        ]
        if changed_references:
            await cursor.execute(_FORGET_REFERENCES, (*columns(changed_references), tenant_id))
        for statement, parameters in writing.statements(head - rows + 1):
            if parameters:
                await cursor.executemany(statement, parameters)
    return int(head)


def _key(write: EntityWrite) -> Key:
    return write.entity.kind, write.entity.entity_id


class _Writing:
    """The parameter sets of one commit."""

    def __init__(self, tenant_id: str, plan: CommitPlan, head: int) -> None:
        self._tenant_id = tenant_id
        self._plan = plan
        self._head = head

    def statements(self, first_seq: int) -> Iterable[tuple[str, Sequence[Sequence[object]]]]:
        """Return each statement with its parameter sets, in an order that keeps foreign keys whole."""
        plan, tenant_id, head = self._plan, self._tenant_id, self._head
        numbered = list(enumerate(plan.entities, first_seq))
        yield _INSERT, [self._entity(seq, write) for seq, write in numbered if write.is_new]
        yield _UPDATE, [self._entity(seq, write) for seq, write in numbered if not write.is_new]
        beyond = enumerate(plan.audiences, first_seq + len(plan.entities))
        yield _AUDIENCE, [self._audience(seq, write) for seq, write in beyond]
        yield (
            _REFERENCE,
            [
                (tenant_id, *_key(write), reference.path, *reference.target)
                for write in plan.entities
                for reference in write.references or ()
            ],
        )
        yield _JOIN, [self._join(ordinal, entity) for ordinal, entity in enumerate(plan.joined)]
        yield _CHANGE, [self._change(ordinal, one) for ordinal, one in enumerate(plan.recorded)]
        yield (
            _OPEN,
            [
                (
                    tenant_id,
                    one.conflict.conflict_id,
                    one.conflict.kind,
                    one.conflict.entity_id,
                    one.conflict.path,
                    one.conflict.reason,
                    encode_json(one.conflict.dots),
                    one.suggestion,
                    head,
                    one.device_id,
                )
                for one in plan.opened
            ],
        )
        yield (
            _CLOSE,
            [
                (head, device_id, plan.subject_id, tenant_id, conflict_id)
                for conflict_id, device_id in plan.closed
            ],
        )
        yield (
            _EFFECT,
            [
                (
                    tenant_id,
                    head,
                    ordinal,
                    one.effect.name,
                    encode_json(one.effect.payload),
                    one.dot.device_id,
                    one.dot.counter,
                )
                for ordinal, one in enumerate(plan.effects)
            ],
        )

    def _entity(self, seq: int, write: EntityWrite) -> Sequence[object]:
        return (
            seq,
            self._head,
            canonical_state(write.entity),
            encode_json(write.entity.version_vector),
            write.document.decode(),
            list(write.own_tags),
            list(write.neighbour_tags),
            self._lost(write),
            list(write.orphans),
            encode_json(write.suggestions),
            # A clock before 1970 is wrong in any case, and some would be beyond what the column holds.
            None if write.deleted_at is None else max(0, write.deleted_at),
            write.deleted_by_device_id,
            write.digest,
            place(*_key(write)),
            self._tenant_id,
            *_key(write),
        )

    def _audience(self, seq: int, write: AudienceWrite) -> Sequence[object]:
        return (seq, self._head, list(write.neighbour_tags), self._lost(write), self._tenant_id, *write.key)

    def _lost(self, write: EntityWrite | AudienceWrite) -> str:
        lost = {**write.lost_tags, **dict.fromkeys(write.newly_lost, self._head)}
        return encode_json(lost)

    def _join(self, ordinal: int, entity: Entity) -> Sequence[object]:
        key = (entity.kind, entity.entity_id)
        device_id = self._plan.device.device_id
        return (self._tenant_id, self._head, ordinal, *key, device_id, canonical_state(entity))

    def _change(self, ordinal: int, recorded: Recorded) -> Sequence[object]:
        change, outcome, plan = recorded.change, recorded.outcome, self._plan
        is_pushed = (
            change.dot.device_id == plan.device.device_id and change.dot.counter <= plan.device_counter
        )
        was = None if change.was is UNSET or not is_storable(change.was.dot) else change.was
        return (
            self._tenant_id,
            change.dot.device_id,
            change.dot.counter,
            recorded.digest,
            as_name(change.kind),
            as_name(change.entity_id),
            change.op,
            outcome.status,
            encode_change(change),
            encode_json(outcome),
            self._head,
            ordinal,
            None if change.transaction_id is None else as_name(change.transaction_id),
            None if was is None else was.dot.device_id,
            None if was is None else was.dot.counter,
            None if was is None else was.digest,
            plan.subject_id if is_pushed else None,
        )
