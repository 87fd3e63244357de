"""What a push reads and locks in PostgreSQL; what it writes is in `commit`.

Every statement is set-based: its number of rows grows with the push, the number of statements does not. A push that
meets nothing unforeseen goes to the database and back four times: who pushes, what the push names, where the feed
stands, and all that is written.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec
from psycopg import AsyncCursor, AsyncPipeline, sql
from psycopg.rows import TupleRow

from rightfit_server.ports.storage import CommitPlan, Committed, Identity, Named, Pusher, StoredEntity, Viewer
from rightfit_server.postgres.bulk import arrays
from rightfit_server.postgres.commit import write_commit
from rightfit_server.postgres.pipeline import answered
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import STORED_COLUMNS, columns, stored_entity
from rightfit_server.postgres.viewer import SET_TENANT, ask_chains, ask_viewer, viewer_found
from rightfit_sync.causality.dot import Dot
from rightfit_sync.identity import former_dots
from rightfit_sync.ingest.snapshot import Device, Key, Past, Receipt
from rightfit_sync.records import APPLIED, Alias, Change, Outcome
from rightfit_sync.state import decode_state

# One replica has one order of changes across its ids, so its first id's row is the one that its pushes wait for.
_REPLICA = """
    SELECT FROM app.devices WHERE device_id = (SELECT d.replica_id FROM app.devices d WHERE d.device_id = %s)
    FOR NO KEY UPDATE
"""
_COLLECTED = """
    SELECT DISTINCT p.kind, p.entity_id FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
        JOIN app.purged p ON p.kind = k.kind AND p.entity_id = k.entity_id
"""
_APPLIED = """
    SELECT c.kind, c.entity_id, c.device_id, c.counter, c.digest,
        CASE WHEN c.was_device_id IS NOT NULL THEN c.change::text END
    FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
        JOIN app.changes c ON c.kind = k.kind AND c.entity_id = k.entity_id
    WHERE c.status = ANY (%s)
"""
_JOINED = """
    SELECT j.kind, j.entity_id, j.state FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
        JOIN app.joins j ON j.kind = k.kind AND j.entity_id = k.entity_id
"""
# What is looked up by thousands of keys is looked up one by one, which `LATERAL` and `OFFSET 0` hold the planner to: it
# knows how many rows a tenant has on the average, if that, and would rather read all rows of one that has many more.
_RECEIPTS = """
    SELECT c.device_id, c.counter, c.digest, c.outcome::text
    FROM unnest(%s::text[], %s::bigint[], %s::integer[]) AS d (device_id, counter, is_said)
        CROSS JOIN LATERAL (
            SELECT * FROM app.changes c WHERE c.device_id = d.device_id AND c.counter = d.counter OFFSET 0
        ) c
    WHERE d.is_said = 1 OR c.status <> ALL (%s)
"""
_ALIASES = """
    SELECT was_device_id, was_counter, was_digest, device_id, counter, digest, outcome::text
    FROM app.changes WHERE was_device_id = ANY (%s) AND was_counter >= %s
"""
_LOCK = (
    sql.SQL("""
    SELECT {}
    FROM (SELECT * FROM unnest(%s::text[], %s::text[]) AS u (kind, entity_id) ORDER BY kind, entity_id) AS k
        CROSS JOIN LATERAL (
            SELECT * FROM app.entities e WHERE e.kind = k.kind AND e.entity_id = k.entity_id FOR UPDATE
        ) e
