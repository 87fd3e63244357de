"""Letting a replica write under another id, and letting in again whom a restore forgot.

| the id under which a request is made | is |
|---|---|
| the token's own | known; or forgotten by a restore, since devices are never deleted: it is entered again |
| one that nobody has | entered, as the successor of the replica's ids; at most `IDS_PER_REPLICA_MAX` of them |
| one of the token's replica | fine |
| anybody else's, signed out, or the authority's | 403 `wrong_device`, always in the same words |

A change of id needs nobody's leave: a replica takes one whenever in doubt (docs/explanation/semantics.md, section 8).
The token stays the same. A device that is entered again has lost its past here, so that it writes under a new id only.
"""

import structlog

from rightfit_server.ports.storage import (
    DeviceRow,
    DeviceTransaction,
    Identity,
    Storage,
    UnknownDeviceError,
)
from rightfit_sync.causality.dot import is_authority
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import IDS_PER_REPLICA_MAX

_log = structlog.get_logger(__name__)


class Entering:
    """Enters ids."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def enter(self, identity: Identity) -> None:
        """See that `identity` may speak; raises `RemoteError` (401, 403) where it may not."""
        device_id = identity.device_id
        if is_authority(device_id):
            raise _wrong_device()
        async with self._storage.devices(identity.tenant_id) as transaction:
            token = await self._token(transaction, identity)
            if device_id != identity.token_device_id:
                await self._succeed(transaction, token, device_id)

    async def _token(self, transaction: DeviceTransaction, identity: Identity) -> DeviceRow:
        found = await transaction.device(identity.token_device_id)
        if found is None:
            await transaction.readmit(identity)
            found = await transaction.device(identity.token_device_id)
            if found is not None:
                names = {"tenant_id": identity.tenant_id, "device_id": identity.token_device_id}
                _log.warning("device_entered_again", **names, subject_id=identity.subject_id)
        if found is None or found.is_revoked or found.subject_id != identity.subject_id:
            raise UnknownDeviceError
        return found

    async def _succeed(self, transaction: DeviceTransaction, token: DeviceRow, device_id: str) -> None:
        known = await transaction.device(device_id)
        if known is None:
            if await transaction.count_ids(token.replica_id) >= IDS_PER_REPLICA_MAX:
                message = (
                    f"a replica has at most {IDS_PER_REPLICA_MAX} ids in its life: sign the device in anew"
                )
                raise RemoteError("too_many_ids", message, status=403, path="device_id")
            await transaction.succeed(token.replica_id, device_id)
            known = await transaction.device(device_id)
        if known != token:
            raise _wrong_device()


def _wrong_device() -> RemoteError:
    message = "this is not an id of the token's replica: take another one, or use its own token"
    return RemoteError("wrong_device", message, status=403, path="device_id")
