"""What people decide stands: equal resolutions agree, and every replica sees the same conflicts."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from rightfit_sync import Change, Conflict, Dot, Entity, Schema, Stamp, apply, conflicts, view
from rightfit_sync.changes import resolve
from rightfit_sync.errors import LocalError
from rightfit_sync.records import Outcome
from rightfit_sync.testing.histories import CLOCK, History, choices, disputed, histories
from rightfit_sync.testing.strategies import KIND, schemas
from rightfit_sync.values import same

any_history = schemas(fields_max=2).flatmap(lambda schema: histories(schema, joins=True))


class Answered(NamedTuple):
    """A state with an open conflict, and two answers to it that did not know of each other."""

    schema: Schema
    entity: Entity
    conflict: Conflict
    answers: Sequence[Change]


@st.composite
def answered(draw: st.DrawFn) -> Answered:
    """Two people answer one conflict alike."""
    schema = draw(schemas(fields_max=2))
    entity = draw(disputed(schema))
    open_ones = conflicts(entity, schema)
    assume(open_ones)
    conflict = draw(st.sampled_from(open_ones))
    choice = draw(choices(conflict, schema.kinds[KIND]))
    try:
        answers = [
            resolve(entity, conflict, choice, Stamp(Dot(f"person-{number}", 1), draw(CLOCK)), schema)
            for number in range(2)
        ]
    except LocalError:
        assume(False)
        raise
    return Answered(schema, entity, conflict, answers)


def ends(case: Answered, answers: Sequence[Change]) -> tuple[Entity, list[Outcome]]:
    entity: Entity | None = case.entity
    outcomes = []
    for answer in answers:
        entity, outcome = apply(entity, answer, case.schema)
        outcomes.append(outcome)
    assert entity is not None
    return entity, outcomes


@given(answered())
def test_two_people_who_resolve_alike_agree_and_do_not_conflict_again(case: Answered) -> None:
    first, outcome = apply(case.entity, case.answers[0], case.schema)
    assert first is not None
    assume(outcome.status != "rejected")  # It breaks an invariant.
    both, outcomes = ends(case, case.answers)
    other, _ = ends(case, case.answers[::-1])
    assert msgspec.json.encode(both, order="sorted") == msgspec.json.encode(other, order="sorted")
    assert same(view(both, case.schema), view(first, case.schema))
    open_paths = [found.path for found in conflicts(both, case.schema)]
    assert open_paths == [found.path for found in conflicts(first, case.schema)]
    if case.conflict.reason in ("siblings", "removed_item", "delete_edit"):
        assert case.conflict.path not in open_paths
        assert case.conflict.path not in [path for found in outcomes for path in found.paths]


@given(answered())
def test_a_resolution_shows_what_was_chosen(case: Answered) -> None:
    if case.conflict.reason == "siblings":
        after, outcome = apply(case.entity, case.answers[0], case.schema)
        assert after is not None
        if outcome.status != "rejected":
            chosen = case.answers[0].patches[case.conflict.path].value
            siblings = after.fields.get(case.conflict.path, ())
            assert [one.value for one in siblings] == ([chosen] if siblings else [])
            assert all(one.resolved for one in siblings)


@given(answered())
def test_a_conflicts_id_changes_when_its_siblings_do(case: Answered) -> None:
    after, _ = apply(case.entity, case.answers[0], case.schema)
    assert after is not None
    if after is not case.entity:
        former = {found.conflict_id for found in conflicts(case.entity, case.schema)}
        later = {found.conflict_id for found in conflicts(after, case.schema)}
        assert case.conflict.conflict_id in former - later


@given(any_history)
def test_conflict_ids_agree_on_every_replica(history: History) -> None:
    """One replica has the entity from JSON, another from MessagePack, with keys in another order."""
    for state in history.states:
        here = conflicts(state, history.schema)
        turned = msgspec.structs.replace(state, fields=dict(reversed(state.fields.items())))
        there = msgspec.msgpack.decode(msgspec.msgpack.encode(turned), type=Entity)
        elsewhere = msgspec.json.decode(msgspec.json.encode(state, order="sorted"), type=Entity)
        assert conflicts(there, history.schema) == conflicts(elsewhere, history.schema) == here
        assert len({found.conflict_id for found in here}) == len(here)


@given(any_history)
def test_a_conflicts_id_depends_on_nothing_but_names_and_dots(history: History) -> None:
    """Two states with the same dots at a path have the same conflict there, whatever else they hold."""
    known: dict[tuple[str, tuple[Dot, ...]], str] = {}
    for state in history.states:
        for found in conflicts(state, history.schema):
            assert known.setdefault((found.path, tuple(found.dots)), found.conflict_id) == found.conflict_id
