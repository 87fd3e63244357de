"""The laws of `apply` over generated schemas and histories (docs/explanation/semantics.md, section 9)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync import Change, Dot, Entity, Schema, Stamp, apply, conflicts, view
from rightfit_sync.changes import resolution
from rightfit_sync.paths import is_inside
from rightfit_sync.testing.histories import (
    CLOCK,
    History,
    author,
    histories,
    wishes,
)
from rightfit_sync.testing.strategies import KIND, POLICIES, patchable, schemas

any_history = schemas().flatmap(histories)
joined_histories = schemas().flatmap(lambda schema: histories(schema, joins=True))


def same_bytes(entity: Entity | None) -> bytes:
    """What stands for an entity wherever it is kept: every byte counts, but for the order of keys."""
    return msgspec.json.encode(entity, order="sorted")


def dots_at(entity: Entity, path: str) -> set[Dot]:
    return {dot.dot for sibling in entity.fields.get(path, ()) for dot in sibling.dots}


def in_order(entity: Entity, changes: Iterable[Change], schema: Schema) -> Entity:
    """The entity after these changes, which it must accept."""
    for change in changes:
        after, outcome = apply(entity, change, schema)
        assert outcome.is_accepted, outcome
        assert after is not None
        entity = after
    return entity


@given(joined_histories)
def test_apply_twice_is_apply_once(history: History) -> None:
    for change in history.changes:
        for state in history.states:
            if state.version_vector.get(change.dot.device_id, 0) >= change.dot.counter:
                again, outcome = apply(state, change, history.schema)
                assert again is state
                assert outcome.status == "duplicate"


@given(joined_histories)
def test_apply_is_deterministic_and_changes_nothing_in_place(history: History) -> None:
    for step in history.steps:
        if step.before is not None and step.change is not None:
            before, change = history.states[step.before], step.change
            former, sent = same_bytes(before), msgspec.json.encode(change)
            after, outcome = apply(before, change, history.schema)
            assert same_bytes(after) == same_bytes(history.states[step.after])
            assert outcome == step.outcome
            assert (same_bytes(before), msgspec.json.encode(change)) == (former, sent)


@given(joined_histories)
def test_no_conflict_comes_to_an_entity_without_one_unless_the_outcome_says_so(history: History) -> None:
    """Nor does one that a delete had hidden; invariants of fields that nobody touched are another matter."""

    def found(entity: Entity) -> list[str]:
        return [one.path for one in conflicts(entity, history.schema) if one.reason != "invariant"]

    for step in history.steps:
        before = None if step.before is None else history.states[step.before]
        if step.change is None or (before is not None and (before.life or found(before))):
            continue
        after, outcome = apply(before, step.change, history.schema)
        if outcome.status in ("applied", "merged") and after is not None:
            assert found(after) == []


@given(joined_histories)
def test_the_order_of_patches_in_a_change_says_nothing(history: History) -> None:
    """Databases and JSON writers order the keys of an object as they please."""
    for step in history.steps:
        if step.before is not None and step.change is not None and len(step.change.patches) > 1:
            turned = dict(reversed(step.change.patches.items()))
            change = msgspec.structs.replace(step.change, patches=turned)
            after, outcome = apply(history.states[step.before], change, history.schema)
            assert same_bytes(after) == same_bytes(history.states[step.after])
            assert step.outcome is not None
            assert sorted(outcome.paths) == sorted(step.outcome.paths)


@given(joined_histories)
def test_every_dot_is_shown_or_was_replaced_by_name(history: History) -> None:
    """The promise, at the level of dots: what a change does not name in `replaces` it does not take away."""
    for step in history.steps:
        if step.before is None or step.change is None:
            continue
        before, after, change = history.states[step.before], history.states[step.after], step.change
        named = {dot for patch in change.patches.values() for dot in patch.replaced}
        for path in before.fields:
            gone = dots_at(before, path) - dots_at(after, path)
            concerned = [known for known in change.patches if known == path or is_inside(path, known)]
            assert gone <= named
            assert not gone or concerned
        for path, patch in change.patches.items():
            removes = patch.value is None and path.startswith("set")
            assert removes or change.dot in dots_at(after, path)
        seen = {record.dot for record in before.life} - {record.dot for record in after.life}
        assert all(change.base.get(dot.device_id, 0) >= dot.counter for dot in seen)


@given(joined_histories)
def test_the_outcome_names_the_conflicts_that_the_change_is_in(history: History) -> None:
    for step in history.steps:
        if step.change is None or step.outcome is None:
            continue
        after = history.states[step.after]
        found = {conflict.path for conflict in conflicts(after, history.schema)}
        if view(after, history.schema):
            assert set(step.outcome.paths) <= found
        assert found & {*step.change.patches} <= {*step.outcome.paths}
        assert len(set(step.outcome.paths)) == len(step.outcome.paths)
        assert (step.outcome.status == "conflicted") == bool(step.outcome.paths)


class Concurrent(NamedTuple):
    schema: Schema
    entity: Entity
    changes: Sequence[Change]


@st.composite
def concurrent(
    draw: st.DrawFn, *, policies: Sequence[str] = POLICIES, ops: Sequence[str], writers: int = 2
) -> Concurrent:
    """Changes that were made on the same state, each replacing every dot of fields that are settled there."""
    schema = draw(schemas(policies, fields_max=2))
    entity = draw(st.sampled_from(draw(histories(schema, steps_max=4)).states))
    kind = schema.kinds[KIND]
    in_conflict = [path for path, siblings in entity.fields.items() if len(siblings) > 1]
    settled = [
        path
        for path in patchable(kind)
        if not any(path == other or is_inside(other, path) for other in in_conflict)
    ]
    paths = draw(st.lists(st.sampled_from(settled), min_size=1, max_size=2, unique=True)) if settled else []
    made = []
    for number in range(writers):
        stamp = Stamp(Dot(f"writer-{number}", 1), draw(CLOCK))
        op = draw(st.sampled_from(ops))
        if op == "resolve" and paths:
            change: Change | None = resolution(entity, wishes(draw, kind, paths), stamp)
        elif op in ("delete", "restore") or paths:
            change = author(draw, entity, stamp, schema, op=op if op != "resolve" else "delete", paths=paths)
        else:
            change = None
        if change is not None and apply(entity, change, schema)[1].is_accepted:
            made.append(change)
    return Concurrent(schema, entity, made)


def assert_commute(case: Concurrent, orders: Iterable[Sequence[Change]]) -> None:
    ends = [in_order(case.entity, order, case.schema) for order in orders]
    assert len({same_bytes(end) for end in ends}) == 1
    assert len({tuple(found.conflict_id for found in conflicts(end, case.schema)) for end in ends}) == 1
    assert len({msgspec.json.encode(view(end, case.schema), order="sorted") for end in ends}) == 1


@given(concurrent(ops=["edit"] * 5 + ["delete", "restore"]))
def test_two_changes_with_one_base_commute_for_every_policy(case: Concurrent) -> None:
    assert_commute(case, [case.changes, case.changes[::-1]])


@given(concurrent(ops=["edit", "edit", "resolve"]))
def test_a_resolution_of_a_settled_field_commutes_with_an_edit(case: Concurrent) -> None:
    if all(outcome.is_accepted for outcome in both_ways(case)):
        assert_commute(case, [case.changes, case.changes[::-1]])


def both_ways(case: Concurrent) -> list[object]:
    """The outcomes in either order: a resolution that breaks an invariant in one of them is refused there."""
    outcomes = []
    for order in (case.changes, case.changes[::-1]):
        entity: Entity | None = case.entity
        for change in order:
            entity, outcome = apply(entity, change, case.schema)
            outcomes.append(outcome)
    return outcomes
