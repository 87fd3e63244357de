"""Devices in PostgreSQL: entering ids, noting that one was here."""

from rightfit_server.ports.storage import DeviceRow, Identity, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.viewer import read_viewer

_DEVICE = """
    SELECT subject_id, replica_id, revoked_at IS NOT NULL FROM app.devices
    WHERE tenant_id = %s AND device_id = %s FOR NO KEY UPDATE
"""
# Whoever enters an id that another request has just entered finds that one, and looks whose it is.
_READMIT = """
    INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, name)
    SELECT s.tenant_id, %s, s.subject_id, %s, 'entered again after a restore'
    FROM app.subjects s WHERE s.tenant_id = %s AND s.subject_id = %s
    ON CONFLICT (tenant_id, device_id) DO NOTHING
"""
# The former id is that which the replica took last, so that a purge waits for the newest one alone.
_SUCCEED = """
    INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, former_device_id, name, epoch)
    SELECT d.tenant_id, %s, d.subject_id, d.replica_id, d.device_id, d.name, t.epoch
    FROM app.devices d JOIN app.tenants t ON t.tenant_id = d.tenant_id
    WHERE d.tenant_id = %s AND d.replica_id = %s
    ORDER BY d.created_at DESC, (d.device_id = d.replica_id), d.device_id DESC LIMIT 1
    ON CONFLICT (tenant_id, device_id) DO NOTHING
"""
_SEEN = """
    UPDATE app.devices SET last_seen_at = now(), acknowledged_seq = greatest(acknowledged_seq, %s)
    WHERE tenant_id = %s AND device_id = %s
        AND (acknowledged_seq < %s OR last_seen_at IS NULL OR last_seen_at < now() - interval '1 hour')
"""
# What a crash takes back of it is too little rather than too much: tombstones are kept for longer.
_UNHURRIED = "SELECT set_config('synchronous_commit', 'off', true)"


class PostgresDevices:
    """`ports.storage.DeviceTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""
        return await read_viewer(self._connection, identity)

    async def device(self, device_id: str) -> DeviceRow | None:
        """Lock a device and return what is known of it."""
        row = await (await self._connection.execute(_DEVICE, (self._tenant_id, device_id))).fetchone()
        return None if row is None else DeviceRow(*row)

    async def count_ids(self, replica_id: str) -> int:
        """Return how many ids a replica has used."""
        cursor = await self._connection.execute(
            "SELECT count(*) FROM app.devices WHERE tenant_id = %s AND replica_id = %s",
            (self._tenant_id, replica_id),
        )
        row = await cursor.fetchone()
        return 0 if row is None else int(row[0])

    async def readmit(self, identity: Identity) -> None:
        """Enter the token's device, of which a restore has left no trace, if its subject is there."""
        token = identity.token_device_id
        await self._connection.execute(_READMIT, (token, token, self._tenant_id, identity.subject_id))

    async def succeed(self, replica_id: str, device_id: str) -> None:
        """Enter `device_id` as another id of a replica, if nobody has it."""
        await self._connection.execute(_SUCCEED, (device_id, self._tenant_id, replica_id))


async def note_seen(connection: Connection, identity: Identity, acknowledged_seq: int) -> None:
    """Note that the device was here, and up to which commit it has applied the feed; no disk is waited for."""
    await connection.execute(_UNHURRIED)
    parameters = (acknowledged_seq, identity.tenant_id, identity.device_id, acknowledged_seq)
    await connection.execute(_SEEN, parameters)
