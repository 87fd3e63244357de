"""Each policy's own edges, beside the laws that they all share."""

from collections.abc import Callable

import pytest

from rightfit_sync import CONFLICT, Policy, Schema
from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.merge.counter import Counter
from rightfit_sync.merge.extremum import Extremum
from rightfit_sync.merge.group import Group
from rightfit_sync.merge.registry import MisplacedPathError, register_policy, rules_of
from rightfit_sync.merge.text import Text
from rightfit_sync.merge.workflow import Workflow
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, KindSpec

INT = Counter(FieldSpec("counter", "int"))
FLOAT = Counter(FieldSpec("counter", "float"))
DECIMAL = Counter(FieldSpec("counter", "decimal"))


@pytest.mark.parametrize(
    ("policy", "base", "theirs", "mine", "total"),
    [
        (INT, 10, 13, 8, 11),
        (INT, None, 3, 4, 7),
        (INT, 0, INTEGER_MAX, -1, INTEGER_MAX - 1),
        (INT, 0, INTEGER_MAX, 1, CONFLICT),
        (INT, 0, -INTEGER_MAX, -1, CONFLICT),
        (FLOAT, 0, 0.1, 0.2, 0.3),
        (FLOAT, 0.1, 0, 0, -0.1),
        (FLOAT, 0, 1.5, 1.5, 3),
        (FLOAT, 0, 1e308, 1e308, CONFLICT),
        (FLOAT, 0, 1e308, 0.5, 1e308),
        (FLOAT, 0, 1e20, 1e20, 2e20),
        (DECIMAL, "0.10", "0.20", "12.50", "12.60"),
        (DECIMAL, None, "1", "2.00", "3.00"),
        (DECIMAL, "0", "9" * 40, "1", CONFLICT),
        (DECIMAL, "not a number", "1", "2", CONFLICT),
        (DECIMAL, [], "1", "2", CONFLICT),
        (DECIMAL, "NaN", "1", "2", CONFLICT),
        (DECIMAL, 1, "1", 2, CONFLICT),
        (INT, True, 1, 2, CONFLICT),
    ],
)
def test_counters(policy: Policy, base: object, theirs: object, mine: object, total: object) -> None:
    assert policy.merge(base, theirs, mine, mine_first=True) == total
    assert policy.merge(base, mine, theirs, mine_first=False) == total


def test_counters_hold_numbers() -> None:
    assert INT.problem(None) is None
    assert INT.problem(1) is None
    assert INT.problem(True)
    assert INT.problem("1")
    assert DECIMAL.problem("1.0") is None
    assert DECIMAL.problem(1)
    assert Counter(FieldSpec("counter", "json")).problem("many")


@pytest.mark.parametrize(
    ("word", "base", "theirs", "mine", "greatest"),
    [
        ("int", 5, 3, 7, 7),
        ("decimal", "9", "10", "9.5", "10"),
        ("decimal", "1", "2.0", "2.00", "2.00"),
        ("decimal", "2.0", "2.0", "2.00", "2.00"),
        ("decimal", "2.00", "2.0", "2.00", "2.0"),
        ("date", "2025-01-01", "2026-01-01", "2025-12-31", "2026-01-01"),
        ("float", 1, 2.5, 2, 2.5),
        ("json", 1, True, 2, CONFLICT),
        ("json", 1, False, True, CONFLICT),
        ("json", 1, "a", 2, CONFLICT),
        ("json", 1, [1], [2], CONFLICT),
        ("decimal", "1", "left over", "2", CONFLICT),
    ],
)
def test_maximum(word: str, base: object, theirs: object, mine: object, greatest: object) -> None:
    policy = Extremum(FieldSpec("maximum", word))
    assert policy.merge(base, theirs, mine, mine_first=True) == greatest
    assert policy.merge(base, mine, theirs, mine_first=False) == greatest


@pytest.mark.parametrize(
    ("merge", "replaced", "mine", "furthest"),
    [
        ("maximum", [5], 3, 5),
        ("maximum", [5, 9, 7], 3, 9),
        ("minimum", [5, 2], 3, 2),
        ("maximum", [5], None, None),
        ("maximum", [None], 3, 3),
        ("maximum", ["a"], 3, 3),
        ("maximum", [True], 0, 0),
        ("minimum", ["a"], "b", "a"),
        ("maximum", [], 3, 3),
    ],
)
def test_an_extremum_never_goes_back(
    merge: str, replaced: list[object], mine: object, furthest: object
) -> None:
    assert Extremum(FieldSpec(merge, "json")).advance(replaced, mine) == furthest


STEPS = {"OPEN": ["ASSIGNED"], "ASSIGNED": ["HELD", "DONE"], "HELD": ["ASSIGNED"], "LOOP": ["LOOP"]}


@pytest.mark.parametrize(
    ("theirs", "mine", "later"),
    [
        ("OPEN", "DONE", "DONE"),
        ("HELD", "DONE", "DONE"),
        ("ASSIGNED", "HELD", CONFLICT),
        ("DONE", "CANCELLED", CONFLICT),
        ("LOOP", "OPEN", CONFLICT),
        (1, "OPEN", CONFLICT),
    ],
)
def test_workflow(theirs: object, mine: object, later: object) -> None:
    policy = Workflow(FieldSpec("workflow", "str", transitions=STEPS))
    assert policy.merge("OPEN", theirs, mine, mine_first=True) == later
    assert policy.merge("OPEN", mine, theirs, mine_first=False) == later


