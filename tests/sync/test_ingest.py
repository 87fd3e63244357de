"""What the authority decides about a push: one receipt per dot, for ever, and nothing half done."""

import msgspec
import pytest
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, LifeRecord, Outcome, Patch, Schema, Sibling, Stamp
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.changes import create, delete, edit
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.decide import decide
from rightfit_sync.ingest.snapshot import Decision, Device, NeedMore, Pushed, Receipt, Snapshot, wanted
from rightfit_sync.limits import CHANGES_PER_TRANSACTION_MAX
from rightfit_sync.records import Alias, digest, rejected
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, KindSpec, ReferenceSpec
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = Schema(
    1,
    {
        "place": KindSpec({"name": FieldSpec(type="str")}, audience=["all"]),
        "room": KindSpec(
            {"place": FieldSpec(type="str"), "name": FieldSpec(type="str")},
            references={"place": ReferenceSpec("place", "cascade")},
            audience=["all"],
        ),
        "lamp": KindSpec(
            {"room": FieldSpec(type="str")},
            references={"room": ReferenceSpec("room", "cascade")},
            audience=["all"],
        ),
        "note": KindSpec(
            {"place": FieldSpec(type="str"), "text": FieldSpec(type="str")},
            references={"place": ReferenceSpec("place", "set_null")},
            audience=["all"],
        ),
        "lease": KindSpec(
            {"place": FieldSpec(type="str"), "rent": FieldSpec(type="int")},
            groups={"terms": GroupSpec(["place", "rent"])},
            references={"place": ReferenceSpec("place", "restrict")},
            audience=["all"],
        ),
    },
)
PLACE = ("place", "p")


def permit(_entity: Entity | None, _change: Change) -> Outcome | None:
    return None


def made(counter: int = 1, name: object = "Main St", entity_id: str = "p") -> Pushed:
    change = create("place", entity_id, {"name": name}, Stamp(Dot("a", counter), 50), SCHEMA)
    return Pushed(change, digest(change))


def snapshot(counter: int = 0, **more: object) -> Snapshot:
    parts = {"device": Device("a", counter), "authority_device_id": "server:e1", "authority_counter": 0}
    return Snapshot(**{**parts, "entities": {PLACE: None}, **more})


def decided(push: list[Pushed], given: Snapshot, now: int = 100) -> Decision:
    found = decide(push, given, SCHEMA, authorize=permit, now=now)
    assert isinstance(found, Decision)
    return found


def only(decision: Decision) -> Outcome:
    (receipt,) = decision.receipts
    return receipt.outcome


def test_a_change_is_recorded_as_it_was_applied() -> None:
    """Folding the history gives the entity again: the authority's clock bounds `written_at`, after the digest."""
    pushed = made()
    decision = decided([pushed], snapshot(), now=20)
    assert decision.receipts == [Receipt(Dot("a", 1), pushed.digest, Outcome("applied"))]
    (recorded,) = decision.recorded
    assert (recorded.change.written_at, recorded.digest) == (20, pushed.digest)
    assert decision.entities[PLACE].fields["name"][0].dots == [WrittenDot("a", 1, 20)]
    assert (decision.device_counter, decision.deferred) == (1, [])


def test_F02_the_retry_gets_the_same_receipt_and_nothing_else() -> None:
    pushed = made()
    receipt = Receipt(Dot("a", 1), pushed.digest, Outcome("conflicted", ["name"]))
    decision = decided([pushed], snapshot(1, receipts={Dot("a", 1): receipt}))
    assert decision.receipts == [receipt]
    assert not decision.recorded
    assert not decision.entities


def test_B06_a_dot_spent_on_something_else_gives_the_clone_away() -> None:
    receipt = Receipt(Dot("a", 1), "0" * 32, Outcome("applied"))
    with pytest.raises(RemoteError) as caught:
        decided([made()], snapshot(1, receipts={Dot("a", 1): receipt}))
    assert (caught.value.code, caught.value.status, caught.value.detail) == (
        "device_cloned",
        409,
        {"dot": ["a", 1]},
    )


def test_B06_a_gap_is_refused_with_the_counter_that_is_expected() -> None:
    with pytest.raises(RemoteError) as caught:
        decided([made(3)], snapshot(1))
    assert (caught.value.code, caught.value.status, caught.value.detail) == (
        "counter_gap",
        409,
        {"expected": 2},
    )


def test_B06_a_void_closes_the_gap() -> None:
    void = Change(Dot("a", 1), *PLACE, "void", digest="0" * 32, reason="too_large")
    decision = decided([Pushed(void, "0" * 32), made(2)], snapshot())
    assert [receipt.outcome.status for receipt in decision.receipts] == ["void", "applied"]
    assert [recorded.change.op for recorded in decision.recorded] == ["void", "create"]
    assert decision.device_counter == 2


