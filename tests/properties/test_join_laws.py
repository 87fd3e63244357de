"""The laws of `join` over states that went different ways (docs/explanation/semantics.md, section 9)."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync import Dot, Entity, conflicts, join
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.testing.histories import History, histories
from rightfit_sync.testing.strategies import POLICIES, schemas

any_history = schemas().flatmap(lambda schema: histories(schema, joins=True))
MERGED = ("counter", "text", "maximum", "workflow")
UNMERGED = ("register", "set", "once", "server")
ANY_POLICIES = st.sampled_from((POLICIES, MERGED))


def same_bytes(entity: Entity) -> bytes:
    return msgspec.json.encode(entity, order="sorted")


def dots_at(entity: Entity, path: str) -> set[Dot]:
    return {dot.dot for sibling in entity.fields.get(path, ()) for dot in sibling.dots}


@st.composite
def three(
    draw: st.DrawFn, policies: st.SearchStrategy[Sequence[str]] = ANY_POLICIES
) -> tuple[Entity, Entity, Entity]:
    """Three states of one history."""
    schema = draw(schemas(draw(policies), fields_max=2))
    found = st.sampled_from(draw(histories(schema, joins=True)).states)
    return draw(found), draw(found), draw(found)


@given(three())
def test_join_is_commutative(states: tuple[Entity, Entity, Entity]) -> None:
    left, right, _ = states
    assert same_bytes(join(left, right)) == same_bytes(join(right, left))


@given(three())
def test_join_is_idempotent(states: tuple[Entity, Entity, Entity]) -> None:
    left, right, _ = states
    assert same_bytes(join(left, left)) == same_bytes(left)
    joined = join(left, right)
    assert same_bytes(join(joined, right)) == same_bytes(joined)


@given(three(st.just(UNMERGED)))
def test_join_is_associative(states: tuple[Entity, Entity, Entity]) -> None:
    a, b, c = states
    assert same_bytes(join(a, join(b, c))) == same_bytes(join(join(a, b), c))


def structure(entity: Entity) -> tuple[object, ...]:
    """All but the values: which dots are shown together where, what is resolved, life and knowledge."""
    fields = {
        path: [(tuple(one.dots), one.resolved, one.resolved_by) for one in siblings]
        for path, siblings in entity.fields.items()
    }
    return fields, list(entity.life), entity.version_vector


@given(three())
def test_join_is_associative_in_what_it_shows_for_every_policy(
    states: tuple[Entity, Entity, Entity],
) -> None:
    """Values aside: one that was merged and then partly replaced keeps no record of the part that went."""
    a, b, c = states
    assert structure(join(a, join(b, c))) == structure(join(join(a, b), c))


@given(three())
def test_join_shows_what_either_side_shows_unless_the_other_saw_it_replaced(
    states: tuple[Entity, Entity, Entity],
) -> None:
    left, right, _ = states
    joined = join(left, right)
    for path in {*left.fields, *right.fields}:
        ours, theirs = dots_at(left, path), dots_at(right, path)
        news = {dot for dot in ours - theirs if not includes(right.version_vector, dot)}
        news |= {dot for dot in theirs - ours if not includes(left.version_vector, dot)}
        assert dots_at(joined, path) == (ours & theirs) | news
    held = [{record.dot for record in entity.life} for entity in (left, right)]
    fresh = {dot for dot in held[0] if not includes(right.version_vector, dot)}
    fresh |= {dot for dot in held[1] if not includes(left.version_vector, dot)}
    assert {record.dot for record in joined.life} == (held[0] & held[1]) | fresh


@given(any_history)
def test_a_state_joined_with_an_earlier_one_of_its_own_is_itself(history: History) -> None:
    for step in history.steps:
        if step.before is not None:
            after, before = history.states[step.after], history.states[step.before]
            assert same_bytes(join(after, before)) == same_bytes(after)


@given(any_history)
def test_a_join_has_the_same_conflicts_on_every_replica(history: History) -> None:
    first, last = history.states[0], history.states[-1]
    one, other = join(first, last), join(last, first)
    assert conflicts(one, history.schema) == conflicts(other, history.schema)
