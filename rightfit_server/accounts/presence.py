"""Noting which device was here, and how far it has applied the feed: what decides when a tombstone may go.

A device with nothing to say would cost a write each time that it looks; so a position that was noted within the hour
is not noted again. Nor does each edit that reaches a device which listens cost a write: while news follows news its
position is noted now and then, and when things are quiet. Reading goes on where nothing can be written: then it is
noted another time, and tombstones stay until it is.
"""

from collections.abc import Callable
from time import monotonic

import structlog

from rightfit_server.ports.storage import ContentionError, Identity, Storage, UnavailableError

NOTED_SECONDS = 3600
NOTED_WHILE_BUSY_SECONDS = 10
REMEMBERED_MAX = 50_000
"""Devices remembered per process; beyond it all are forgotten, which costs a write each."""

_log = structlog.get_logger(__name__)


class Presence:
    """Notes devices. `clock` returns seconds."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._noted: dict[tuple[str, str], tuple[int, float]] = {}

    async def note(self, identity: Identity, acknowledged_seq: int, *, is_busy: bool = False) -> None:
        """Note that the device has applied the feed up to `acknowledged_seq`; `is_busy` says that it will be back."""
        key, now = (identity.tenant_id, identity.device_id), self._clock()
        seq, at = self._noted.get(key, (-1, 0.0))
        if now - at < NOTED_SECONDS and acknowledged_seq <= seq:
            return
        if now - at < NOTED_WHILE_BUSY_SECONDS and is_busy:
            return
        if len(self._noted) >= REMEMBERED_MAX:
            self._noted.clear()
        try:
            await self._storage.seen(identity, acknowledged_seq)
        except (UnavailableError, ContentionError) as error:
            _log.warning("presence_not_noted", reason=type(error).__name__, detail=str(error)[:200])
            return
        self._noted[key] = (acknowledged_seq, now)
