"""Who asks, and what that subject may see: read first in every transaction."""

from collections.abc import Collection

from psycopg import AsyncCursor
from psycopg.rows import TupleRow

from rightfit_server.ports.storage import Identity, TagGrant, TenantPosition, UnknownDeviceError, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_sync.ingest.snapshot import Device

SET_TENANT = "SELECT set_config('app.tenant_id', %s, true)"
"""Sets the tenant of the transaction, inside a pipeline."""

# The id that is written under and the token's own must be alive and of one replica of the subject.
_VIEWER = """
    SELECT t.epoch, t.head, t.chain, t.authority_counter, t.purge_horizon, t.restored_at IS NOT NULL, s.tags_seq,
        ARRAY(SELECT tag FROM app.subject_tags g WHERE g.subject_id = s.subject_id ORDER BY tag),
        ARRAY(SELECT granted_seq FROM app.subject_tags g WHERE g.subject_id = s.subject_id ORDER BY tag),
        d.counter, d.epoch, ARRAY(SELECT r.device_id FROM app.devices r WHERE r.replica_id = d.replica_id)
    FROM app.devices d
        JOIN app.devices k ON k.tenant_id = d.tenant_id AND k.replica_id = d.replica_id
        JOIN app.subjects s ON s.tenant_id = d.tenant_id AND s.subject_id = d.subject_id
        JOIN app.tenants t ON t.tenant_id = d.tenant_id
    WHERE d.device_id = %s AND d.subject_id = %s AND d.revoked_at IS NULL
        AND k.device_id = %s AND k.subject_id = d.subject_id AND k.revoked_at IS NULL
"""


async def read_viewer(connection: Connection, identity: Identity) -> Viewer:
    """Return what the caller may see; raises `UnknownDeviceError` (401) for a device that may not speak."""
    return await viewer_found(await ask_viewer(connection, identity), identity)


async def ask_viewer(connection: Connection, identity: Identity) -> AsyncCursor[TupleRow]:
    """Ask what the caller may see; `viewer_found` reads the answer, in a pipeline after its end."""
    return await connection.execute(
        _VIEWER, (identity.device_id, identity.subject_id, identity.token_device_id)
    )


async def viewer_found(found: AsyncCursor[TupleRow], identity: Identity) -> Viewer:
    """Return what `ask_viewer` has found; raises `UnknownDeviceError` (401) for a device that may not speak."""
    row = await found.fetchone()
    if row is None:
        raise UnknownDeviceError
    position, (tags_seq, tags, granted, counter, entered_epoch, replica_ids) = row[:6], row[6:]
    return Viewer(
        position=TenantPosition(*position),
        grants=[TagGrant(tag, seq) for tag, seq in zip(tags, granted, strict=True)],
        tags_seq=tags_seq,
        device=Device(identity.device_id, counter, frozenset(replica_ids)),
        entered_epoch=entered_epoch,
    )


async def read_chains(connection: Connection, seqs: Collection[int]) -> dict[int, str]:
    """Return the chain hashes of those commits that there are, by their number."""
    return dict(await (await ask_chains(connection, seqs)).fetchall())


async def ask_chains(connection: Connection, seqs: Collection[int]) -> AsyncCursor[TupleRow]:
    """Ask for the chain hashes of those commits that there are; each row is a number and its hash."""
    return await connection.execute("SELECT seq, chain FROM app.commits WHERE seq = ANY (%s)", (list(seqs),))
