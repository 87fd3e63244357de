"""A text whose pending edits build on a rejected one falls back to the trunk, and can be edited again."""

import msgspec

from rightfit_sync import Change, Entity, Outcome, Schema
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"note": {"fields": {"body": {"merge": "text"}}, "audience": ["all"]}}},
    Schema,
)
NOTE = ("note", "1")


def not_bad(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    said = any(patch.value == "hello bad" for patch in change.patches.values())
    return rejected("forbidden", "not this word") if said else None


def test_typing_goes_on_after_a_rejection() -> None:
    authority = MemoryAuthority(SCHEMA, authorize=not_bad)
    authority.grant("everybody", ["all"])
    authority.register("a", "everybody")
    device = MemoryDevice("a", SCHEMA)
    device.create(NOTE, {"body": "hello"})
    device.sync(authority, 1)
    device.edit(NOTE, {"body": "hello bad"})
    device.edit(NOTE, {"body": "hello bad man"})
    device.exchange(authority, 2, changes_max=1)
    assert rejected_codes(device) == ["forbidden"]
    assert device.view(NOTE) == {"body": "hello"}
    device.edit(NOTE, {"body": "hello world"})
    assert device.view(NOTE) == {"body": "hello world"}
    device.sync(authority, 3)
    assert rejected_codes(device) == ["forbidden", "depends_on_rejected"]
    assert device.view(NOTE) == {"body": "hello world"}
