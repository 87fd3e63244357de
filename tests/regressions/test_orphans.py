"""What comes back to life may refer to what has died meanwhile: an orphan, and it is listed."""

import msgspec

from rightfit_sync import Dot, Schema, changes
from rightfit_sync.changes import Stamp
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.records import digest
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.messages import Offer, ReconcileRequest
from tests.regressions.everybody import authority_of

SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "site": {"fields": {"name": {"type": "str"}}, "audience": ["all"]},
            "memo": {
                "fields": {"text": {"type": "str"}, "site_id": {"type": "str"}},
                "references": {"site_id": {"kind": "site", "on_delete": "cascade"}},
                "audience": ["all"],
            },
        },
    },
    Schema,
)
SITE, MEMO = ("site", "s"), ("memo", "m")


def world() -> tuple[MemoryAuthority, MemoryDevice, MemoryDevice]:
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA)
    authority = authority_of(SCHEMA, ann, bob)
    ann.create(SITE, {"name": "Mill"})
    ann.create(MEMO, {"text": "key under the mat", "site_id": "s"})
    ann.sync(authority, 1)
    bob.sync(authority, 1)
    return authority, ann, bob


def reasons(device: MemoryDevice) -> list[str]:
    return [conflict.reason for conflict in device.conflicts(MEMO)]


def test_an_edit_that_revives_a_cascaded_record_makes_an_orphan() -> None:
    authority, ann, bob = world()
    bob.edit(MEMO, {"text": "key with the neighbour"})
    ann.delete(SITE)
    ann.sync(authority, 2)
    assert ann.view(MEMO) == {}
    bob.sync(authority, 3)
    ann.sync(authority, 4)
    assert reasons(ann) == reasons(bob) == ["delete_edit", "orphan"]


def test_a_restored_record_whose_target_is_gone_is_an_orphan_until_that_comes_back() -> None:
    authority, ann, _ = world()
    ann.delete(SITE)
    ann.sync(authority, 2)
    ann.restore(MEMO)
    ann.sync(authority, 3)
    assert reasons(ann) == ["orphan"]
    ann.restore(SITE)
    ann.sync(authority, 4)
    assert reasons(ann) == []


def test_F08_what_is_given_back_before_its_target_is_an_orphan_until_that_is_said_again() -> None:
    """The target comes as a create, which may be named already: what was given back proves that something was lost."""
    authority, _, bob = world()
    empty = authority_of(SCHEMA, bob)
    memo = authority.held[MEMO]
    offer = ReconcileRequest(1, 1, "bob", offers=[Offer(memo.entity, memo.seal)])
    assert not empty.reconcile("bob", offer, 5).refused
    assert empty.held[MEMO].orphans == ["site_id"]
    said = changes.create("site", "s", {"name": "Mill"}, Stamp(Dot("bob", 1), 6), SCHEMA)
    (receipt,), _ = empty.push("bob", [Pushed(said, digest(said))], 6)
    assert receipt.outcome.status == "applied"
    assert not empty.held[MEMO].orphans