def test_another_devices_change_is_refused() -> None:
    other = replace(made().change, dot=Dot("b", 1))
    with pytest.raises(RemoteError) as caught:
        decided([Pushed(other, "d")], snapshot())
    assert (caught.value.code, caught.value.status) == ("wrong_device", 403)


@pytest.mark.parametrize(("shown", "status"), [(True, "duplicate"), (False, "rejected")])
def test_a_receipt_lost_in_a_restore(shown: bool, status: str) -> None:
    """A dot inside the vector is a duplicate only where the entity shows it; else its payload is kept."""
    fields = {"name": [Sibling("Main St", [WrittenDot("a", 1 if shown else 2, 0)])]}
    held = Entity(*PLACE, {"a": 2}, fields)
    outcome = only(decided([made()], snapshot(entities={PLACE: held})))
    assert (outcome.status, outcome.code) == (status, "" if shown else "receipt_lost")


def test_a_life_record_shows_its_dot_too() -> None:
    life = [LifeRecord("delete", Dot("a", 1), {}, 0)]
    gone = Change(Dot("a", 1), *PLACE, "delete")
    held = Entity(*PLACE, {"a": 1}, {}, life)
    assert only(decided([Pushed(gone, digest(gone))], snapshot(entities={PLACE: held}))).status == "duplicate"


def test_history_1_a_rejected_change_is_no_duplicate_of_a_later_one() -> None:
    """a1 rejected, a2 on the same entity accepted, response lost: the retry of a1 hears that it was rejected."""
    authority = MemoryAuthority(SCHEMA, authorize=lambda _subject, _entity, change: no_bad_word(change))
    authority.register("a", "everybody")
    first = made(1)
    bad = edit_name(first.change, "bad", 2)
    good = edit_name(first.change, "good", 3)
    authority.push("a", [first, bad, good], 9)
    again, _ = authority.push("a", [bad, good], 9)
    assert [receipt.outcome.code for receipt in again] == ["forbidden", ""]
    assert [receipt.outcome.status for receipt in again] == ["rejected", "applied"]
    held = authority.entity(PLACE)
    assert held is not None
    assert [sibling.value for sibling in held.fields["name"]] == ["good"]


def no_bad_word(change: Change) -> Outcome | None:
    said = any(patch.value == "bad" for patch in change.patches.values())
    return rejected("forbidden", "not this word") if said else None


def edit_name(first: Change, name: str, counter: int) -> Pushed:
    patch = Patch(name, "Main St", [first.dot])
    change = Change(Dot("a", counter), *PLACE, "edit", {"a": 1}, {"name": patch})
    return Pushed(change, digest(change))


def test_what_builds_on_a_rejected_change_is_rejected_by_name_and_the_rest_flows() -> None:
    authority = MemoryAuthority(SCHEMA, authorize=lambda _subject, _entity, change: no_bad_word(change))
    authority.grant("everybody", ["all"])
    authority.register("a", "everybody")
    device = MemoryDevice("a", SCHEMA)
    device.create(PLACE, {"name": "Main St"})
    device.edit(PLACE, {"name": "bad"})
    device.edit(PLACE, {"name": "worse"})
    device.create(("place", "q"), {"name": "Side St"})
    device.sync(authority, 9)
    assert rejected_codes(device) == ["forbidden", "depends_on_rejected"]
    assert device.view(PLACE) == {"name": "Main St"}
    assert not device.request().changes
    assert authority.entity(("place", "q")) is not None


def test_B05_an_unknown_kind_is_deferred_with_what_follows_on_its_entity() -> None:
    ahead = replace(made(1, entity_id="x").change, kind="robot")
    then = Change(Dot("a", 2), "robot", "x", "delete")
    decision = decided([Pushed(ahead, "d1"), Pushed(then, "d2"), made(3)], snapshot())
    assert decision.deferred == [Dot("a", 1), Dot("a", 2)]
    assert only(decision).status == "applied"
    assert decision.device_counter == 3


def test_a_transaction_is_taken_whole_or_not_at_all() -> None:
    pair = [msgspec.structs.replace(made(n).change, transaction_id="t", entity_id=str(n)) for n in (1, 2)]
    bad = replace(pair[1], patches={"name": Patch(5)})
    entities = {("place", "1"): None, ("place", "2"): None}
    good = decided([Pushed(one, digest(one)) for one in pair], snapshot(entities=entities))
    assert [receipt.outcome.status for receipt in good.receipts] == ["applied", "applied"]
    halved = decided([Pushed(one, digest(one)) for one in (pair[0], bad)], snapshot(entities=entities))
    assert [receipt.outcome.code for receipt in halved.receipts] == ["transaction_rejected", "invalid_type"]
    assert not halved.entities
    assert [recorded.outcome.status for recorded in halved.recorded] == ["rejected", "rejected"]


