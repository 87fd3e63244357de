"""Found by the simulation: one edit is set aside; those that build on it will be refused, all others stay on screen.

The screen dropped every later edit of the record, although the authority would take them in, and who edited what was
left of it came to be in conflict with oneself.
"""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

FIELDS = {"title": {"type": "str"}, "note": {"type": "str"}, "count": {"merge": "counter", "type": "int"}}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"item": {"fields": FIELDS, "audience": ["all"]}}}, Schema
)
ITEM = ("item", "1")


def test_what_does_not_build_on_an_edit_that_was_set_aside_stays_on_screen() -> None:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    authority.register("ann", "everybody")
    ann = MemoryDevice("ann", SCHEMA)
    ann.create(ITEM, {"title": "red", "note": "old", "count": 1})
    ann.sync(authority, 1)
    aside = ann.edit(ITEM, {"title": "green"})
    assert aside is not None
    ann.edit(ITEM, {"title": "blue"})
    ann.edit(ITEM, {"note": "new"})
    ann.edit(ITEM, {"count": 2})
    ann.core.set_aside(aside.dot, rejected("discarded", "not this"))
    assert ann.view(ITEM) == {"title": "red", "note": "new", "count": 2}
    ann.edit(ITEM, {"note": "newer"})
    ann.sync(authority, 2)
    assert ann.view(ITEM) == {"title": "red", "note": "newer", "count": 2}
    assert not ann.conflicts(ITEM)
    assert rejected_codes(ann) == ["discarded", "depends_on_rejected"]
