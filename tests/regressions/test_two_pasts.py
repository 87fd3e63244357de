"""After a restore two pasts of one record meet; one change must not count twice, and none be taken for another."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, Schema, apply, changes
from rightfit_sync.apply import APPLIED
from rightfit_sync.changes import Stamp
from rightfit_sync.ingest.snapshot import NO_PAST, Past, Pushed, Recorded
from rightfit_sync.ingest.twins import rejoined
from rightfit_sync.join import join
from rightfit_sync.life import delete_conflict
from rightfit_sync.outbox import Entry, fold
from rightfit_sync.reconcile import Reconciliation
from rightfit_sync.records import Alias, digest, rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

FIELDS = {"name": {"type": "str"}, "size": {"type": "int"}, "seen": {"type": "int", "merge": "counter"}}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"item": {"fields": FIELDS, "audience": ["all"]}}}, Schema
)
KIND = SCHEMA.kinds["item"]


def change(device_id: str, counter: int, op: str = "edit", **more: object) -> Change:
    facts = {"dot": [device_id, counter], "kind": "item", "entity_id": "1", "op": op, **more}
    return msgspec.convert(facts, Change)


def state(*changes: Change) -> Entity:
    return state_on(None, *changes)


def state_on(entity: Entity | None, *changes: Change) -> Entity:
    for one in changes:
        entity, outcome = apply(entity, one, SCHEMA)
        assert outcome.is_accepted, outcome
    assert entity is not None
    return entity


def past(*changes: Change) -> Past:
    made = NO_PAST
    for one in changes:
        made = made.after(Recorded(one, digest(one), APPLIED) if isinstance(one, Change) else one)
    return made


def shown(entity: Entity) -> Mapping[str, list[object]]:
    return {path: [one.value for one in siblings] for path, siblings in entity.fields.items()}


BORN = change(
    "a", 1, "create", patches={"name": {"value": "old"}, "size": {"value": 1}, "seen": {"value": 0}}
)
NAMED = change(
    "a", 2, base={"a": 1}, patches={"name": {"value": "new", "base": "old", "replaces": [["a", 1]]}}
)
WAS = Alias(NAMED.dot, digest(NAMED))
AGAIN = msgspec.structs.replace(NAMED, dot=Dot("b", 1), was=WAS)


def test_F08_a_delete_that_saw_a_change_said_again_saw_it_under_its_first_name_too() -> None:
    delete = change("b", 2, "delete", base={"a": 1, "b": 1})
    ours = (BORN, AGAIN, delete)
    joined = rejoined(state(*ours), state(BORN, NAMED), past(*ours))
    assert delete_conflict(joined, KIND) is None
    assert shown(joined)["name"] == ["new"]


def test_F08_a_state_says_itself_what_was_said_again_in_it() -> None:
    twice = msgspec.structs.replace(NAMED, dot=Dot("c", 1), was=WAS)
    joined = join(state(BORN, AGAIN), state(BORN, twice))
    assert shown(joined)["name"] == ["new"]
    assert apply(joined, msgspec.structs.replace(twice, dot=Dot("d", 1)), SCHEMA)[0] is joined


def test_F08_an_edit_that_replaces_one_of_a_changes_names_replaces_it_under_all() -> None:
    joined = rejoined(state(BORN, AGAIN), state(BORN, NAMED), past(BORN, AGAIN))
    for name in (NAMED.dot, AGAIN.dot):
        patches = {"name": {"value": "newer", "base": "new", "replaces": [[name.device_id, name.counter]]}}
        edited, outcome = apply(joined, change("e", 1, base=joined.version_vector, patches=patches), SCHEMA)
        assert outcome.status == "applied"
        assert edited is not None
        assert shown(edited)["name"] == ["newer"]


def test_F08_a_counter_that_was_said_again_counts_once() -> None:
    counted = change("a", 2, base={"a": 1}, patches={"seen": {"value": 5, "base": 0, "replaces": [["a", 1]]}})
    again = msgspec.structs.replace(counted, dot=Dot("b", 1), was=Alias(counted.dot, digest(counted)))
    assert shown(rejoined(state(BORN, again), state(BORN, counted), past(BORN, again)))["seen"] == [5]


def test_F05_F08_another_change_of_a_clone_under_the_same_dot_is_not_taken_for_it() -> None:
    patches = {"name": {"value": "theirs", "base": "old", "replaces": [["a", 1]]}}
    joined = rejoined(
        state(BORN, AGAIN), state(BORN, change("a", 2, base={"a": 1}, patches=patches)), past(BORN, AGAIN)
    )
    assert sorted(map(str, shown(joined)["name"])) == ["new", "theirs"]


REPLACED = change(
    "c", 1, base={"a": 2}, patches={"name": {"value": "newer", "base": "new", "replaces": [["a", 2]]}}
)


def test_F08_a_change_that_was_replaced_in_the_lost_past_is_replaced_here_too() -> None:
    joined = rejoined(state(BORN, AGAIN), state(BORN, NAMED, REPLACED), past(BORN, AGAIN))
    assert shown(joined)["name"] == ["newer"]


def test_F05_F08_what_a_rewound_file_did_under_a_spent_dot_is_not_replaced_with_what_it_had_done() -> None:
    """It had not seen what it had itself done before: so it is another file, and its dot another change."""
    sized = change("a", 2, base={"a": 1}, patches={"size": {"value": 2, "base": 1, "replaces": [["a", 1]]}})
    named = change("a", 3, base={"a": 2}, patches=msgspec.to_builtins(NAMED.patches))
    rewound = change("a", 3, "delete", base={"a": 1})
    delete = msgspec.structs.replace(rewound, dot=Dot("b", 1), was=Alias(rewound.dot, digest(rewound)))
    newer = change(
        "c", 1, base={"a": 3}, patches={"name": {"value": "newer", "base": "new", "replaces": [["a", 3]]}}
    )
    ours = (BORN, sized, delete)
    joined = rejoined(state(*ours), state(BORN, sized, named, newer), past(*ours))
    assert [record.dot for record in joined.life] == [delete.dot]


def test_F05_F08_what_stands_here_under_the_first_dot_is_another_change() -> None:
    other = change("a", 2, base={"a": 1}, patches={"size": {"value": 2, "base": 1, "replaces": [["a", 1]]}})
    ours = (BORN, other, AGAIN)
    resized = change("c", 1, base={"a": 2}, patches={"size": {"value": 9, "base": 2, "replaces": [["a", 2]]}})
    joined = rejoined(state(*ours), state(BORN, other, resized), past(*ours))
    assert shown(joined) == {"name": ["new"], "size": [9], "seen": [0]}


def test_F08_two_states_of_lost_pasts_show_one_change_under_two_dots() -> None:
    """Nothing of it is in the history: one holder brings it as it was said again, another as it was first said."""
    for first, second in ((AGAIN, NAMED), (NAMED, AGAIN)):
        earlier = past(BORN).after(state(BORN, first))
        joined = rejoined(state(BORN, first), state(BORN, second), earlier)
        assert shown(joined)["name"] == ["new"]
        assert len(joined.fields["name"]) == 1


def test_F08_what_the_authority_did_in_the_lost_past_is_not_covered_by_what_it_did_since() -> None:
    edited = change("a", 2, base={"a": 1}, patches={"size": {"value": 2, "base": 1, "replaces": [["a", 1]]}})
    then = change("server:e1", 10, "delete", base={"a": 2}, cascade_of=["item", "2"])
    now = change("server:e1", 20, "delete", base={"a": 1}, cascade_of=["item", "2"])
    joined = rejoined(state(BORN, now), state(BORN, edited, then), past(BORN, now))
    assert delete_conflict(joined, KIND) is None, "the delete of the lost past had seen the edit"


def test_F08_what_was_given_up_here_and_accepted_in_the_lost_past_comes_back() -> None:
    later = change("a", 3, base={"a": 1}, patches={"size": {"value": 3, "base": 1, "replaces": [["a", 1]]}})
    joined = rejoined(state(BORN, later), state(BORN, NAMED), past(BORN, later))
    assert shown(joined) == {"name": ["new"], "size": [3], "seen": [0]}


def test_F08_what_was_rejected_in_the_lost_past_and_accepted_here_stays() -> None:
    lost = MemoryAuthority(SCHEMA, authorize=lambda _subject, _entity, one: _no_names(one))
    lost.register("a", "everybody")
    lost.grant("everybody", ["all"])
    later = change("a", 3, base={"a": 2}, patches={"size": {"value": 3, "base": 1, "replaces": [["a", 1]]}})
    for one in (BORN, NAMED, later):
        lost.push("a", [Pushed(one, digest(one))], 1)
    offered = lost.entity(("item", "1"))
    assert offered is not None
    assert offered.absent == [NAMED.dot]
    ours = (BORN, NAMED)
    joined = rejoined(state(*ours), offered, past(*ours))
    assert shown(joined) == {"name": ["new"], "size": [3], "seen": [0]}
    assert not joined.lacks(NAMED.dot)


def test_F08_a_delete_has_not_seen_what_only_the_other_past_accepted() -> None:
    measured = change(
        "a",
        3,
        base={"a": 1},
        patches={"size": {"value": 2, "base": 1, "replaces": [["a", 1]]}},
        absent=[["a", 2]],
    )
    delete = change("b", 1, "delete", base={"a": 3})
    gone = state(BORN, measured, delete)
    assert delete_conflict(gone, KIND) is None
    for joined in (join(gone, state(BORN, NAMED)), join(state(BORN, NAMED), gone), join(gone, gone)):
        found = delete_conflict(joined, KIND)
        assert found == ([Dot("a", 2), Dot("b", 1)] if joined.fields["name"][0].value == "new" else None)
    seen = msgspec.structs.replace(delete, dot=Dot("b", 2), base={"a": 3, "b": 1})
    assert delete_conflict(state_on(join(gone, state(BORN, NAMED)), seen), KIND) is None
    # Who has seen both pasts of the delete has seen what either of them saw.
    knew, knew_not = (replace(gone.life[0], absent=absent) for absent in (UNSET, [Dot("a", 2)]))
    both = join(replace(gone, life=[knew]), replace(gone, life=[knew_not]))
    assert both.life == [knew]


def test_F08_what_builds_on_a_change_that_is_in_the_trunk_under_another_name_is_shown() -> None:
    trunk = state(BORN, replace(NAMED, dot=Dot("c", 1), was=WAS))
    patch = {"value": "newest", "base": "new", "replaces": [["b", 1]]}
    later = change("b", 2, base={"a": 1, "b": 1}, patches={"name": patch})
    entries = [Entry(one, digest(one)) for one in (AGAIN, later)]
    seen = fold(trunk, entries, SCHEMA).entity
    assert seen is not None
    assert shown(seen)["name"] == ["newest"]
    gone = change("b", 3, "delete", base={"a": 1, "b": 2})
    seen = fold(trunk, [*entries, Entry(gone, digest(gone))], SCHEMA).entity
    assert seen is not None
    assert delete_conflict(seen, KIND) is None


def test_F08_a_change_is_told_by_the_name_that_a_state_gives_it() -> None:
    """The phone is restored to a time when it had not yet said it again; only a state still knows that it had."""
    authority = MemoryAuthority(SCHEMA)
    for device_id in ("a", "d"):
        authority.register(device_id, "everybody")
    authority.grant("everybody", ["all"])
    authority.register("b", "everybody", "a")
    authority.push("a", [Pushed(BORN, digest(BORN))], 1)
    backup = authority.copy()
    authority.push("b", [Pushed(AGAIN, WAS.digest)], 1)
    holder = MemoryDevice("d", SCHEMA)
    holder.sync(authority, 2)
    authority.put_back(backup)
    holder.sync(authority, 3)
    authority.register("c", "everybody", "a")
    once_more = msgspec.structs.replace(NAMED, dot=Dot("c", 1), was=WAS)
    receipts, _ = authority.push("c", [Pushed(once_more, WAS.digest)], 4)
    assert receipts[0].outcome.status == "duplicate"
    assert receipts[0].outcome.twin == AGAIN.dot


def test_F08_who_removes_what_two_pasts_had_both_set_removes_both() -> None:
    ours, theirs = (
        change(
            who, 1, base={"a": 1}, patches={"name": {"value": "new", "base": "old", "replaces": [["a", 1]]}}
        )
        for who in "bc"
    )
    joined = join(state(BORN, ours), state(BORN, theirs))
    assert shown(joined)["name"] == ["new", "new"], "a join does not coalesce: it knows no policy"
    edited = changes.edit(joined, {"name": "newer"}, Stamp(Dot("d", 1), 1), SCHEMA)
    assert edited is not None
    assert edited.patches["name"].replaces == [ours.dot, theirs.dot]


def _no_names(one: Change) -> object:
    return rejected("no_names", "not here") if one.op == "edit" and "name" in one.patches else None


def test_F08_a_row_that_an_offer_takes_out_of_sight_is_gone() -> None:
    facts = {"item": {"fields": {"crew": {"type": "str"}}, "audience": ["{crew}"]}}
    schema = msgspec.convert({"schema_version": 1, "kinds": facts}, Schema)
    authority = MemoryAuthority(schema)
    authority.register("a", "everybody")
    authority.grant("everybody", ["red"])
    device = MemoryDevice("a", schema)
    device.create(("item", "1"), {"crew": "red"})
    device.sync(authority, 1)
    backup = authority.copy()
    authority.grant("everybody", ["red", "blue"])
    device.sync(authority, 2)
    device.edit(("item", "1"), {"crew": "blue"})
    device.sync(authority, 3)
    authority.put_back(backup)
    device.core.begin_reconciling(is_other_past=True)
    steps = Reconciliation(device.core).steps()
    request = next(steps)
    with suppress(StopIteration):
        while True:
            request = steps.send(authority.reconcile("a", request, 4))
    held = authority.entity(("item", "1"))
    assert held is not None
    assert shown(held) == {"crew": ["blue"]}
    assert not device.store.trunks([("item", "1")]), "it is not what it was before the offer either"


def test_F05_F08_what_a_rewound_file_did_here_is_not_what_a_state_says_was_said_again() -> None:
    """The digest tells: the dot was spent here on another change than the one that a lost past knew under two."""
    other = change("a", 2, base={"a": 1}, patches={"size": {"value": 2, "base": 1, "replaces": [["a", 1]]}})
    moved_on = change(
        "c", 1, base={"b": 1}, patches={"name": {"value": "newer", "base": "new", "replaces": [["b", 1]]}}
    )
    ours = (BORN, other)
    joined = rejoined(state(*ours), state(BORN, AGAIN, moved_on), past(*ours))
    assert shown(joined) == {"name": ["newer"], "size": [2], "seen": [0]}