def test_a_transaction_over_the_limit_is_refused_whole() -> None:
    count = CHANGES_PER_TRANSACTION_MAX + 1
    push = []
    for number in range(1, count + 1):
        change = replace(made(number, entity_id=str(number)).change, transaction_id="t")
        push.append(Pushed(change, digest(change)))
    entities = {("place", str(number)): None for number in range(1, count + 1)}
    decision = decided(push, snapshot(entities=entities))
    assert {receipt.outcome.code for receipt in decision.receipts} == {"transaction_rejected"}
    assert not decision.entities


def test_a_change_under_a_new_dot_counts_once() -> None:
    """Re-dotted after a clone was found, or before: the original and its alias are accepted once."""
    original = made()
    first = Receipt(Dot("former", 7), original.digest, Outcome("applied"))
    alias = replace(original.change, was=Alias(Dot("former", 7), original.digest))
    outcome = only(decided([Pushed(alias, "d")], snapshot(receipts={Dot("former", 7): first})))
    assert (outcome.status, outcome.first, outcome.is_accepted) == ("duplicate", Outcome("applied"), True)
    later = Receipt(Dot("new", 1), "d", Outcome("applied"))
    known = {Alias(original.change.dot, original.digest): later}
    assert only(decided([original], snapshot(aliases=known))).status == "duplicate"
    other = replace(alias, was=Alias(Dot("former", 7), "1" * 32))
    assert (
        only(decided([Pushed(other, "d")], snapshot(receipts={Dot("former", 7): first}))).status == "applied"
    )
    refused = Receipt(Dot("former", 7), original.digest, rejected("forbidden", "no"))
    again = only(decided([Pushed(alias, "d")], snapshot(receipts={Dot("former", 7): refused})))
    assert again.status == "applied"


def test_history_21_a_base_that_names_a_rejected_dot_gets_a_receipt() -> None:
    held = Entity(*PLACE, {"a": 1}, {"name": [Sibling("Main St", [WrittenDot("a", 1, 0)])]})
    receipt = Receipt(Dot("a", 2), "d", rejected("forbidden", "no"))
    change = Change(Dot("a", 3), *PLACE, "edit", {"a": 2}, {"name": Patch("B", "Main St", [Dot("a", 1)])})
    given = snapshot(2, entities={PLACE: held}, receipts={Dot("a", 2): receipt})
    assert only(decided([Pushed(change, digest(change))], given)).status == "applied"
    unknown = snapshot(2, entities={PLACE: held})
    assert only(decided([Pushed(change, digest(change))], unknown)).code == "base_unknown"


def test_a_snapshot_that_says_too_little_is_asked_for_more() -> None:
    found = decide([made()], snapshot(entities={}), SCHEMA, authorize=permit, now=1)
    assert found == NeedMore(entities=[PLACE])
    held = Entity(*PLACE, {"c": 1}, {"name": [Sibling("x", [WrittenDot("c", 1, 0)])]})
    gone = delete(held, Stamp(Dot("a", 1), 0))
    found = decide([Pushed(gone, "d")], snapshot(entities={PLACE: held}), SCHEMA, authorize=permit, now=1)
    assert found == NeedMore(referrers=[PLACE])
    given = snapshot(entities={PLACE: held}, referrers={PLACE: [("room", "r")]})
    assert decide([Pushed(gone, "d")], given, SCHEMA, authorize=permit, now=1) == NeedMore(
        entities=[("room", "r")]
    )


def test_what_a_snapshot_must_hold_is_listed_in_one_order() -> None:
    lease = create("lease", "l", {"place": "p", "rent": 5}, Stamp(Dot("a", 2), 0), SCHEMA)
    room = create("room", "r", {"place": "p"}, Stamp(Dot("a", 1), 0), SCHEMA)
    patch = Patch("x", "y", [Dot("former", 3), Dot("stranger", 9)])
    was = Alias(Dot("former", 4), "d")
    change = Change(Dot("a", 3), *PLACE, "edit", {"a": 2, "b": 8}, {"name": patch}, was=was)
    pushed = [Pushed(one, "d") for one in (lease, room, change)]
    keys, dots = wanted(pushed, Device("a", 0, frozenset({"former"})), SCHEMA)
    assert keys == [("lease", "l"), ("place", "p"), ("room", "r")]
    assert dots == [Dot("a", 1), Dot("a", 2), Dot("a", 3), Dot("former", 3), Dot("former", 4)]


def world(*ids: str) -> tuple[MemoryAuthority, list[MemoryDevice]]:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    for device_id in ids:
        authority.register(device_id, "everybody")
    return authority, [MemoryDevice(device_id, SCHEMA) for device_id in ids]


