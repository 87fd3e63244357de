"""Version vectors are a lattice: `merge` is its join, `meet` its meet, `dominates` its order."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import (
    advance,
    dominates,
    includes,
    is_concurrent_with,
    meet,
    merge,
)

vectors = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), max_size=4)
dots = st.builds(Dot, st.sampled_from("abcd"), st.integers(1, 5))


@given(vectors, vectors, vectors)
def test_merge_is_commutative_associative_and_idempotent(
    a: Mapping[str, int], b: Mapping[str, int], c: Mapping[str, int]
) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(a, merge(b, c)) == merge(merge(a, b), c)
    assert merge(a, a) == a == merge(a, {})


@given(vectors, vectors, vectors)
def test_merge_is_the_least_upper_bound(
    a: Mapping[str, int], b: Mapping[str, int], bound: Mapping[str, int]
) -> None:
    merged = merge(a, b)
    assert dominates(merged, a)
    assert dominates(merged, b)
    assert dominates(bound, merged) == (dominates(bound, a) and dominates(bound, b))


@given(vectors, vectors, vectors)
def test_meet_is_the_greatest_lower_bound(
    a: Mapping[str, int], b: Mapping[str, int], bound: Mapping[str, int]
) -> None:
    met = meet(a, b)
    assert met == meet(b, a)
    assert dominates(met, bound) == (dominates(a, bound) and dominates(b, bound))
    assert merge(a, met) == a
    assert meet(a, merge(a, b)) == a


@given(vectors, vectors, vectors)
def test_dominates_is_a_partial_order(
    a: Mapping[str, int], b: Mapping[str, int], c: Mapping[str, int]
) -> None:
    assert dominates(a, a)
    assert (dominates(a, b) and dominates(b, a)) == (a == b)
    if dominates(a, b) and dominates(b, c):
        assert dominates(a, c)
    assert dominates(a, b) == (merge(a, b) == a)
    assert is_concurrent_with(a, b) == (merge(a, b) not in (a, b))


@given(vectors, dots, dots)
def test_advance_takes_in_one_dot_and_never_goes_back(
    vector: Mapping[str, int], dot: Dot, other: Dot
) -> None:
    advanced = advance(vector, dot)
    assert dominates(advanced, vector)
    assert includes(advanced, dot)
    assert advance(advanced, dot) == advanced
    assert includes(advanced, other) == (
        includes(vector, other) or (other.device_id == dot.device_id and other.counter <= dot.counter)
    )