""")
    .format(STORED_COLUMNS)
    .as_string()
)
_HOLDERS = """
    SELECT r.target_kind, r.target_id, r.kind, r.entity_id
    FROM unnest(%s::text[], %s::text[]) AS t (kind, entity_id)
        JOIN app.entity_references r ON r.target_kind = t.kind AND r.target_id = t.entity_id
    WHERE %s OR (r.kind, r.path) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_OWN_TAGS = """
    SELECT e.kind, e.entity_id, e.own_tags
    FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
        JOIN app.entities e ON e.kind = k.kind AND e.entity_id = k.entity_id
"""
_LENT_TAGS = """
    SELECT r.target_kind, r.target_id, array_agg(DISTINCT tag)
    FROM unnest(%s::text[], %s::text[]) AS t (kind, entity_id)
        JOIN app.entity_references r ON r.target_kind = t.kind AND r.target_id = t.entity_id
        JOIN app.entities h ON h.kind = r.kind AND h.entity_id = r.entity_id AND h.deleted_at IS NULL
        CROSS JOIN unnest(h.own_tags) AS tag
    WHERE (r.kind, r.path) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        AND NOT EXISTS (
            SELECT FROM unnest(%s::text[], %s::text[]) AS w (kind, entity_id)
            WHERE w.kind = r.kind AND w.entity_id = r.entity_id
        )
    GROUP BY r.target_kind, r.target_id
"""
_PLANNED_ANEW_FROM = 50
_decode_change = msgspec.json.Decoder(Change).decode
_decode_outcome = msgspec.json.Decoder(Outcome).decode


def _may_be_kept(keys: Collection[object]) -> Literal[False] | None:
    """Return psycopg's `prepare`: for many keys no plan is kept, since one from when tables were small may be slow."""
    return None if len(keys) < _PLANNED_ANEW_FROM else False


