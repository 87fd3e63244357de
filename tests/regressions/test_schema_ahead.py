"""B05: changes of an unknown kind wait, with what builds on them; all others flow."""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

KIND = {"fields": {"name": {"type": "str"}, "count": {"type": "int"}}, "audience": ["all"]}
OLD = msgspec.convert({"schema_version": 1, "kinds": {"item": KIND}}, Schema)
NEW = msgspec.convert({"schema_version": 2, "kinds": {"item": KIND, "gadget": KIND}}, Schema)


def test_B05_what_waits_for_an_upgrade_arrives_after_it() -> None:
    authority = MemoryAuthority(OLD)
    authority.grant("everybody", ["all"])
    authority.register("a", "everybody")
    device = MemoryDevice("a", NEW)
    device.create(("item", "1"), {"name": "spoon"})
    device.sync(authority, 1)

    device.create(("gadget", "g"), {"name": "whisk"}, "t1")
    device.edit(("item", "1"), {"name": "large spoon"}, "t1")
    device.create(("item", "2"), {"name": "fork"})
    device.sync(authority, 2)
    device.edit(("item", "1"), {"count": 3})
    device.create(("item", "3"), {"name": "knife"})
    device.sync(authority, 3)
    device.sync(authority, 4)
    assert sorted(key[1] for key in authority.held) == ["1", "2", "3"]
    assert device.view(("item", "1")) == {"name": "large spoon", "count": 3}
    assert len(list(device.store.pending())) == 3
    assert not device.store.rejected()
    assert not device.request().changes

    authority.schema = NEW
    device.sync(authority, 5)
    device.sync(authority, 6)
    assert not list(device.store.pending())
    assert not device.store.rejected()
    assert device.view(("item", "1")) == {"name": "large spoon", "count": 3}
    assert device.view(("gadget", "g")) == {"name": "whisk"}
