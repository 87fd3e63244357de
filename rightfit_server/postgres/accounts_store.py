"""Devices in PostgreSQL: entering another id of a replica, noting that one was here."""

from rightfit_server.ports.storage import Identity, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.viewer import read_viewer

_SUCCEED = """
    INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, former_device_id, name)
    SELECT d.tenant_id, %s, d.subject_id, d.replica_id, d.device_id, d.name
    FROM app.devices d WHERE d.device_id = %s
"""
_SEEN = """
    UPDATE app.devices SET last_seen_at = now(), acknowledged_seq = greatest(acknowledged_seq, %s)
    WHERE tenant_id = %s AND device_id = %s
        AND (acknowledged_seq < %s OR last_seen_at IS NULL OR last_seen_at < now() - interval '1 hour')
"""


class PostgresDevices:
    """`ports.storage.DeviceTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `RemoteError` (401) for a device that may not speak."""
        return await read_viewer(self._connection, identity)

    async def succeed(self, identity: Identity, device_id: str) -> None:
        """Enter `device_id` as another id of the caller's replica."""
        await self._connection.execute(_SUCCEED, (device_id, identity.device_id))

    async def seen(self, identity: Identity, acknowledged_seq: int) -> None:
        """Note that the device was here, and up to which commit it has applied the feed."""
        parameters = (acknowledged_seq, self._tenant_id, identity.device_id, acknowledged_seq)
        await self._connection.execute(_SEEN, parameters)
