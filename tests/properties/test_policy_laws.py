"""`check_policy` accepts every built-in policy, and says which law a bad one breaks."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from rightfit_sync import CONFLICT, Policy
from rightfit_sync.merge.policy import Verdict
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.testing.policy_laws import PolicyLawError, check_policy
from rightfit_sync.testing.strategies import values
from rightfit_sync.values import Value

EXAMPLES_MAX = settings.default.max_examples

TYPES = ("json", "str", "int", "float", "decimal", "bool", "list", "map", "date")
SPECS = [
    *(FieldSpec(merge, word) for merge in ("register", "once") for word in TYPES),
    *(
        FieldSpec(merge, word)
        for merge in ("maximum", "minimum")
        for word in ("json", "int", "decimal", "date")
    ),
    *(FieldSpec("counter", word) for word in ("int", "float", "decimal")),
    *(FieldSpec("text", "str", on_overlap=way) for way in ("conflict", "merge")),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.merge}-{spec.type}-{spec.on_overlap}")
def test_built_in_policies_keep_the_laws(spec: FieldSpec) -> None:
    check_policy(spec.merge, values(spec), spec=spec, examples_max=EXAMPLES_MAX)


def test_a_workflow_keeps_the_laws_where_writers_follow_it() -> None:
    steps = {"OPEN": ["ASSIGNED"], "ASSIGNED": ["HELD", "DONE"], "HELD": ["ASSIGNED"]}
    spec = FieldSpec("workflow", "str", transitions=steps)

    def moves(state: Value) -> st.SearchStrategy[Value]:
        return st.sampled_from([state or "OPEN", *steps.get(str(state), [])])

    check_policy(
        "workflow", st.sampled_from([*steps, "DONE"]), spec=spec, moves=moves, examples_max=EXAMPLES_MAX
    )


def test_a_policy_of_ones_own_may_look_at_its_options() -> None:
    class Priority(Policy):
        """The most urgent wins; `options["order"]` says which that is."""

        merges = True

        def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
            order = self.spec.options["order"]
            assert isinstance(order, list)
            return max(theirs, mine, key=order.index)

        def advance(self, replaced: Sequence[Value], mine: Value) -> Value:
            order = self.spec.options["order"]
            assert isinstance(order, list)
            return mine if mine is None else max([mine, *filter(None, replaced)], key=order.index)

    spec = FieldSpec(options={"order": ["LOW", "HIGH", "EMERGENCY"]})
    check_policy(Priority, st.sampled_from(["LOW", "HIGH", "EMERGENCY"]), spec=spec, examples_max=200)


class Eager(Policy):
    """Would merge null too, if it were ever asked."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        moved = [value for value in (theirs, mine) if value != base]
        return max(moved or [mine], key=str)


def test_a_policy_is_never_asked_about_null() -> None:
    check_policy(Eager, st.sampled_from([None, 1, 2]), spec=FieldSpec(type="int"), examples_max=200)


class Last(Policy):
    """Whoever comes later wins: the mistake that this library is about."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        return mine


class Greedy(Policy):
    """Keeps what was there, and drops the only edit."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        return base if base in (theirs, mine) else CONFLICT


class Fickle(Policy):
    """Says something else to each instance."""

    merges = True
    made = 0

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        Fickle.made += 1
        self.number = Fickle.made

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        return self.number


class Careless(Policy):
    """Makes what it would refuse."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        return f"{min(str(theirs), str(mine))}{max(str(theirs), str(mine))}"


class Meddling(Policy):
    """Changes the values that it is asked about."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        assert isinstance(theirs, list)
        theirs.append(1)
        return CONFLICT


class Creeping(Policy):
    """Grows each time that it is asked."""

    def advance(self, replaced: Sequence[Value], mine: Value) -> Value:
        return mine + 1 if isinstance(mine, int) else mine


class Forgetful(Policy):
    """Depends on what is still there when it is asked."""

    merges = True

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        return CONFLICT if base in (theirs, mine) else max(str(theirs), str(mine))

    def may_replace(self, current: Value, mine: Value) -> bool:
        return current != "b" or mine == "c"


NUMBERS: st.SearchStrategy[Value] = st.integers(1, 3)
LETTERS: st.SearchStrategy[Value] = st.sampled_from("abc")


@pytest.mark.parametrize(
    ("policy", "pool", "law"),
    [
        (Last, NUMBERS, "symmetric"),
        (Greedy, NUMBERS, "idle side"),
        (Fickle, NUMBERS, "deterministic"),
        (Careless, NUMBERS, "legal"),
        (Meddling, st.lists(NUMBERS, max_size=1).map(list), "deterministic"),
        (Creeping, NUMBERS, "monotone"),
        (Forgetful, LETTERS, "commuting"),
    ],
)
def test_a_bad_policy_is_told_which_law_it_breaks(
    policy: type[Policy], pool: st.SearchStrategy[Value], law: str
) -> None:
    spec = FieldSpec(type="list" if policy is Meddling else "int" if pool is NUMBERS else "str")
    with pytest.raises(PolicyLawError) as caught:
        check_policy(policy, pool, spec=spec, examples_max=300)
    assert caught.value.law == law
    assert law in str(caught.value)


def test_values_that_the_policy_refuses_are_the_callers_mistake() -> None:
    with pytest.raises(PolicyLawError, match="values given to check_policy"):
        check_policy("counter", st.just("many"), spec=FieldSpec(type="int"), examples_max=10)
