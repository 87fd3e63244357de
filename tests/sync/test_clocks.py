"""Clocks decide what is shown first and nothing else: whatever they say, the same history ends alike."""

from collections.abc import Callable
from itertools import count

import pytest

from rightfit_sync.records import Entity
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from tests.sync.history import JOB, SCHEMA

NOW = 1_763_830_000_000
TEN_YEARS = 315_360_000_000


def steady(start: int) -> Callable[[], int]:
    return count(start).__next__


def strobing(start: int) -> Callable[[], int]:
    steps = count()
    return lambda: start + (TEN_YEARS if next(steps) % 2 else -TEN_YEARS)


def said(entity: Entity) -> object:
    """Return all that an entity says, but for the times of writing."""
    fields = {
        path: [(one.value, [dot.dot for dot in one.dots], one.resolved) for one in siblings]
        for path, siblings in entity.fields.items()
    }
    life = [(record.op, record.dot, dict(record.version_vector)) for record in entity.life]
    return fields, life, dict(entity.version_vector)


def played(clocks: list[Callable[[], int]]) -> object:
    """Play one history with conflicts, merges, a resolution, a delete and a restore on two devices."""
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    a, b = (MemoryDevice(name, SCHEMA, clock=clock) for name, clock in zip("ab", clocks, strict=True))
    for device in (a, b):
        authority.register(device.token, "everybody")

    def sync(*devices: MemoryDevice) -> None:
        for device in devices:
            device.sync(authority, NOW)

    a.create(JOB, {"title": "Boiler", "notes": "it leaks", "cost": 10, "high": 1, "tags": ["x"]})
    sync(a, b)
    a.edit(JOB, {"title": "Boiler drips", "notes": "it leaks badly", "cost": 12, "high": 7})
    b.edit(JOB, {"title": "Boiler runs", "notes": "now it leaks", "cost": 11, "high": 5, "tags": ["y"]})
    sync(a, b, a)
    b.resolve(JOB, "title", "Boiler")
    a.delete(JOB)
    sync(a, b, a)
    b.restore(JOB)
    sync(b, a)
    entity = authority.entity(JOB)
    assert entity is not None
    assert a.entity(JOB) == b.entity(JOB) == entity
    return said(entity)


@pytest.mark.parametrize(("ours", "theirs"), [
    (steady(NOW - TEN_YEARS), steady(NOW)),
    (steady(NOW + TEN_YEARS), steady(NOW)),
    (steady(NOW), steady(NOW - TEN_YEARS)),
    (strobing(NOW), strobing(NOW)),
    (lambda: NOW, lambda: NOW),
    (lambda: 0, lambda: 2**53 - 1),
], ids=["slow", "fast", "other slow", "strobing", "equal", "ends of time"])  # fmt: skip
def test_F09_the_same_history_ends_alike_whatever_the_clocks_say(
    ours: Callable[[], int], theirs: Callable[[], int]
) -> None:
    assert played([ours, theirs]) == played([steady(NOW), steady(NOW)])
