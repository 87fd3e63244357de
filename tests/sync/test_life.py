"""Life and death: the tombstone that others see, and what a delete had to see."""

import pytest

from rightfit_sync import Dot, Entity, LifeRecord, Schema, Sibling, conflicts, join, view
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.life import Tombstone, delete_conflict, is_deleted, tombstone, unseen_dots, with_record
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, KindSpec

KIND = KindSpec(
    {"title": FieldSpec(type="str"), "hazards": FieldSpec("server"), "a": FieldSpec(), "b": FieldSpec()},
    {"both": GroupSpec(["a", "b"])},
)
GIVING_UP = KindSpec(KIND.fields, on_delete_conflict="delete")


def record(op: str, device_id: str, seen: dict[str, int], at: int = 0) -> LifeRecord:
    return LifeRecord("delete" if op == "delete" else "restore", Dot(device_id, 1), seen, at)


def entity(*life: LifeRecord, path: str = "title", device_id: str = "c") -> Entity:
    vector = {"c": 1, device_id: 1, **{one.dot.device_id: 1 for one in life}}
    return Entity("k", "1", vector, {path: [Sibling("A", [WrittenDot(device_id, 1, 0)])]}, life)


def test_an_entity_without_a_delete_is_alive() -> None:
    for one in (entity(), entity(record("restore", "a", {"c": 1}))):
        assert not is_deleted(one, KIND)
        assert tombstone(one, KIND) is None
        assert unseen_dots(one, KIND) == []
        assert delete_conflict(one, KIND) is None


def test_the_tombstone_is_that_of_the_newest_delete() -> None:
    one = entity(record("delete", "a", {"c": 1}, 5), record("delete", "b", {"c": 1}, 7))
    assert tombstone(one, KIND) == Tombstone(7, "b")
    tied = entity(record("delete", "a", {"c": 1}, 7), record("delete", "b", {"c": 1}, 7))
    assert tombstone(tied, KIND) == Tombstone(7, "b")


def test_between_them_two_deletes_may_have_seen_everything() -> None:
    fields = {"title": [Sibling("A", [WrittenDot("x", 1, 0)]), Sibling("B", [WrittenDot("y", 1, 0)])]}
    life = [record("delete", "a", {"x": 1}), record("delete", "b", {"y": 1})]
    one = Entity("k", "1", {"x": 1, "y": 1, "a": 1, "b": 1}, fields, life)
    assert is_deleted(one, KIND)
    half = Entity("k", "1", one.version_vector, fields, life[:1])
    assert delete_conflict(half, KIND) == [Dot("a", 1), Dot("y", 1)]
    assert not is_deleted(half, KIND)
    assert is_deleted(half, GIVING_UP)


@pytest.mark.parametrize(
    ("path", "counts"), [("title", True), ("hazards", False), ("hazards/x", True), ("both", True)]
)
def test_an_edit_that_no_delete_saw_counts_unless_it_is_the_servers(path: str, counts: bool) -> None:
    one = entity(record("delete", "a", {"c": 1}), path=path, device_id="late")
    assert (delete_conflict(one, KIND) is not None) is counts


def test_a_delete_beside_a_restore_is_a_conflict_that_shows_both() -> None:
    one = entity(record("delete", "a", {"c": 1}), record("restore", "b", {"c": 1}))
    assert delete_conflict(one, KIND) == [Dot("a", 1), Dot("b", 1)]
    schema = Schema(1, {"k": KIND})
    (found,) = conflicts(one, schema)
    assert (found.path, found.reason, found.life) == ("life", "delete_edit", one.life)
    assert view(one, schema) == {"title": "A"}


def test_a_new_record_removes_those_that_its_author_saw() -> None:
    first, second = record("delete", "a", {"c": 1}), record("delete", "b", {"c": 1})
    assert with_record([first], second) == [first, second]
    assert with_record([second], first) == [first, second]
    answer = record("restore", "r", {"a": 1})
    assert with_record([first, second], answer) == [second, answer]


def test_entities_of_another_name_do_not_join() -> None:
    with pytest.raises(ValueError, match="cannot join"):
        join(entity(), Entity("k", "2", {}, {}))
