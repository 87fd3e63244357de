"""The histories that broke earlier drafts, by their number in docs/explanation/semantics.md, section 11.

Where a device or the authority matters they run through `ReplicaCore`, `exchange` and `ingest.decide`, else through
`apply` and `join`.
"""

from collections.abc import Mapping
from itertools import permutations

import pytest
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, conflicts, join, view
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.life import is_deleted
from rightfit_sync.limits import DEVICES_PER_VECTOR_MAX
from rightfit_sync.records import digest, rejected
from rightfit_sync.testing.device import rejected_codes
from tests.sync.history import (
    JOB,
    KIND,
    SCHEMA,
    World,
    born,
    change,
    cloned,
    edit,
    fold,
    two_writers,
    values,
)


def test_history_01_a_retry_of_a_rejected_change_is_no_duplicate_of_its_successor() -> None:
    world, a, _ = two_writers()
    a.edit(JOB, {"title": "bad"})
    a.edit(JOB, {"other": "fine"})
    world.lose_response(a)
    receipts = world.lose_response(a).receipts
    assert [receipt.outcome.status for receipt in receipts] == ["rejected", "applied"]
    world.settle()
    assert rejected_codes(a) == ["forbidden"]
    assert world.view() == {"title": "Boiler", "other": "fine"}


def test_history_02_the_edit_of_a_device_whose_backup_went_on_survives() -> None:
    world, a, _ = two_writers()
    clone = cloned(a)
    clone.edit(JOB, {"title": "of the clone"})
    clone.edit(JOB, {"other": "of the clone"})
    a.edit(JOB, {"title": "of the device"})
    world.sync(clone, a)
    assert (clone.device_id, a.store.state().former_ids) == ("a", ["a"])
    assert a.device_id != "a"
    held = world.authority.entity(JOB)
    assert held is not None
    assert sorted(map(str, values(held, "title"))) == ["of the clone", "of the device"]
    world.settle()


def test_history_02_a_change_under_a_new_dot_that_was_accepted_under_the_old_is_not_applied_twice() -> None:
    world = World("a", cost=10)
    (a,) = world.devices
    a.edit(JOB, {"cost": 15})
    clone = cloned(a)
    world.lose_response(a)
    a.core.take_new_id()
    a.edit(JOB, {"cost": 16})
    clone.edit(JOB, {"cost": 17})
    world.sync(a, clone)
    world.settle()
    assert world.view()["cost"] == 18
    assert not world.conflicts()


def test_history_03_what_a_restore_lost_comes_back_although_later_dots_came_first() -> None:
    """The holder's state is joined before anything new comes, and dots after the restore bear a new id."""
    before = fold(born(), edit(("a", 3), "title", "three", "Boiler", [("s", 1)]))
    lost = fold(change(("a", 4), base={"s": 1, "a": 3}, patches={"other": {"value": "four"}}), start=before)
    went_on = fold(
        change(("a-after", 8), base={"s": 1, "a": 3}, patches={"notes": {"value": "eight"}}), start=before
    )
    both = join(went_on, lost)
    assert both == join(lost, went_on)
    assert view(both, SCHEMA) == {"title": "three", "other": "four", "notes": "eight"}
    assert both.version_vector == {"s": 1, "a": 4, "a-after": 8}


def test_history_03_a_dot_inside_the_vector_without_its_receipt_is_not_called_accepted() -> None:
    """Under the old id the lost a4 would hide behind a8: it is rejected by name, and its payload kept."""
    world, a, _ = two_writers()
    backup = world.authority.copy()
    fourth = a.edit(JOB, {"title": "four"})
    assert fourth is not None
    world.lose_response(a)
    later = change(("a", fourth.dot.counter + 1), base={}, patches={"other": {"value": "eight"}})
    backup.devices["a"] = replace(backup.devices["a"], counter=fourth.dot.counter)
    backup.push("a", [Pushed(later, digest(later))], 20)
    (receipt,), _ = backup.push("a", [Pushed(fourth, digest(fourth))], 21)
    assert (receipt.outcome.status, receipt.outcome.code) == ("rejected", "receipt_lost")


def test_history_04_a_merged_value_joined_with_its_older_self_is_no_conflict() -> None:
    older = fold(born(cost=10), edit(("g", 2), "cost", 12, 10, [("s", 1)]))
    newer = fold(edit(("b", 1), "cost", 11, 10, [("s", 1)]), start=older)
    assert values(newer, "cost") == [13]
    assert join(newer, older) == join(older, newer) == newer
    assert not conflicts(newer, SCHEMA)


