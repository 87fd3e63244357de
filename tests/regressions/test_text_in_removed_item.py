"""A text with unsent edits stands still, but not in an item that its own author removes.

Who types a note and removes its item does not see it any more; who removes an item and types into what survives of it
sees what was typed: a run begins with what was shown.
"""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.testing.device import MemoryDevice
from tests.regressions.everybody import authority_of

NOTE = {"merge": "text", "type": "str"}
FIELDS = {"items": {"merge": "keyed_list", "type": "list", "fields": {"note": NOTE}}}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"list": {"fields": FIELDS, "audience": ["all"]}}}, Schema
)
LIST = ("list", "1")


def test_what_was_typed_goes_with_the_item() -> None:
    ann = MemoryDevice("ann", SCHEMA)
    ann.create(LIST, {"items/7": "V"})
    ann.edit(LIST, {"items/7/note": "red"})
    ann.edit(LIST, {"items/7": None})
    assert ann.view(LIST)["items"] == []
    assert not ann.conflicts(LIST)


def test_what_is_typed_after_the_removal_is_on_screen() -> None:
    ann = MemoryDevice("ann", SCHEMA, clock=lambda: 2_000)
    bob = MemoryDevice("bob", SCHEMA, clock=lambda: 1_000)
    authority = authority_of(SCHEMA, ann, bob)
    ann.create(LIST, {"items/7": "V"})
    for device in (ann, bob):
        device.sync(authority, 3_000)
    ann.edit(LIST, {"items/7/note": "red"})
    bob.edit(LIST, {"items/7/note": "blue"})
    for device in (ann, bob, ann, bob):
        device.sync(authority, 3_000)
    assert bob.view(LIST)["items"] == [{"id": "7", "position": "V", "note": "red"}]
    bob.edit(LIST, {"items/7": None})
    assert bob.view(LIST)["items"] == [{"id": "7", "note": "blue"}]
    bob.edit(LIST, {"items/7/note": "blue sky"})
    assert bob.view(LIST)["items"] == [{"id": "7", "note": "blue sky"}]


def test_what_went_with_the_item_stays_gone_while_more_is_typed() -> None:
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA)
    authority = authority_of(SCHEMA, ann, bob)
    ann.create(LIST, {"items/7": "V"})
    for device in (ann, bob):
        device.sync(authority, 3_000)
    bob.edit(LIST, {"items/7": "W"})
    bob.sync(authority, 3_000)
    ann.edit(LIST, {"items/7/note": "red"})
    ann.edit(LIST, {"items/7": None})
    ann.edit(LIST, {"items/7/note": "blue"})
    ann.edit(LIST, {"items/7/note": "blue sky"})
    # The last of them is still to be pushed: the run is open, and the removal has come back with the trunk.
    planned = ann.core.plan_push(changes_max=3, bytes_max=10_000)
    ann.core.take_receipts(authority.push("ann", planned, 3_000)[0])
    ann.core.take_page(authority.pull("ann", ann.core.store.state().cursor, 10))
    assert [one.value for one in ann.entity(LIST).fields["items/7/note"]] == ["blue sky"]
    for device in (ann, bob):
        device.sync(authority, 3_000)
    assert bob.view(LIST)["items"] == [{"id": "7", "note": "blue sky"}]
