"""Waiting for a commit: devices that asked with `?wait=` are woken when their tenant's feed moves on.

A commit of this process wakes them at once; one of another process is seen by looking now and then.
Waking carries no truth: who is woken pulls, and waits on if there was nothing for it. No database
connection is held meanwhile.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress


class Waiting:
    """The waiting devices of this process."""

    def __init__(self, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._events: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False

    def wake(self, tenant_id: str) -> None:
        """Wake everybody who waits for this tenant."""
        for event in self._events.pop(tenant_id, ()):
            event.set()

    async def wait(self, tenant_id: str, seconds: float) -> None:
        """Return when the tenant has committed, when it is time to look, or after `seconds`."""
        if self.is_closed:
            return
        event = asyncio.Event()
        self._events[tenant_id].add(event)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._poll_seconds)):
                await event.wait()
        waiting = self._events.get(tenant_id, set())
        waiting.discard(event)
        if not waiting:
            self._events.pop(tenant_id, None)

    def close(self) -> None:
        """Wake everybody, and let nobody wait from now on: the process is to end."""
        self.is_closed = True
        for tenant_id in list(self._events):
            self.wake(tenant_id)