def test_history_05_two_who_resolve_alike_do_not_double_anything() -> None:
    world = World("a", "b", log="drip", cost=10)
    a, b = world.devices
    a.edit(JOB, {"title": "tap leaks"})
    b.edit(JOB, {"title": "drips"})
    world.settle()
    a.resolve(JOB, "title", "tap drips")
    b.resolve(JOB, "title", "tap drips")
    world.settle()
    assert world.view()["title"] == "tap drips"
    assert not world.conflicts()


@pytest.mark.parametrize(("path", "base", "ours", "theirs", "chosen"), [
    ("notes", "tap leaks", "tap drips", "tap runs", "tap drips"),
    ("cost", 10, None, 12, 17),
])  # fmt: skip
def test_history_05_equal_resolutions_of_texts_and_counters(
    path: str, base: object, ours: object, theirs: object, chosen: object
) -> None:
    start = fold(
        born(**{path: base}),
        edit(("a", 1), path, ours, base, [("s", 1)]),
        edit(("b", 1), path, theirs, base, [("s", 1)]),
    )
    assert len(values(start, path)) == 2
    every = [("a", 1), ("b", 1)]
    first = replace(edit(("a", 2), path, chosen, ours, every), op="resolve", base=start.version_vector)
    second = replace(edit(("b", 2), path, chosen, ours, every), op="resolve", base=start.version_vector)
    for order in permutations([first, second]):
        assert values(fold(*order, start=start), path) == [chosen]


def test_history_05_an_edit_that_had_not_seen_a_resolution_stands_beside_it() -> None:
    every = [("a", 1), ("b", 1)]
    start = fold(
        born(notes="tap leaks"),
        *(
            edit((name, 1), "notes", text, "tap leaks", [("s", 1)])
            for name, text in (("a", "tap drips"), ("b", "tap runs"))
        ),
    )
    resolution = replace(
        edit(("c", 1), "notes", "tap drips", "tap drips", every), op="resolve", base=start.version_vector
    )
    late = replace(edit(("a", 2), "notes", "tap drips badly", "tap drips", [("a", 1)]), base={"s": 1, "a": 1})
    entity = fold(resolution, late, start=start)
    assert values(entity, "notes") == ["tap drips badly", "tap drips"]
    assert [conflict.path for conflict in conflicts(entity, SCHEMA)] == ["notes"]


@pytest.mark.parametrize("path", ["notes", "log"])
def test_history_06_the_same_correction_counts_once(path: str) -> None:
    world = World("a", "b", **{path: "teh boiler"})
    for device in world.devices:
        device.edit(JOB, {path: "the boiler"})
    world.settle()
    assert world.view()[path] == "the boiler"
    assert not world.conflicts()


def test_history_06_two_creates_of_one_text_are_one_text() -> None:
    creates = [
        change((name, 1), "create", patches={"log": {"value": "Boiler"}, "cost": {"value": 5}})
        for name in "ab"
    ]
    for order in permutations(creates):
        entity = fold(*order)
        assert view(entity, SCHEMA) == {"log": "Boiler", "cost": 5}


def test_history_07_a_removal_takes_only_what_it_saw() -> None:
    a1, b1 = edit(("a", 1), "tags/x", True), edit(("b", 1), "tags/x", True)
    a2 = change(("a", 2), base={"s": 1, "a": 1}, patches={"tags/x": {"value": None, "replaces": [["a", 1]]}})
    for order in ([a1, b1, a2], [a1, a2, b1], [b1, a1, a2]):
        assert view(fold(born(), *order), SCHEMA)["tags"] == ["x"]


@pytest.mark.parametrize(("path", "base", "ours", "theirs"), [("high", 5, 3, 9), ("state", "OPEN", "P", "H")])
def test_history_08_monotone_and_cyclic_fields_do_not_depend_on_the_order(
    path: str, base: object, ours: object, theirs: object
) -> None:
    pair = [edit(("a", 1), path, ours, base, [("s", 1)]), edit(("b", 1), path, theirs, base, [("s", 1)])]
    one, other = (fold(born(**{path: base}), *order) for order in permutations(pair))
    assert one == other
    assert values(one, path) == ([9] if path == "high" else ["P", "H"])


def test_history_09_two_deletes_are_no_conflict() -> None:
    world, a, b = two_writers()
    a.delete(JOB)
    b.delete(JOB)
    world.settle()
    assert not world.conflicts()
    assert world.view() == {}


def test_history_09_a_restore_beside_a_delete_is_one() -> None:
    world, a, b = two_writers()
    a.delete(JOB)
    world.settle()
    a.restore(JOB)
    b.delete(JOB)
    world.settle()
    assert [conflict.reason for conflict in world.conflicts()] == ["delete_edit"]
    assert world.view() == {"title": "Boiler"}


