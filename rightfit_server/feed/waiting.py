"""Waiting for a commit: devices that asked with `?wait=` are woken when their tenant's feed moves on.

A commit of this process wakes them at once; one of another process is seen by looking now and then.
Waking carries no truth: who is woken pulls, and waits on if there was nothing for it. No database
connection is held meanwhile. Who listens before it looks misses nothing that is committed after the look.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Waiting:
    """The waiting devices of this process."""

    def __init__(self, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._events: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False

    def wake(self, tenant_id: str) -> None:
        """Wake everybody who waits for this tenant."""
        for event in self._events.get(tenant_id, ()):
            event.set()

    @contextmanager
    def listening(self, tenant_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set by each commit of the tenant in this process; its holder clears it."""
        event = asyncio.Event()
        self._events[tenant_id].add(event)
        try:
            yield event
        finally:
            listening = self._events[tenant_id]
            listening.discard(event)
            if not listening:
                del self._events[tenant_id]

    async def wait(self, news: asyncio.Event, seconds: float) -> None:
        """Return when `news` is set, when it is time to look, or after `seconds`."""
        if self.is_closed:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._poll_seconds)):
                await news.wait()

    def close(self) -> None:
        """Wake everybody, and let nobody wait from now on: the process is to end."""
        self.is_closed = True
        for tenant_id in list(self._events):
            self.wake(tenant_id)
