"""`check_policy`: the laws of merge policies, run on an application's own.

| law | says |
|---|---|
| deterministic | the same question has the same answer, and asking changes nothing |
| symmetric | `merge(base, theirs, mine, mine_first=f)` is `merge(base, mine, theirs, mine_first=not f)` |
| legal | what `merge` and `advance` return, `problem` accepts; what travels comes back equal |
| idle side | a side that did not move leaves the field to the other (or the policy says `CONFLICT`) |
| monotone | `advance` is idempotent, and says the same however often a value was replaced |
| commuting | two edits of one value end alike in either order, through `apply` |
| nothing lost | each edit's dot is in a sibling afterwards; two siblings are an open conflict |
| null | null beside a concurrent value is a conflict, never merged |
| coalescing | equal values are one sibling, unless the policy counts each |

A law that breaks raises `PolicyLawError`, which names the law and the values. Needs the package `hypothesis`,
which is imported when the laws are run, so that `rightfit_sync.testing` can be imported without it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.conflicts import conflicts
from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.merge.registry import PolicyFactory, register_policy, rules_of
from rightfit_sync.records import Change, Entity, Patch, Sibling
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.values import Value, canonical, problem, same

if TYPE_CHECKING:
    from hypothesis import strategies as st

EXAMPLES_MAX = 1_000

_KIND = "record"
_FIELD = "field"


class PolicyLawError(AssertionError):
    """A policy breaks a law; `law` is its name in the table above, the message shows the values."""

    def __init__(self, law: str, sentence: str) -> None:
        super().__init__(f"the law {law!r} is broken: {sentence}")
        self.law = law


Moves: TypeAlias = "Callable[[Value], st.SearchStrategy[Value]]"
"""What a writer who sees this value (None: nothing) may write."""


def check_policy(
    policy: str | PolicyFactory,
    values: st.SearchStrategy[Value],
    *,
    spec: FieldSpec | None = None,
    moves: Moves | None = None,
    examples_max: int = EXAMPLES_MAX,
) -> None:
    """Run every law on `policy`, a registered name or a factory, with `values` to start from.

    Null is added to them. `spec` is the field's declaration (`options`, `type`, ...; its `merge` is set
    here). `moves` says what a writer may write who sees a given value, where that is not any of `values`: a
    workflow's next states, say.
    """
    from hypothesis import given, settings  # noqa: PLC0415 - see the module's docstring.
    from hypothesis import strategies as st  # noqa: PLC0415

    name = policy if isinstance(policy, str) else _registered(policy)
    declared = msgspec.structs.replace(spec or FieldSpec(), merge=name)
    following = moves or (lambda _: values)
    start = st.one_of(st.none(), values)

    @settings(max_examples=examples_max, deadline=None, database=None)
    @given(start, st.data())
    def run(base: Value, data: st.DataObject) -> None:
        theirs, mine = data.draw(following(base), "theirs"), data.draw(following(base), "mine")
        _Laws(declared).check(base, theirs, mine)

    run()


def _registered(factory: PolicyFactory) -> str:
    # The registry keeps the factory, so that its identity is not used again in this process.
    name = f"checked:{id(factory):x}"
    register_policy(name, factory)
    return name


def _policy(spec: FieldSpec) -> Policy:
    return rules_of(KindSpec({_FIELD: spec})).policy(_FIELD)


class _Laws:
    def __init__(self, spec: FieldSpec) -> None:
        self._policy = _policy(spec)
        self._schema = Schema(1, {_KIND: KindSpec({_FIELD: spec})})

    def check(self, base: Value, theirs: Value, mine: Value) -> None:
        """Run all laws on one pair of concurrent edits."""
        for value in (base, theirs, mine):
            found = problem(value) or self._policy.problem(value)
            _hold("legal", found is None, f"the values given to check_policy hold {value!r}: {found}")
        self._check_advance(base, mine)
        if None not in (theirs, mine) and not self._policy.removes:
            self._check_merge(base, theirs, mine)
            self._check_idle_side(base, mine)
        self._check_apply(base, theirs, mine)

    def _check_advance(self, base: Value, mine: Value) -> None:
        once = self._policy.advance([base], mine)
        self._check_legal("advance", once)
        for replaced in ([base, base], [base, once]):
            again = self._policy.advance(replaced, once)
            _hold("monotone", same(once, again), f"advance({replaced!r}, {once!r}) is {again!r}")

    def _check_merge(self, base: Value, theirs: Value, mine: Value) -> None:
        for first in (True, False):
            before = copy.deepcopy((base, theirs, mine))
            one = self._policy.merge(base, theirs, mine, mine_first=first)
            question = f"merge({base!r}, {theirs!r}, {mine!r}, mine_first={first})"
            _hold("deterministic", before == (base, theirs, mine), f"{question} changed its arguments")
            again = _policy(self._policy.spec).merge(base, theirs, mine, mine_first=first)
            _hold("deterministic", _alike(one, again), f"{question} is {one!r}, then {again!r}")
            turned = self._policy.merge(base, mine, theirs, mine_first=not first)
            _hold("symmetric", _alike(one, turned), f"{question} is {one!r}, with sides exchanged {turned!r}")
            self._check_legal(question, one)

    def _check_legal(self, question: str, answer: Value | Verdict) -> None:
        if answer is not CONFLICT:
            found = problem(answer) or self._policy.problem(answer)
            _hold("legal", found is None, f"{question} is {answer!r}: {found}")

    def _check_idle_side(self, base: Value, mine: Value) -> None:
        if base is None:
            return
        moved = self._policy.advance([base], mine)
        answer = self._policy.merge(base, base, moved, mine_first=True)
        kept = answer is CONFLICT or same(answer, moved)
        _hold("idle side", kept, f"merge({base!r}, {base!r}, {moved!r}) is {answer!r}: the only edit is lost")

    def _check_apply(self, base: Value, theirs: Value, mine: Value) -> None:
        entity, left, right = _edits(base, theirs, mine)
        ends = [self._after(entity, order) for order in ([left, right], [right, left])]
        shown = [msgspec.json.encode(end, order="sorted").decode() for end in ends]
        case = f"{theirs!r} and {mine!r} over {base!r}"
        _hold(
            "commuting", shown[0] == shown[1], f"{case} give {shown[0]} in one order, {shown[1]} in the other"
        )
        siblings = ends[0].fields.get(_FIELD, ())
        self._check_siblings(case, ends[0], siblings, base, theirs, mine)

    def _check_siblings(
        self, case: str, end: Entity, siblings: Sequence[Sibling], base: Value, theirs: Value, mine: Value
    ) -> None:
        dots = {dot.device_id for sibling in siblings for dot in sibling.dots}
        wanted = {
            device_id
            for device_id, value in (("left", theirs), ("right", mine))
            if not (self._policy.removes and value is None)
        }
        _hold("nothing lost", wanted <= dots, f"{case}: the dots {sorted(wanted - dots)} are gone")
        listed = bool(conflicts(end, self._schema))
        _hold(
            "nothing lost", listed == (len(siblings) > 1), f"{case}: {len(siblings)} values, no open conflict"
        )
        if not self._policy.removes and (theirs is None) != (mine is None):
            _hold("null", len(siblings) > 1, f"{case}: null was merged into {siblings!r}")
        final = [
            self._policy.advance([base], value) if base is not None else value for value in (theirs, mine)
        ]
        if same(*final) and (self._policy.coalesces or theirs is None):
            together = any({"left", "right"} <= {dot.device_id for dot in one.dots} for one in siblings)
            _hold("coalescing", together or not wanted, f"{case}: equal values do not share a sibling")

    def _after(self, entity: Entity, changes: Sequence[Change]) -> Entity:
        for change in changes:
            after, outcome = apply(entity, change, self._schema)
            _hold("commuting", outcome.is_accepted and after is not None, f"{change} was refused: {outcome}")
            entity = after or entity
        return entity


def _edits(base: Value, theirs: Value, mine: Value) -> tuple[Entity, Change, Change]:
    """Return an entity whose field holds `base`, and two edits of it that did not know of each other."""
    first = WrittenDot("first", 1, 0)
    entity = Entity(_KIND, "1", {"first": 1}, {} if base is None else {_FIELD: [Sibling(base, [first])]})
    left, right = (
        Change(
            Dot(device_id, 1), _KIND, "1", "edit", entity.version_vector, {_FIELD: _patch(base, value, first)}
        )
        for device_id, value in (("left", theirs), ("right", mine))
    )
    return entity, left, right


def _patch(base: Value, value: Value, first: WrittenDot) -> Patch:
    return Patch(value=value, replaces=[]) if base is None else Patch(value, base, [first.dot])


def _alike(left: Value | Verdict, right: Value | Verdict) -> bool:
    if left is CONFLICT or right is CONFLICT:
        return left is right
    return canonical(left) == canonical(right)


def _hold(law: str, holds: bool, sentence: str) -> None:
    if not holds:
        raise PolicyLawError(law, sentence)
