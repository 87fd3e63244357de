"""Authoring: a change says what was seen and replaced, and touches nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync import (
    Change,
    Dot,
    Entity,
    LifeRecord,
    Patch,
    Schema,
    Sibling,
    Stamp,
    apply,
    conflicts,
    view,
)
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.changes import create, delete, edit, resolve, restore
from rightfit_sync.errors import LocalError
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, InvariantSpec, KindSpec

SCHEMA = Schema(
    1,
    {
        "task": KindSpec(
            {
                "title": FieldSpec(type="str"),
                "tags": FieldSpec("set", "str"),
                "meta": FieldSpec("map", "map"),
                "items": FieldSpec("keyed_list", "list", fields={"note": FieldSpec(type="str")}),
                "status": FieldSpec(type="str"),
                "signature": FieldSpec(type="str"),
                "low": FieldSpec(type="int"),
                "high": FieldSpec(type="int"),
            },
            groups={"completion": GroupSpec(["status", "signature"], "status")},
            invariants={"range": InvariantSpec("ordered", ["low", "high"])},
        )
    },
)


def stamp(device_id: str = "me", counter: int = 1, now: int = 0) -> Stamp:
    return Stamp(Dot(device_id, counter), now)


def made(**wanted: object) -> Entity:
    entity, outcome = apply(None, create("task", "1", wanted, stamp("c"), SCHEMA), SCHEMA)
    assert outcome.status == "applied", outcome
    assert entity is not None
    return entity


def after(entity: Entity, change: Change | None) -> Entity:
    assert change is not None
    found, outcome = apply(entity, change, SCHEMA)
    assert outcome.is_accepted, outcome
    assert found is not None
    return found


def edited(entity: Entity, wanted: dict[str, object], counter: int = 1) -> dict[str, Patch]:
    change = edit(entity, wanted, stamp("me", counter), SCHEMA)
    return {} if change is None else dict(change.patches)


def test_a_create_patches_what_is_there_and_names_no_base() -> None:
    change = create("task", "1", {"title": "A", "low": None, "tags": ["x"]}, stamp(now=7), SCHEMA)
    assert change.patches == {"title": Patch("A"), "tags/x": Patch(value=True)}
    assert (change.base, change.written_at, change.op) == ({}, 7, "create")


def test_an_edit_patches_only_what_differs_and_names_what_it_saw() -> None:
    entity = made(title="A", low=1)
    assert edit(entity, {"title": "A", "low": 1.0, "high": None}, stamp(), SCHEMA) is None
    assert edited(entity, {"title": "B", "low": 1}) == {"title": Patch("B", "A", [Dot("c", 1)])}


def test_a_slow_clock_writes_later_than_what_it_replaces_history_12() -> None:
    entity = after(made(title="A"), edit(made(title="A"), {"title": "B"}, stamp("other", now=500), SCHEMA))
    change = edit(entity, {"title": "C"}, stamp(now=3), SCHEMA)
    assert change is not None
    assert change.written_at == 501
    assert view(after(entity, change), SCHEMA)["title"] == "C"
    assert edited(entity, {"low": 1})["low"].replaced == []


def test_a_delete_and_a_restore_are_later_than_what_they_answer() -> None:
    entity = made(title="A")
    gone = after(entity, delete(entity, stamp("a", now=900), cascade_of=["house", "7"]))
    assert gone.life == [LifeRecord("delete", Dot("a", 1), {"c": 1}, 900, ["house", "7"])]
    back = restore(gone, stamp(now=1))
    assert (back.written_at, back.base) == (901, {"c": 1, "a": 1})
    assert after(gone, back).life[0].op == "restore"


def test_a_stamp_may_name_a_lesser_base() -> None:
    entity = made(title="A")
    lesser = Stamp(Dot("me", 1), 0, "t-1", {})
    change = edit(entity, {"title": "B"}, lesser, SCHEMA)
    assert change is not None
    assert (change.base, change.transaction_id) == ({}, "t-1")
    assert delete(entity, lesser).base == {}


def test_a_set_given_whole_patches_the_difference() -> None:
    entity = made(tags=["a", "b/c"])
    assert edited(entity, {"tags": {"a", "d"}}) == {
        "tags/d": Patch(value=True, replaces=[]),
        "tags/b~1c": Patch(None, True, [Dot("c", 1)]),
    }
    assert view(after(entity, edit(entity, {"tags": None}, stamp(), SCHEMA)), SCHEMA) == {}


def test_a_map_given_whole_patches_the_difference() -> None:
    entity = made(meta={"a": 1, "b": 2})
    patches = edited(entity, {"meta": {"a": 1, "c": 3}})
    assert patches == {"meta/c": Patch(3, replaces=[]), "meta/b": Patch(None, 2, [Dot("c", 1)])}


def test_a_members_patch_carries_the_whole_group() -> None:
    entity = made(status="OPEN", signature="ann")
    patches = edited(entity, {"status": "DONE"})
    assert patches["completion"].value == {"status": "DONE", "signature": "ann"}
    assert edited(entity, {"status": "OPEN"}) == {}
    assert edited(made(title="A"), {"signature": "bob"})["completion"].value == {
        "status": None,
        "signature": "bob",
    }


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"tags": "text"}, "invalid_type"),
        ({"tags": {"a": 1}}, "invalid_type"),
        ({"meta": ["a"]}, "invalid_type"),
        ({"items": {"a": 1}}, "invalid_type"),
        ({"items": [{"note": "x"}]}, "invalid_type"),
        ({"items": ["x"]}, "invalid_type"),
    ],
)
def test_a_container_of_another_shape_is_the_callers_mistake(wanted: dict[str, object], code: str) -> None:
    with pytest.raises(LocalError) as caught:
        edit(made(title="A"), wanted, stamp(), SCHEMA)
    assert caught.value.code == code


def test_an_unknown_kind_is_the_callers_mistake() -> None:
    with pytest.raises(LocalError, match="it has task"):
        create("robot", "1", {}, stamp(), SCHEMA)


def items_of(entity: Entity) -> list[object]:
    found = view(entity, SCHEMA).get("items", [])
    assert isinstance(found, list)
    return [item["id"] for item in found]


def listed(*ids: object) -> list[dict[str, object]]:
    return [{"id": one} for one in ids]


@given(st.permutations("abcdef"), st.permutations("abcdef"), st.sets(st.sampled_from("abcdef")))
def test_a_list_given_whole_stands_as_given(first: list[str], second: list[str], left_out: set[str]) -> None:
    entity = made(items=listed(*first))
    assert items_of(entity) == first
    wanted = [one for one in second if one not in left_out]
    change = edit(entity, {"items": listed(*wanted)}, stamp(), SCHEMA)
    assert items_of(entity if change is None else after(entity, change)) == wanted


def test_a_list_given_as_it_stands_patches_nothing_even_with_equal_positions() -> None:
    entity = made(**{"items/a": "V", "items/b": "V", "items/c": 1, "items/d": 2, "items/a/note": "n"})
    assert items_of(entity) == ["c", "d", "a", "b"]
    assert edited(entity, {"items": view(entity, SCHEMA)["items"]}) == {}


@pytest.mark.parametrize(
    "positions", [(1, 2, 3), ("0", "00", "a0"), ("\u00e9", "!", "V"), ("V", "V", "V"), ({}, [], True)]
)
def test_a_list_with_anybodys_positions_can_be_rearranged(positions: tuple[object, ...]) -> None:
    entity = made(**{f"items/{number}": position for number, position in enumerate(positions)})
    for wanted in (["2", "1", "0"], ["1", "new", "0", "2"], ["new", "0"], []):
        change = edit(entity, {"items": listed(*wanted)}, stamp(), SCHEMA)
        assert change is not None
        assert items_of(after(entity, change)) == wanted


def test_removing_an_item_replaces_its_fields_too() -> None:
    entity = made(**{"items/7": "V", "items/7/note": "n"})
    entity = after(entity, edit(entity, {"items/7/note": "m"}, stamp("a"), SCHEMA))
    patches = edited(entity, {"items": []})
    assert patches["items/7"].replaced == [Dot("a", 1), Dot("c", 1)]
    assert view(after(entity, edit(entity, {"items": []}, stamp(), SCHEMA)), SCHEMA)["items"] == []


def removed_and_edited() -> Entity:
    entity = made(**{"items/7": "V", "items/7/note": "n", "items/8": "k"})
    removal = edit(entity, {"items/7": None}, stamp("a"), SCHEMA)
    note = edit(entity, {"items/7/note": "m"}, stamp("b"), SCHEMA)
    return after(after(entity, removal), note)


def test_a_whole_list_never_settles_the_conflict_of_an_item_that_nobody_looked_at() -> None:
    entity = removed_and_edited()
    shown = view(entity, SCHEMA)["items"]
    assert isinstance(shown, list)
    assert edited(entity, {"items": shown}) == {}
    with_new = after(entity, edit(entity, {"items": [*shown, {"id": "9"}]}, stamp(), SCHEMA))
    assert [found.path for found in conflicts(with_new, SCHEMA)] == ["items/7"]
    assert items_of(with_new) == ["7", "8", "9"]


@pytest.mark.parametrize(("choice", "ids"), [("V", ["7", "8"]), (None, ["8"])])
def test_a_removed_item_is_kept_or_let_go(choice: object, ids: list[str]) -> None:
    entity = removed_and_edited()
    (conflict,) = conflicts(entity, SCHEMA)
    resolved = after(entity, resolve(entity, conflict, choice, stamp(), SCHEMA))
    assert items_of(resolved) == ids
    assert conflicts(resolved, SCHEMA) == []


def in_conflict() -> Entity:
    entity = made(title="A")
    for device_id, title in (("a", "B"), ("b", "C")):
        change = edit(made(title="A"), {"title": title}, stamp(device_id), SCHEMA)
        entity = after(entity, change)
    return entity


def test_a_routine_edit_of_a_field_in_conflict_replaces_what_was_on_screen() -> None:
    entity = in_conflict()
    assert view(entity, SCHEMA)["title"] == "C"
    change = edit(entity, {"title": "D"}, stamp(), SCHEMA)
    assert change is not None
    assert change.patches["title"] == Patch("D", "C", [Dot("b", 1)])
    (conflict,) = conflicts(after(entity, change), SCHEMA)
    assert {sibling.value for sibling in conflict.siblings} == {"B", "D"}


def test_a_resolution_lists_every_sibling() -> None:
    entity = in_conflict()
    (conflict,) = conflicts(entity, SCHEMA)
    change = resolve(entity, conflict, "E", stamp(), SCHEMA)
    assert change.op == "resolve"
    assert change.patches["title"] == Patch("E", "C", [Dot("a", 1), Dot("b", 1)])
    assert conflicts(after(entity, change), SCHEMA) == []


def test_a_delete_edit_conflict_is_answered_by_keep_or_delete() -> None:
    entity = made(title="A")
    gone = after(entity, delete(entity, stamp("a")))
    late = edit(entity, {"title": "B"}, stamp("b"), SCHEMA)
    entity = after(gone, late)
    (conflict,) = conflicts(entity, SCHEMA)
    kept = after(entity, resolve(entity, conflict, "keep", stamp(), SCHEMA))
    assert view(kept, SCHEMA) == {"title": "B"}
    assert view(after(entity, resolve(entity, conflict, "delete", stamp(), SCHEMA)), SCHEMA) == {}
    with pytest.raises(LocalError, match="keep"):
        resolve(entity, conflict, ["both"], stamp(), SCHEMA)


def test_an_invariants_conflict_is_answered_by_values_that_keep_it() -> None:
    entity = made(low=1, high=9)
    lower = edit(entity, {"high": 3}, stamp("a"), SCHEMA)
    higher = edit(entity, {"low": 5}, stamp("b"), SCHEMA)
    entity = after(after(entity, lower), higher)
    (conflict,) = conflicts(entity, SCHEMA)
    assert (conflict.path, conflict.reason) == ("range", "invariant")
    assert conflicts(after(entity, resolve(entity, conflict, {"low": 2}, stamp(), SCHEMA)), SCHEMA) == []
    bad = resolve(entity, conflict, {"low": 4}, stamp(), SCHEMA)
    assert apply(entity, bad, SCHEMA)[1].code == "invariant"
    for choice in ({}, 5, {"low": 5, "high": 3}):
        with pytest.raises(LocalError) as caught:
            resolve(entity, conflict, choice, stamp(), SCHEMA)
        assert caught.value.code == "invalid_choice"


def test_a_resolution_that_breaks_an_invariant_of_a_group_is_refused() -> None:
    rule = InvariantSpec("requires", ["status", "signature"], {"when": ["DONE"]})
    kind = SCHEMA.kinds["task"]
    schema = Schema(1, {"task": KindSpec(kind.fields, kind.groups, invariants={"signed": rule})})
    siblings = [
        Sibling({"status": "OPEN", "signature": None}, [WrittenDot("a", 1, 0)]),
        Sibling({"status": "HELD", "signature": None}, [WrittenDot("b", 1, 0)]),
    ]
    entity = Entity("task", "1", {"a": 1, "b": 1}, {"completion": siblings})
    (conflict,) = conflicts(entity, schema)
    unsigned = resolve(entity, conflict, {"status": "DONE", "signature": None}, stamp(), schema)
    assert apply(entity, unsigned, schema)[1].code == "invariant"
    signed = resolve(entity, conflict, {"status": "DONE", "signature": "ann"}, stamp(), schema)
    assert apply(entity, signed, schema)[1].status == "applied"
