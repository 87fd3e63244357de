"""Found by the simulation: access given and taken away again while a replica compares its copy."""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"item": {"fields": {"name": {"type": "str"}}, "audience": ["office"]}}},
    Schema,
)


def test_F11_rows_that_came_through_a_tag_held_for_a_moment_are_evicted() -> None:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("staff", ["office"])
    for device_id, subject in (("ann", "staff"), ("bob", "guest")):
        authority.register(device_id, subject)
    ann, bob = MemoryDevice("ann", SCHEMA, subject="staff"), MemoryDevice("bob", SCHEMA, subject="guest")
    authority.grant("guest", ["office"])
    for name in ("drill", "saw"):
        ann.create(("item", name), {"name": name})
    ann.sync(authority, 1)
    bob.sync(authority, 1)
    ann.create(("item", "hammer"), {"name": "hammer"})
    ann.sync(authority, 1)
    authority.grant("guest", [])
    bob.core.begin_reconciling()
    steps = bob.session()
    call = next(steps)
    for tags in (["office"], ["office"], [], []):
        response = authority.answer("bob", call.request, 2)
        authority.grant("guest", tags)
        if bob.store.state().must_reconcile:
            call = steps.send(response)
    steps.close()
    assert not bob.store.state().must_reconcile
    bob.sync(authority, 3)
    assert not bob.store.trunk_tags()