def test_references_reach_where_the_schema_says() -> None:
    authority, (device,) = world("a")
    device.create(PLACE, {"name": "Main St"})
    device.create(("room", "r"), {"place": "p", "name": "hall"})
    device.create(("lamp", "l"), {"room": "r"})
    device.create(("note", "n"), {"place": "p", "text": "damp"})
    device.sync(authority, 10)
    device.delete(PLACE)
    device.sync(authority, 11)
    assert [device.view(key) for key in (PLACE, ("room", "r"), ("lamp", "l"))] == [{}, {}, {}]
    assert device.view(("note", "n")) == {"place": None, "text": "damp"}
    room = authority.entity(("room", "r"))
    assert room is not None
    assert room.life[0].cascade_of == ["place", "p"]
    assert room.life[0].dot.device_id == "server:e1"
    lamp = authority.entity(("lamp", "l"))
    assert lamp is not None
    assert lamp.life[0].cascade_of == ["room", "r"]


def test_a_restricted_delete_is_rejected_and_leaves_no_trace() -> None:
    authority, (device,) = world("a")
    device.create(PLACE, {"name": "Main St"})
    device.create(("room", "r"), {"place": "p"})
    device.create(("lease", "l"), {"place": "p", "rent": 5})
    device.sync(authority, 10)
    device.delete(PLACE)
    device.sync(authority, 11)
    assert rejected_codes(device) == ["restricted"]
    assert device.view(PLACE) == {"name": "Main St"}
    assert device.view(("room", "r")) == {"place": "p"}
    device.delete(("lease", "l"))
    device.delete(PLACE)
    device.sync(authority, 12)
    assert rejected_codes(device) == ["restricted"]
    assert device.view(("room", "r")) == {}


def test_a_reference_to_what_never_was_is_rejected() -> None:
    authority, (device,) = world("a")
    device.create(("room", "r"), {"place": "ghost"})
    device.create(("lease", "l"), {"place": "ghost", "rent": 1})
    device.sync(authority, 10)
    assert rejected_codes(device) == ["unknown_reference", "unknown_reference"]
    assert authority.entity(("room", "r")) is None


def test_a_reference_to_what_was_deleted_meanwhile_is_an_orphan_until_it_comes_back() -> None:
    authority, (one, other) = world("a", "b")
    one.create(PLACE, {"name": "Main St"})
    one.sync(authority, 10)
    other.sync(authority, 10)
    one.delete(PLACE)
    other.create(("room", "r"), {"place": "p"})
    one.sync(authority, 11)
    other.sync(authority, 11)
    (found,) = other.conflicts(("room", "r"))
    assert (found.path, found.reason) == ("place", "orphan")
    one.restore(PLACE)
    one.sync(authority, 12)
    other.sync(authority, 12)
    assert other.conflicts(("room", "r")) == []


def test_another_reference_settles_an_orphan() -> None:
    authority, (one, other) = world("a", "b")
    one.create(PLACE, {"name": "Main St"})
    one.create(("place", "q"), {"name": "Side St"})
    one.sync(authority, 10)
    other.sync(authority, 10)
    one.delete(PLACE)
    one.sync(authority, 11)
    other.create(("room", "r"), {"place": "p"})
    other.sync(authority, 11)
    assert [found.path for found in other.conflicts(("room", "r"))] == ["place"]
    other.edit(("room", "r"), {"place": "q"})
    other.sync(authority, 12)
    assert other.conflicts(("room", "r")) == []


def test_what_comes_back_is_told_of_what_died_meanwhile() -> None:
    authority, (device,) = world("a")
    device.create(PLACE, {"name": "Main St"})
    device.create(("room", "r"), {"place": "p"})
    device.delete(("room", "r"))
    device.delete(PLACE)
    device.sync(authority, 10)
    device.restore(("room", "r"))
    device.sync(authority, 11)
    assert [found.reason for found in device.conflicts(("room", "r"))] == ["orphan"]


def test_a_create_repeated_after_its_tombstone_was_collected_raises_nobody_history_10() -> None:
    authority, (one, other) = world("a", "b")
    one.create(PLACE, {"name": "Main St"})
    lost = one.request()
    authority.sync("a", lost, 10)
    other.sync(authority, 10)
    other.delete(PLACE)
    other.sync(authority, 11)
    authority.purge()
    one.exchange(authority, 12)
    assert authority.entity(PLACE) is None
    assert not list(one.store.pending())


def test_the_edit_of_a_kind_without_references_asks_for_nobody() -> None:
    held = Entity("lamp", "l", {"c": 1}, {})
    change = edit(held, {"room": None, "glow": 1}, Stamp(Dot("a", 1), 0), SCHEMA)
    assert change is not None
    found = decide(
        [Pushed(change, "d")], snapshot(entities={("lamp", "l"): held}), SCHEMA, authorize=permit, now=1
    )
    assert isinstance(found, Decision)