def test_history_09_a_photo_analysis_beside_a_delete_is_none() -> None:
    world, a, _ = two_writers()
    a.delete(JOB)
    world.authority.write(JOB, lambda entity, stamp: analysed(entity, stamp.dot), now=5)
    world.settle()
    assert not world.conflicts()
    assert world.view() == {}


def analysed(entity: Entity, dot: Dot) -> Change:
    patches = {"analysis": {"value": "a boiler", "replaces": []}}
    return change((dot.device_id, dot.counter), base=dict(entity.version_vector), patches=patches)


def test_history_10_a_create_repeated_after_the_purge_raises_nobody() -> None:
    world, a, b = two_writers()
    key = ("job", "2")
    a.create(key, {"title": "short-lived"})
    world.lose_response(a)
    world.sync(b)
    b.delete(key)
    world.sync(b)
    world.authority.purge()
    a.core.resync()
    world.sync(a)
    assert key not in world.authority.held
    assert a.entity(key) is None
    assert not list(a.store.pending())
    assert not a.store.acknowledged()
    assert not rejected_codes(a)


def test_history_11_a_group_is_never_half_and_half() -> None:
    world = World("a", "b", status="O", completed_by=None)
    a, b = world.devices
    a.edit(JOB, {"status": "P"})
    b.edit(JOB, {"completed_by": "bob"})
    world.settle()
    held = world.authority.entity(JOB)
    assert held is not None
    assert values(held, "completion") == [
        {"status": "P", "completed_by": None},
        {"status": "O", "completed_by": "bob"},
    ]
    assert [conflict.path for conflict in world.conflicts()] == ["completion"]


def test_history_12_a_slow_clock_shows_its_own_edit() -> None:
    world, a, b = two_writers()
    a.clock = lambda: 10**12
    b.clock = lambda: -(10**12)
    a.edit(JOB, {"title": "from the future"})
    world.time = 10**12
    world.settle()
    b.edit(JOB, {"title": "from the past"})
    assert b.view(JOB)["title"] == "from the past"


@pytest.mark.parametrize("path", ["notes", "log"])
def test_history_13_pending_typing_is_not_undone_by_a_newer_trunk(path: str) -> None:
    world = World("a", "b", **{path: "one two"})
    a, b = world.devices
    a.edit(JOB, {path: "one, red two"})
    a.edit(JOB, {path: "one, two"})
    b.edit(JOB, {path: "one, blue two"})
    world.sync(b)
    a.take(replace(world.authority.sync("a", a.request(0), 50)))
    assert a.view(JOB)[path] == "one, two"
    a.edit(JOB, {path: "one, two!"})
    assert a.view(JOB)[path] == "one, two!"
    world.settle()
    kept = " ".join(str(value) for value in values(world.authority.entity(JOB) or fold(born()), path))
    assert "red" not in kept
    assert "blue" in kept
    assert "!" in kept


def test_history_14_B07_the_65th_device_edits_like_the_first() -> None:
    entity = fold(born())
    for number in range(1, 200):
        replaced = [(dot.device_id, dot.counter) for dot in entity.fields["title"][0].dots]
        known = entity.fields["title"][0].value
        one = replace(
            edit((f"d{number}", 1), "title", f"by {number}", known, replaced), base=entity.version_vector
        )
        entity = fold(one, start=entity)
    assert view(entity, SCHEMA) == {"title": "by 199"}
    assert len(entity.version_vector) == 200 < DEVICES_PER_VECTOR_MAX


def test_history_15_each_removes_the_others_add() -> None:
    adds = [edit(("a", 1), "tags/x", True), edit(("b", 1), "tags/x", True)]
    removals = [removal(("a", 2), ("a", 1)), removal(("b", 2), ("b", 1))]
    for order in permutations([*adds, *removals]):
        if order.index(adds[0]) < order.index(removals[0]) and order.index(adds[1]) < order.index(
            removals[1]
        ):
            assert "tags" not in view(fold(born(), *order), SCHEMA)


def removal(dot: tuple[str, int], replaced: tuple[str, int]) -> Change:
    base = {"s": 1, replaced[0]: replaced[1]}
    return change(dot, base=base, patches={"tags/x": {"value": None, "replaces": [list(replaced)]}})


@pytest.mark.parametrize("is_remover_first", [True, False])
def test_history_16_a_removed_item_whose_note_was_edited_is_shown_in_conflict(is_remover_first: bool) -> None:
    world = World("a", "b", items=[{"id": "7", "note": "call"}])
    a, b = world.devices
    a.edit(JOB, {"items/7": None})
    b.edit(JOB, {"items/7/note": "call first"})
    world.sync(*((a, b) if is_remover_first else (b, a)))
    world.settle()
    assert world.view()["items"] == [{"id": "7", "note": "call first"}]
    assert [(one.path, one.reason) for one in world.conflicts()] == [("items/7", "removed_item")]