def test_text_offers_what_it_does_not_merge() -> None:
    policy = Text(FieldSpec("text", "str"))
    question = ("the boiler leaks", "the boiler drips", "the boiler leaked")
    assert policy.merge(*question, mine_first=True) is CONFLICT
    merging = Text(FieldSpec("text", "str", on_overlap="merge"))
    assert policy.suggest(*question, mine_first=True) == merging.merge(*question, mine_first=True)
    assert policy.merge(None, 1, "x", mine_first=True) is CONFLICT
    assert policy.suggest(None, 1, "x", mine_first=True) is None
    assert policy.problem(1)


def group_of(lead: str | None, spec: FieldSpec) -> Group:
    members = {"lead": rules_of(KindSpec({"x": spec})).policy("x"), "note": Policy(FieldSpec(type="str"))}
    return Group(GroupSpec(["lead", "note"], lead), members)


def whole(lead: object, note: object = None) -> dict[str, object]:
    return {"lead": lead, "note": note}


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "result"),
    [
        (whole("OPEN"), whole("ASSIGNED"), whole("DONE", "ann"), whole("DONE", "ann")),
        (whole("OPEN"), whole("ASSIGNED", "ann"), whole("DONE", "ann"), whole("DONE", "ann")),
        (whole("OPEN"), whole("ASSIGNED", "bob"), whole("DONE", "ann"), CONFLICT),
        (whole("OPEN"), whole("ASSIGNED", "bob"), whole("DONE"), CONFLICT),
        (whole("OPEN"), whole("DONE", "bob"), whole("DONE", "ann"), CONFLICT),
        (whole("OPEN"), whole("ASSIGNED"), whole("HELD"), CONFLICT),
        (whole("OPEN"), whole(None), whole("HELD"), CONFLICT),
        (None, whole("ASSIGNED"), whole("DONE"), whole("DONE")),
        (whole("OPEN"), "left over", whole("DONE"), CONFLICT),
    ],
)
def test_group(base: object, theirs: object, mine: object, result: object) -> None:
    policy = group_of("lead", FieldSpec("workflow", "str", transitions=STEPS))
    assert policy.merge(base, theirs, mine, mine_first=True) == result
    assert policy.merge(base, mine, theirs, mine_first=False) == result


def test_a_group_whose_lead_would_make_a_third_value_conflicts() -> None:
    policy = group_of("lead", FieldSpec("counter", "int"))
    assert policy.merge(whole(1), whole(2), whole(4), mine_first=True) is CONFLICT
    assert policy.merge(whole(1), whole(1, "x"), whole(4), mine_first=True) is CONFLICT


def test_a_group_says_what_is_missing_or_wrong() -> None:
    policy = group_of("lead", FieldSpec("counter", "int"))
    assert policy.problem(whole(1)) is None
    assert "lead, note" in str(policy.problem({"lead": 1}))
    assert "lead, note" in str(policy.problem("text"))
    assert "member lead" in str(policy.problem(whole("many")))
    assert group_of(None, FieldSpec()).merge(None, whole(1), whole(2), mine_first=True) is CONFLICT


def test_a_policy_is_registered_once() -> None:
    class Own(Policy):
        """An application's."""

    register_policy("own-of-this-test", Own)
    register_policy("own-of-this-test", Own)
    assert isinstance(rules_of(KindSpec({"x": FieldSpec("own-of-this-test")})).policy("x"), Own)
    other: Callable[[FieldSpec], Policy] = Policy
    for name, factory in (("own-of-this-test", other), ("set", Own), ("counter", Own)):
        with pytest.raises(ValueError, match="exists already"):
            register_policy(name, factory)


def test_a_policy_that_is_not_registered_is_a_register() -> None:
    found = rules_of(KindSpec({"x": FieldSpec("of-the-future", "str")})).policy("x")
    assert type(found) is Policy
    assert found.problem(1)


@pytest.mark.parametrize(
    ("path", "merge"),
    [
        *(("tags/x", "set"), ("meta/known", "counter"), ("meta/other", "text"), ("items/1", "register")),
        *(
            ("items/1/done", "once"),
            ("items/1/new", "register"),
            ("free/x", "register"),
            ("unknown/a/b/c", "register"),
        ),
    ],
)
def test_each_path_has_the_policy_of_its_place(path: str, merge: str) -> None:
    kind = KindSpec(
        {
            "tags": FieldSpec("set", "str"),
            "meta": FieldSpec(
                "map", "map", fields={"known": FieldSpec("counter")}, element=FieldSpec("text", "str")
            ),
            "items": FieldSpec("keyed_list", "list", fields={"done": FieldSpec("once")}),
            "free": FieldSpec("map", "map"),
        }
    )
    rules = rules_of(kind)
    assert rules.spec(path).merge == merge
    assert rules.policy(path) is rules.policy(path)
    assert rules_of(kind) is rules


def test_a_members_path_names_its_group() -> None:
    kind = Schema(
        1, {"k": KindSpec({"a": FieldSpec(), "b": FieldSpec()}, {"both": GroupSpec(["a", "b"])})}
    ).kinds["k"]
    with pytest.raises(MisplacedPathError, match="group both"):
        rules_of(kind).policy("a")
    with pytest.raises(MisplacedPathError, match="no elements"):
        rules_of(kind).policy("both/a")
