"""A dot is the name of one change: `(device_id, counter)`.

A device's counter grows by one with each change, over all entities, and is never used again. In JSON a dot is
`[device_id, counter]`; inside a sibling it carries the time of writing as well: `[device_id, counter,
written_at]`, in milliseconds since 1970 UTC, for display alone.

Source: docs/explanation/semantics.md, sections 2 and 10 (dotted version vectors: Preguiça et al., 2010).
"""

from collections.abc import Iterable

import msgspec

AUTHORITY_PREFIX = "server:"
"""Device ids that begin with this belong to the authority; the rest of the id is its epoch."""


class Dot(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The name of one change."""

    device_id: str
    counter: int

    def __str__(self) -> str:
        return f"{self.device_id}:{self.counter}"


class WrittenDot(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A dot as a sibling holds it, with `written_at` in milliseconds since 1970 UTC (display only)."""

    device_id: str
    counter: int
    written_at: int

    @property
    def dot(self) -> Dot:
        """The dot alone."""
        return Dot(self.device_id, self.counter)


def is_authority(device_id: str) -> bool:
    """Whether `device_id` names the authority rather than a device."""
    return device_id.startswith(AUTHORITY_PREFIX)


def without(dots: Iterable[WrittenDot], removed: frozenset[tuple[str, int]]) -> list[WrittenDot]:
    """Return `dots` less those whose `(device_id, counter)` is in `removed`, order kept."""
    return [dot for dot in dots if (dot.device_id, dot.counter) not in removed]


def union(left: Iterable[WrittenDot], right: Iterable[WrittenDot]) -> list[WrittenDot]:
    """Return both, sorted, each dot once with the greater `written_at` of the two."""
    greatest: dict[tuple[str, int], WrittenDot] = {}
    for dot in (*left, *right):
        name = (dot.device_id, dot.counter)
        known = greatest.get(name)
        if known is None or dot.written_at > known.written_at:
            greatest[name] = dot
    return [greatest[name] for name in sorted(greatest)]