def test_history_17_a_group_does_not_swallow_a_name() -> None:
    base: Mapping[str, object] = {"status": "O", "completed_by": None}
    ours, theirs = {"status": "A", "completed_by": "bob"}, {"status": "P", "completed_by": "ann"}
    pair = [
        edit(("a", 1), "completion", ours, base, [("s", 1)]),
        edit(("b", 1), "completion", theirs, base, [("s", 1)]),
    ]
    for order in permutations(pair):
        entity = fold(born(completion=base), *order)
        assert values(entity, "completion") == [ours, theirs]
        assert [conflict.path for conflict in conflicts(entity, SCHEMA)] == ["completion"]


def test_history_18_an_acknowledged_edit_does_not_conflict_with_ones_next() -> None:
    world, a, _ = two_writers()
    a.edit(JOB, {"title": "first"})
    a.take(replace(world.lose_response(a), page=None))
    assert a.view(JOB)["title"] == "first"
    a.edit(JOB, {"title": "second"})
    assert a.view(JOB)["title"] == "second"
    world.settle()
    assert world.view()["title"] == "second"
    assert not world.conflicts()


@pytest.mark.parametrize("is_noticed", [True, False])
def test_history_18_what_was_acknowledged_is_still_held_when_the_authority_loses_it(is_noticed: bool) -> None:
    """Until the trunk covers it the outbox keeps it; the answer to the push proves that it had arrived."""
    world, a, b = two_writers()
    backup = world.authority.copy()
    a.edit(JOB, {"title": "first"})
    a.take(world.authority.sync("a", a.request(rows_max=0), 30))
    assert [entry.is_pending for entry in a.store.acknowledged()] == [False]
    world.authority.put_back(backup)
    if is_noticed:
        world.authority.begin_epoch()
    b.edit(JOB, {"other": "meanwhile"})
    world.sync(b)
    world.settle()
    assert world.view() == {"title": "first", "other": "meanwhile"}
    assert world.authority.epoch != "e1"
    assert not rejected_codes(a)


def test_history_19_a_delete_over_a_frozen_text_has_not_seen_what_its_screen_did_not_show() -> None:
    world = World("a", "b", notes="one two three")
    a, b = world.devices
    a.edit(JOB, {"notes": "one two three four"})
    b.edit(JOB, {"notes": "zero one two three"})
    world.sync(b)
    a.take(replace(world.authority.sync("a", a.request(0), 50)))
    assert a.view(JOB)["notes"] == "one two three four"
    a.delete(JOB)
    world.settle()
    assert [conflict.reason for conflict in world.conflicts()] == ["delete_edit"]
    assert world.view()["notes"] == "zero one two three four"


def test_history_20_a_migrated_change_that_had_arrived_is_not_applied_twice() -> None:
    world = World("a", cost=10)
    (a,) = world.devices
    a.edit(JOB, {"cost": 15})
    world.lose_response(a)
    (entry,) = a.store.pending()
    migrated = {path: replace(patch, base=10.0) for path, patch in entry.change.patches.items()}
    upgraded = replace(entry.change, patches=migrated, reason="migrated to schema 2")
    assert digest(upgraded) != entry.digest
    a.store.put_entry(replace(entry, change=upgraded))
    world.settle()
    assert world.view()["cost"] == 15


def test_history_21_a_base_that_names_dots_nobody_holds_gets_a_receipt() -> None:
    world, a, b = two_writers()
    void = a.edit(JOB, {"title": "given up"})
    assert void is not None
    a.core.set_aside(void.dot, rejected("discarded", "no"))
    a.edit(JOB, {"other": "fine"})
    bad = a.edit(JOB, {"title": "bad"})
    assert bad is not None
    a.edit(JOB, {"cost": 3})
    world.settle()
    assert rejected_codes(a) == ["discarded", "forbidden"]
    assert world.view() == {"title": "Boiler", "other": "fine", "cost": 3}

    world.authority.register("a2", "everybody", "a")
    former = change(("a2", 1), base={"a": bad.dot.counter}, patches={"other": {"value": "x", "replaces": []}})
    nobody = change(("a2", 2), base={"nobody": 7}, patches={"title": {"value": "y", "replaces": []}})
    after = change(("a2", 3), base={}, patches={"tags/z": {"value": True, "replaces": []}})
    pushed = [Pushed(one, digest(one)) for one in (former, nobody, after)]
    receipts, _ = world.authority.push("a2", pushed, 60)
    assert [receipt.outcome.status for receipt in receipts] == ["conflicted", "rejected", "applied"]
    assert receipts[1].outcome.code == "base_unknown"
    world.sync(b)
    assert b.view(JOB)["tags"] == ["z"]
    assert not is_deleted(world.authority.entity(JOB) or fold(born()), KIND)
