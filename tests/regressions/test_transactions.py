"""Transactions stand and fall whole, and only by themselves."""

import msgspec

from rightfit_sync import Change, Entity, Outcome, Schema
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"item": {"fields": {"name": {"type": "str"}}, "audience": ["all"]}}},
    Schema,
)


def not_bad(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    said = any(patch.value == "bad" for patch in change.patches.values())
    return rejected("forbidden", "not this word") if said else None


def world() -> tuple[MemoryDevice, MemoryAuthority]:
    authority = MemoryAuthority(SCHEMA, authorize=not_bad)
    authority.grant("everybody", ["all"])
    authority.register("a", "everybody")
    return MemoryDevice("a", SCHEMA), authority


def test_a_rejected_change_does_not_take_the_next_transaction_with_it() -> None:
    device, authority = world()
    device.create(("item", "1"), {"name": "bad"})
    device.create(("item", "2"), {"name": "good"}, "t1")
    device.create(("item", "3"), {"name": "good"}, "t1")
    device.sync(authority, 1)
    assert rejected_codes(device) == ["forbidden"]
    assert sorted(key[1] for key in authority.held) == ["2", "3"]


def test_a_change_that_is_set_aside_takes_its_transaction_along() -> None:
    device, authority = world()
    kept = device.create(("item", "1"), {"name": "good"}, "t1")
    large = device.create(("item", "2"), {"name": "good"}, "t1")
    device.create(("item", "3"), {"name": "good"})
    assert kept is not None
    assert large is not None
    device.core.set_aside(large.dot, rejected("too_large", "split it"))
    device.sync(authority, 1)
    assert sorted(key[1] for key in authority.held) == ["3"]
    assert [one.change.dot for one in device.store.rejected()] == [kept.dot, large.dot]
    assert not list(device.store.pending())
