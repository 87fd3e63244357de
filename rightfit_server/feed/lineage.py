"""Whether a device and this server share their past, and what to do when they do not.

A cursor names one or two commits with their chain hashes: where the device stands, and the newest that it has heard
of. Both must be in the feed as it is.

| cursor | means | answer |
|---|---|---|
| of another epoch | the restore is known | 409 `epoch_changed` |
| of this epoch, with a commit that is not here | a backup was put back unsaid | the same, from a new epoch |
| else | one past | |

Our own signature is the proof: nobody but this server made such a cursor, and nothing ever takes a commit away. So the
service begins the new epoch itself, and says so loudly: somebody should know that the database went back in time.
Fault F08 of docs/explanation/faults.md; docs/explanation/semantics.md, section 8.
"""

import structlog
from msgspec.structs import replace

from rightfit_server.feed.cursors import Cursors
from rightfit_server.ports.storage import Chains, Identity, Storage, Viewer
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS
from rightfit_sync.wire.cursor import Cursor

_log = structlog.get_logger(__name__)
_BEGINNING = {0: GENESIS}


class EpochChangedError(RemoteError):
    """The device knows another past: 409 `epoch_changed`."""

    def __init__(self, path: str = "cursor") -> None:
        message = "the server was restored from a backup since: take another device id, offer what it lacks"
        super().__init__("epoch_changed", message, status=409, path=path)


class PastLostError(EpochChangedError):
    """The device knows commits of the present epoch that are not there; `cursor` proves it."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__()
        self.cursor = cursor


class Lineage:
    """Reads cursors, and checks them against the feed."""

    def __init__(self, storage: Storage, cursors: Cursors) -> None:
        self._storage = storage
        self._cursors = cursors

    async def place(
        self, transaction: Chains, viewer: Viewer, identity: Identity, opaque: str | None
    ) -> Cursor:
        """Return what the cursor `opaque` says (None: the beginning), inside the transaction that goes by it.

        Raises `RemoteError`: 400 `cursor_invalid`, 403 `cursor_foreign`, 409 `epoch_changed` (`PastLostError` where it
        proves a restore that is not known).
        """
        position = viewer.position
        if opaque is None:
            names = (identity.tenant_id, identity.device_id, position.epoch)
            beginning = Cursor(*names, seq=0, chain=GENESIS, tags_seq=position.head)
            return replace(beginning, floor=position.purge_horizon)
        cursor = self._cursors.verify(opaque, identity.tenant_id, viewer.device.replica_ids)
        if cursor.epoch != position.epoch:
            raise EpochChangedError
        if not await is_known(transaction, cursor, {position.head: position.chain}):
            raise PastLostError(cursor)
        return cursor

    async def mend(self, identity: Identity, lost: PastLostError) -> None:
        """Begin a new epoch where `lost` proves that the present one has lost commits; once, whoever comes first."""
        cursor = lost.cursor
        async with self._storage.epochs(identity.tenant_id) as transaction:
            if await transaction.lock() != cursor.epoch or await is_known(transaction, cursor):
                return
            epoch = await transaction.begin()
        _log.error(
            "restore_noticed",
            tenant_id=identity.tenant_id,
            device_id=identity.device_id,
            lost_commit=max(cursor.seq, cursor.head),
            former_epoch=cursor.epoch,
            epoch=epoch,
            remedy="a backup was put back: find out who did it, and keep all devices until they have synced",
        )


async def is_known(transaction: Chains, cursor: Cursor, known: dict[int, str] | None = None) -> bool:
    """Whether all commits that `cursor` names are in the feed; `known` are some of its chain hashes."""
    heard = {cursor.seq: cursor.chain}
    if cursor.head:
        heard[cursor.head] = cursor.head_chain
    found = _BEGINNING | (known or {})
    missing = heard.keys() - found.keys()
    if missing:
        found |= await transaction.chains(missing)
    return all(found.get(seq) == chain for seq, chain in heard.items())
