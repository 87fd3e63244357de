"""Entity ids: UUIDv7 (RFC 9562, section 5.7), made on the device, in the order of making.

48 bits of milliseconds since 1970 UTC, then 74 random bits. Ids of one process never fall, however many are
made in one millisecond and whatever the clock does: the next one is then the last one plus a random step.
"""

import secrets
import threading
import uuid
from collections.abc import Callable

_RANDOM_BITS = 74
_STEP_BITS = 32


class EntityIds:
    """Makes entity ids; `clock` gives milliseconds since 1970 UTC. May be shared by threads."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """Return a new id."""
        fresh = (self._clock() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = fresh
        high, low = fresh >> 62, fresh & ((1 << 62) - 1)
        milliseconds, twelve = high >> 12, high & 0xFFF
        number = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | twelve << 64 | 0b10 << 62 | low
        return str(uuid.UUID(int=number))
