"""A new epoch: what a tenant gets when its database was restored from a backup.

Cursors of the former epoch are answered `epoch_changed`, so that devices offer what the backup does not
know; the authority's own changes from now on carry another device id, so that no dot is ever spent twice.
"""

from secrets import token_hex

from rightfit_server.postgres.administration import Connection, tenant
from rightfit_sync.causality.dot import AUTHORITY_PREFIX
from rightfit_sync.errors import LocalError


def begin_epoch(connection: Connection, tenant_id: str) -> str:
    """Begin a new epoch of a tenant and return its name. Raises `LocalError` (`unknown_tenant`)."""
    epoch = f"e{token_hex(4)}"
    with tenant(connection, tenant_id):
        device_id = AUTHORITY_PREFIX + epoch
        done = connection.execute(
            "UPDATE app.tenants SET epoch = %s, authority_counter = 0 WHERE tenant_id = %s",
            (epoch, tenant_id),
        )
        if done.rowcount != 1:
            raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id")
        connection.execute(
            "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, name)"
            " VALUES (%s, %s, NULL, %s, 'the authority itself')",
            (tenant_id, device_id, device_id),
        )
    return epoch
