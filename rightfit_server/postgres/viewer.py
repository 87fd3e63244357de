"""Who asks, and what that subject may see: read first in every transaction."""

from rightfit_server.ports.storage import Identity, TagGrant, TenantPosition, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_sync.errors import RemoteError

_VIEWER = """
    SELECT t.epoch, t.head, t.chain, t.authority_counter, t.purge_horizon, s.tags_seq,
        ARRAY(SELECT tag FROM app.subject_tags g WHERE g.subject_id = s.subject_id ORDER BY tag),
        ARRAY(SELECT granted_seq FROM app.subject_tags g WHERE g.subject_id = s.subject_id ORDER BY tag)
    FROM app.devices d
        JOIN app.subjects s ON s.tenant_id = d.tenant_id AND s.subject_id = d.subject_id
        JOIN app.tenants t ON t.tenant_id = d.tenant_id
    WHERE d.device_id = %s AND d.subject_id = %s AND d.revoked_at IS NULL
"""


async def read_viewer(connection: Connection, identity: Identity) -> Viewer:
    """Return what the caller may see; raises `RemoteError` (401) for a device that may not speak."""
    cursor = await connection.execute(_VIEWER, (identity.device_id, identity.subject_id))
    row = await cursor.fetchone()
    if row is None:
        message = "this device is not known here, or was signed out: sign in again"
        raise RemoteError("unauthorized", message, status=401)
    epoch, head, chain, authority_counter, horizon, tags_seq, tags, granted = row
    return Viewer(
        position=TenantPosition(epoch, head, chain, authority_counter, horizon),
        grants=[TagGrant(tag, seq) for tag, seq in zip(tags, granted, strict=True)],
        tags_seq=tags_seq,
    )