class PostgresIngest:
    """`ports.storage.IngestTransaction` on one connection, inside its pipeline: who asks who asks, begins."""

    def __init__(self, connection: Connection, pipeline: AsyncPipeline, tenant_id: str) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._tenant_id = tenant_id

    async def pusher(self, identity: Identity) -> Pusher:
        """Lock the replica and return the device; raises `UnknownDeviceError` for one that may not speak."""
        await self._begin()
        await self._connection.execute(_REPLICA, (identity.device_id,))
        # A statement of its own, so that it sees what those have done who held the lock before.
        viewer = await self._viewer(identity)
        return Pusher(viewer.device, viewer)

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""
        await self._begin()
        return await self._viewer(identity)

    async def _viewer(self, identity: Identity) -> Viewer:
        found = await ask_viewer(self._connection, identity)
        await answered(self._connection, self._pipeline)
        return await viewer_found(found, identity)

    async def _begin(self) -> None:
        await self._connection.execute("BEGIN")
        await self._connection.execute(SET_TENANT, (self._tenant_id,))

    async def chains(self, seqs: Collection[int]) -> dict[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""
        found = await ask_chains(self._connection, seqs)
        await answered(self._connection, self._pipeline)
        return dict(await found.fetchall())

    async def named(
        self, device: Device, dots: Collection[Dot], said: Collection[Dot], keys: Collection[Key]
    ) -> Named:
        """Return the receipts of `dots`, and by former name those of accepted changes; `lock` those of `keys`.

        Of dots that are not `said`, only named, those that tell more than that the change went into its entity.
        """
        spent = [dot for dot in dots if dot.device_id != device.device_id or dot.counter <= device.counter]
        asked = again = looked = None
        if spent:
            rows = [(dot.device_id, dot.counter, int(dot in said)) for dot in spent]
            names = (*arrays("text bigint integer", rows), sorted(APPLIED))
            asked = await self._connection.execute(_RECEIPTS, names, prepare=_may_be_kept(spent))
        if dots:
            ids = sorted({dot.device_id for dot in dots})
            again = await self._connection.execute(_ALIASES, (ids, min(dot.counter for dot in dots)))
        if keys:
            looked = await self._connection.execute(_LOCK, columns(keys), prepare=_may_be_kept(keys))
        await answered(self._connection, self._pipeline)
        return Named(
            {} if asked is None else await _receipts_found(asked),
            {} if again is None else await _aliases_found(again),
            {} if looked is None else await _entities_found(looked),
        )

    async def lock(self, keys: Collection[Key]) -> dict[Key, StoredEntity]:
        """Lock those entities that exist, in the order of their keys, and return them."""
        if not keys:
            return {}
        return await _entities_found(await self._asked(_LOCK, columns(keys), prepare=_may_be_kept(keys)))

    async def _asked(
        self, statement: str, parameters: Sequence[object], *, prepare: Literal[False] | None = None
    ) -> AsyncCursor[TupleRow]:
        """Return the answer to one question."""
        found = await self._connection.execute(statement, parameters, prepare=prepare)
        await answered(self._connection, self._pipeline)
        return found

    async def pasts(self, keys: Collection[Key]) -> dict[Key, Past]:
        """Return what these entities are made of."""
        applied: dict[Key, dict[Dot, str]] = {key: {} for key in keys}
        said_again: dict[Key, dict[Dot, Change]] = {key: {} for key in keys}
        joined: dict[Key, list[Mapping[str, int]]] = {key: [] for key in keys}
        rows = await self._asked(_APPLIED, (*columns(keys), sorted(APPLIED)))
        async for kind, entity_id, device_id, counter, digest, change in rows:
            applied[kind, entity_id][Dot(device_id, counter)] = digest
            if change is not None:
                again = _decode_change(change)
                said_again[kind, entity_id].update(dict.fromkeys(former_dots(again), again))
        async for kind, entity_id, state in await self._asked(_JOINED, columns(keys)):
            joined[kind, entity_id].append(decode_state(state).version_vector)
        return {key: Past(applied[key], joined[key], said_again[key]) for key in keys}

    async def collected(self, keys: Collection[Key]) -> set[Key]:
        """Return those of `keys` whose tombstone was collected once."""
        rows = await self._asked(_COLLECTED, columns(keys))
        return {(kind, entity_id) async for kind, entity_id in rows}

    async def holders(
        self, targets: Collection[Key], paths: Collection[Key] | None = None
    ) -> dict[Key, list[Key]]:
        """Return which entities refer to each target, by the given `(kind, path)`s or by any."""
        parameters = (*columns(targets), paths is None, *columns(paths or ()))
        found: dict[Key, list[Key]] = {}
        async for kind, entity_id, *holder in await self._asked(_HOLDERS, parameters):
            found.setdefault((kind, entity_id), []).append((holder[0], holder[1]))
        return found

    async def own_tags(self, keys: Collection[Key]) -> dict[Key, list[str]]:
        """Return the own tags of those entities that exist."""
        rows = await self._asked(_OWN_TAGS, columns(keys))
        return {(kind, entity_id): tags async for kind, entity_id, tags in rows}

    async def lent_tags(
        self, targets: Collection[Key], paths: Collection[Key], without: Collection[Key]
    ) -> dict[Key, frozenset[str]]:
        """Return what living holders lend to each target by these `(kind, path)`s, without those given."""
        parameters = (*columns(targets), *columns(paths), *columns(without))
        rows = await self._asked(_LENT_TAGS, parameters)
        return {(kind, entity_id): frozenset(tags) async for kind, entity_id, tags in rows}

    async def commit(self, plan: CommitPlan) -> Committed:
        """Write all of `plan` and return the commit; raises `ContentionError`."""
        return await write_commit(self._connection, self._pipeline, self._tenant_id, plan)


async def _receipts_found(found: AsyncCursor[TupleRow]) -> dict[Dot, Receipt]:
    receipts: dict[Dot, Receipt] = {}
    async for device_id, counter, digest, outcome in found:
        dot = Dot(device_id, counter)
        receipts[dot] = Receipt(dot, digest, _decode_outcome(outcome))
    return receipts


async def _aliases_found(found: AsyncCursor[TupleRow]) -> dict[Alias, Receipt]:
    aliases: dict[Alias, Receipt] = {}
    async for was_id, was_counter, was_digest, device_id, counter, digest, outcome in found:
        receipt = Receipt(Dot(device_id, counter), digest, _decode_outcome(outcome))
        if receipt.outcome.is_accepted:
            aliases[Alias(Dot(was_id, was_counter), was_digest)] = receipt
    return aliases


async def _entities_found(found: AsyncCursor[TupleRow]) -> dict[Key, StoredEntity]:
    stored = map(stored_entity, await found.fetchall())
    return {(one.entity.kind, one.entity.entity_id): one for one in stored}
