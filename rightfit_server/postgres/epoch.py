"""A new epoch: what a tenant gets when its database was restored from a backup.

Cursors of the former epoch are answered `epoch_changed`, so that devices offer what the backup does not know; the
authority's own changes from now on carry another device id, so that no dot is ever spent twice. An operator who
restores begins one (`begin_epoch`, with the owner's connection); where nobody said so, the first device that had seen
more gives the restore away, and the service begins one itself (`PostgresEpochs`).
"""

from collections.abc import Collection
from secrets import token_hex

from rightfit_server.postgres.administration import Connection, tenant
from rightfit_server.postgres.pool import Connection as ServiceConnection
from rightfit_server.postgres.viewer import read_chains
from rightfit_sync.causality.dot import AUTHORITY_PREFIX
from rightfit_sync.errors import LocalError

_BEGIN = "UPDATE app.tenants SET epoch = %s, authority_counter = 0, restored_at = now() WHERE tenant_id = %s"
_ENTER = """
    INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, name, epoch)
    VALUES (%s, %s, NULL, %s, 'the authority itself', %s)
"""


def begin_epoch(connection: Connection, tenant_id: str) -> str:
    """Begin a new epoch of a tenant and return its name. Raises `LocalError` (`unknown_tenant`)."""
    epoch = _fresh_name()
    with tenant(connection, tenant_id):
        if connection.execute(_BEGIN, (epoch, tenant_id)).rowcount != 1:
            raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id")
        connection.execute(_ENTER, _authority(tenant_id, epoch))
    return epoch


def _fresh_name() -> str:
    return f"e{token_hex(4)}"


def _authority(tenant_id: str, epoch: str) -> tuple[str, str, str, str]:
    device_id = AUTHORITY_PREFIX + epoch
    return tenant_id, device_id, device_id, epoch


class PostgresEpochs:
    """`ports.storage.EpochTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: ServiceConnection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def lock(self) -> str:
        """Keep others from committing, and return the present epoch."""
        cursor = await self._connection.execute(
            "SELECT epoch FROM app.tenants WHERE tenant_id = %s FOR NO KEY UPDATE", (self._tenant_id,)
        )
        row = await cursor.fetchone()
        return "" if row is None else str(row[0])

    async def chains(self, seqs: Collection[int]) -> dict[int, str]:
        """Return the chain hashes of those commits that there are."""
        return await read_chains(self._connection, seqs)

    async def begin(self) -> str:
        """Begin a new epoch and return its name."""
        epoch = _fresh_name()
        await self._connection.execute(_BEGIN, (epoch, self._tenant_id))
        await self._connection.execute(_ENTER, _authority(self._tenant_id, epoch))
        return epoch
