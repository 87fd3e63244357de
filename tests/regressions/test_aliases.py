"""Two clones of one device may spend one dot on different changes; an alias must not answer for both."""

import msgspec
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, Outcome, Schema
from rightfit_sync.identity import renamed
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Alias, digest, rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"item": {"fields": {"name": {"type": "str"}}, "audience": ["all"]}}},
    Schema,
)


def create(device_id: str, name: str) -> Change:
    patches = {"name": {"value": name}}
    facts = {"dot": [device_id, 1], "kind": "item", "entity_id": name, "op": "create", "patches": patches}
    return msgspec.convert(facts, Change)


def world() -> MemoryAuthority:
    authority = MemoryAuthority(SCHEMA)
    for device_id in ("a", "b", "c"):
        authority.register(device_id, "everybody")
    return authority


def push(authority: MemoryAuthority, change: Change, known_as: str | None = None) -> str:
    pushed = Pushed(change, known_as or digest(change))
    receipts, _ = authority.push(change.dot.device_id, [pushed], 1)
    return receipts[0].outcome.status


def test_an_alias_does_not_swallow_the_other_clones_change() -> None:
    authority = world()
    ours, theirs = create("a", "ours"), create("a", "theirs")
    renamed = replace(theirs, dot=Dot("b", 1), was=Alias(theirs.dot, digest(theirs)))
    assert push(authority, renamed) == "applied"
    assert push(authority, ours) == "applied"
    assert sorted(key[1] for key in authority.held) == ["ours", "theirs"]


def test_a_change_that_two_clones_renamed_is_accepted_once() -> None:
    authority = world()
    original = create("a", "ours")
    was = Alias(original.dot, digest(original))
    assert push(authority, replace(original, dot=Dot("b", 1), was=was)) == "applied"
    assert push(authority, replace(original, dot=Dot("c", 1), was=was)) == "duplicate"
    assert push(authority, original) == "duplicate"


def _no_edits(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    return rejected("no_edits", "not here") if change.op == "edit" else None


def test_F02_who_deletes_what_it_said_again_under_another_id_has_seen_it() -> None:
    authority = world()
    authority.grant("everybody", ["all"])
    device = MemoryDevice("a", SCHEMA)
    device.create(("item", "1"), {"name": "ours"})
    request = device.request()
    authority.authorize = _no_edits
    device.edit(("item", "1"), {"name": "mine"})
    device.delete(("item", "1"))
    authority.sync("a", request, 1)
    device.core.take_new_id()
    device.sync(authority, 2)
    assert not authority.conflicts(("item", "1"))
    assert device.view(("item", "1")) == {}


def test_F05_what_is_said_again_names_only_its_own_record() -> None:
    """A restored file spent `a:1` on one record, and holds another that the original had edited as `a:1`."""
    spent = create("a", "theirs")
    patches = {"name": {"value": "new", "base": "old", "replaces": [["a", 1]]}}
    facts = {"dot": ["a", 2], "kind": "item", "entity_id": "ours", "op": "edit", "base": {"a": 1}}
    edit = msgspec.convert({**facts, "patches": patches}, Change)
    first, second = renamed([Entry(spent, digest(spent)), Entry(edit, digest(edit))], "b")
    assert (first.change.dot, second.change.dot) == (Dot("b", 1), Dot("b", 2))
    assert second.change.patches["name"].replaces == [Dot("a", 1)]
    assert second.change.base == {"a": 1}
