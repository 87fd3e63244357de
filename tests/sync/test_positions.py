"""Positions: there is always room between two of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync.errors import LocalError
from rightfit_sync.positions import DIGITS, between

positions = st.text(DIGITS, min_size=1, max_size=6).map(lambda text: text.rstrip("0") or "V")


@given(positions, positions)
def test_a_position_between_two_sorts_between_them(one: str, other: str) -> None:
    left, right = sorted((one, other))
    if left != right:
        middle = between(left, right)
        assert left < middle < right
        assert not middle.endswith("0")


@given(positions)
def test_there_is_room_before_and_after_everything(position: str) -> None:
    assert between(None, position) < position < between(position, None)


@given(st.lists(st.integers(0, 100), max_size=60))
def test_a_list_can_be_grown_anywhere(places: list[int]) -> None:
    grown: list[str] = []
    for place in places:
        index = place % (len(grown) + 1)
        left = grown[index - 1] if index else None
        right = grown[index] if index < len(grown) else None
        grown.insert(index, between(left, right))
    assert grown == sorted(set(grown))


@pytest.mark.parametrize(
    ("left", "right"), [("V", "V"), ("k", "V"), ("", None), (None, "0"), ("é", None), ("a0", "b")]
)
def test_what_leaves_no_room_is_refused_by_name(left: str | None, right: str | None) -> None:
    with pytest.raises(LocalError) as caught:
        between(left, right)
    assert caught.value.code == "invalid_position"
