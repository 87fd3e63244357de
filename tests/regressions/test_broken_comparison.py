"""A comparison that breaks off has taken rows whose numbers nothing durable proves: they are held without them.

Were the authority put back then, what it does next has lower numbers, and would seem old for good.
"""

import msgspec

from rightfit_sync import Schema
from rightfit_sync.reconcile import Reconciliation
from rightfit_sync.testing.device import MemoryDevice
from tests.regressions.everybody import authority_of

FIELDS = {"name": {"type": "str"}}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"site": {"fields": FIELDS, "audience": ["all"]}}}, Schema
)
MILL, YARD = ("site", "mill"), ("site", "yard")


def test_F08_what_follows_a_restore_is_no_older_than_what_a_broken_comparison_had_brought() -> None:
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA)
    authority = authority_of(SCHEMA, ann, bob)
    for key in (MILL, YARD):
        bob.create(key, {"name": "old"})
    for device in (bob, ann):
        device.sync(authority, 1)
    backup = authority.copy()
    for word in ("new", "newer", "newer still", "newer than that"):
        for key in (MILL, YARD):
            bob.edit(key, {"name": word})
        bob.sync(authority, 2)

    ann.core.begin_reconciling(is_other_past=True)
    steps = Reconciliation(ann.core, rows_max=1).steps()
    request = next(steps)
    while ann.view(MILL)["name"] == "old":
        request = steps.send(authority.reconcile("ann", request, 3))
    steps.close()
    authority.put_back(backup)
    for device in (bob, ann):
        device.sync(authority, 4)
    assert ann.view(MILL) == ann.view(YARD) == {"name": "newer than that"}

    bob.edit(MILL, {"name": "newest"})
    for device in (bob, ann):
        device.sync(authority, 5)
    assert ann.view(MILL) == {"name": "newest"}
