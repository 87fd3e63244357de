"""Who sees what, what refers to what, what an app is shown, and in what pages it comes."""

import pytest

from rightfit_sync import Dot, Entity, LifeRecord, Schema, Sibling, conflicts, view
from rightfit_sync.audience import audience, lends, own_tags
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.feed import GENESIS, chained, cut
from rightfit_sync.references import references
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, KindSpec, ReferenceSpec

SCHEMA = Schema(
    1,
    {
        "job": KindSpec(
            {
                "worker": FieldSpec(type="str"),
                "team": FieldSpec("set", "str"),
                "rooms": FieldSpec("set", "int"),
                "place": FieldSpec(type="str"),
                "boss": FieldSpec(type="str"),
            },
            groups={"posting": GroupSpec(["place", "boss"])},
            references={"place": ReferenceSpec("place"), "worker": ReferenceSpec("place", "set_null")},
            audience=["staff", "worker:{worker}", "team:{team}:{place}"],
        ),
        "place": KindSpec({}),
    },
)


def job(life: tuple[LifeRecord, ...] = (), kind: str = "job", **fields: object) -> Entity:
    siblings = {
        path.replace("__", "/"): [Sibling(value, [WrittenDot("a", 1, 0)])] for path, value in fields.items()
    }
    return Entity(kind, "1", {"a": 1}, siblings, life)


DELETED = (LifeRecord("delete", Dot("b", 1), {"a": 1}, 0),)


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        ({}, {"staff"}),
        ({"worker": "ann"}, {"staff", "worker:ann"}),
        ({"worker": None}, {"staff"}),
        ({"worker": ""}, {"staff"}),
        ({"team__x": True, "team__y": True}, {"staff"}),
        (
            {"team__x": True, "team__y": True, "posting": {"place": "p", "boss": None}},
            {"staff", "team:x:p", "team:y:p"},
        ),
    ],
)
def test_own_tags_follow_the_fields(fields: dict[str, object], tags: set[str]) -> None:
    assert own_tags(job(**fields), SCHEMA) == tags
    assert own_tags(job(DELETED, **fields), SCHEMA) == tags


def test_an_audience_is_ones_own_with_what_is_inherited_and_lent() -> None:
    assert audience(["b", "a"], ["a"], ["c"]) == ["a", "b", "c"]
    assert own_tags(job(kind="robot"), SCHEMA) == frozenset()


def test_the_dead_and_the_unknown_lend_nothing() -> None:
    assert lends(job(), SCHEMA)
    assert not lends(job(DELETED), SCHEMA)
    assert not lends(job(kind="robot"), SCHEMA)


def test_references_are_found_in_groups_and_of_the_dead_too() -> None:
    one = job(DELETED, worker="w", posting={"place": "p", "boss": "x"})
    assert [(found.path, found.kind, found.entity_id) for found in references(one, SCHEMA)] == [
        ("place", "place", "p"),
        ("worker", "place", "w"),
    ]
    assert references(job(worker=None, posting={"place": 5, "boss": None}), SCHEMA) == []
    assert references(job(kind="place"), SCHEMA) == references(job(kind="robot"), SCHEMA) == []


def test_an_orphan_is_a_conflict_of_the_holder() -> None:
    one = job(worker="w")
    (found,) = conflicts(one, SCHEMA, orphans=["worker"])
    assert (found.path, found.reason, found.dots) == ("worker", "orphan", [Dot("a", 1)])
    assert conflicts(job(DELETED, worker="w"), SCHEMA, orphans=["worker"]) == []
    assert conflicts(job(kind="robot"), SCHEMA) == []


def test_an_orphan_among_siblings_is_a_conflict_of_its_own() -> None:
    """A replica lists conflicts by id: two of one id would stop every sync that brings the record."""
    siblings = [Sibling("v", [WrittenDot("a", 1, 0)]), Sibling("w", [WrittenDot("b", 1, 0)])]
    one = Entity("job", "1", {"a": 1, "b": 1}, {"worker": siblings})
    found = conflicts(one, SCHEMA, orphans=["worker"])
    assert [(conflict.path, conflict.reason) for conflict in found] == [
        ("worker", "orphan"),
        ("worker", "siblings"),
    ]
    assert len({conflict.conflict_id for conflict in found}) == 2


def test_a_view_bears_what_a_former_schema_left_behind() -> None:
    one = job(rooms__12=True, rooms__kitchen=True, rooms__3=True, posting="left over", gone__x=1, gone=2)
    assert view(one, SCHEMA) == {"rooms": [3, 12]}
    assert view(job(kind="robot", worker="w"), SCHEMA) == {}


@pytest.mark.parametrize(
    ("commits", "rows_max", "count"),
    [
        ([], 3, 0),
        ([1, 2, 3], 3, 3),
        ([1, 2, 3, 4], 3, 3),
        ([1, 1, 2, 2], 3, 2),
        ([2, 2, 2, 2, 3], 3, 4),
        ([2, 2, 2, 2], 3, None),
        ([1, 2, 2, 2, 2], 3, 1),
        ([1, 1], 2, 2),
    ],
)
def test_a_page_holds_whole_commits(commits: list[int], rows_max: int, count: int | None) -> None:
    assert cut(commits, rows_max) == count


def test_a_chain_tells_feeds_apart() -> None:
    one = chained(GENESIS, 1, [("k", "1", "d"), ("k", "2", "d")])
    assert one == chained(GENESIS, 1, [("k", "2", "d"), ("k", "1", "d")])
    others = [
        chained(GENESIS, 2, [("k", "1", "d"), ("k", "2", "d")]),
        chained(GENESIS, 1, [("k", "1", "d")]),
        chained(GENESIS, 1, [("k", "1", "d"), ("k", "2", "another state")]),
        chained(one, 1, [("k", "1", "d"), ("k", "2", "d")]),
    ]
    assert len({one, *others}) == 5
    assert all(len(chain) == len(GENESIS) for chain in (one, *others))
