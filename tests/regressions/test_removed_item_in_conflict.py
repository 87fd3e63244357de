"""Removing an item must not take along a value of its fields that was not on screen, even one of the same change."""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

FIELDS = {"items": {"merge": "keyed_list", "type": "list", "fields": {"note": {"type": "str"}}}}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"list": {"fields": FIELDS, "audience": ["all"]}}}, Schema
)
LIST = ("list", "1")


def test_the_place_that_was_not_on_screen_survives() -> None:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA, clock=lambda: 1_000)
    for device in (ann, bob):
        authority.register(device.device_id, "everybody")
    ann.create(LIST, {"items/7": "V"})
    for device in (ann, bob):
        device.sync(authority, 1_000)
    ann.edit(LIST, {"items/7": "z", "items/7/note": "blue"})
    bob.edit(LIST, {"items/7": "A"})
    for device in (ann, bob, ann, bob):
        device.sync(authority, 1_000)
    assert bob.view(LIST)["items"] == [{"id": "7", "position": "A", "note": "blue"}]
    bob.edit(LIST, {"items/7": None})
    bob.sync(authority, 1_000)
    held = authority.entity(LIST)
    assert held is not None
    assert [sibling.value for sibling in held.fields["items/7"]] == ["z", None]
    assert "items/7" in [conflict.path for conflict in bob.conflicts(LIST)]


def test_the_value_that_was_not_on_screen_survives() -> None:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA, clock=lambda: 1_000)
    for device in (ann, bob):
        authority.register(device.device_id, "everybody")
    ann.create(LIST, {"items/7": "V"})
    for device in (ann, bob):
        device.sync(authority, 1_000)
    ann.edit(LIST, {"items/7": "z", "items/7/note": "blue"})
    bob.edit(LIST, {"items/7/note": "red"})
    for device in (ann, bob, ann, bob):
        device.sync(authority, 1_000)
    assert bob.view(LIST)["items"] == [{"id": "7", "position": "z", "note": "red"}]
    bob.edit(LIST, {"items/7": None})
    for device in (bob, ann):
        device.sync(authority, 1_000)
    held = authority.entity(LIST)
    assert held is not None
    assert [sibling.value for sibling in held.fields["items/7/note"]] == ["blue"]
    assert [conflict.path for conflict in ann.conflicts(LIST)] == ["items/7"]
    conflict = ann.conflicts(LIST)[0]
    ann.resolve(LIST, conflict.path, None)
    ann.sync(authority, 1_000)
    assert ann.view(LIST).get("items") in (None, [])
