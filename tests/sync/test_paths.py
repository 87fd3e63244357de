"""Paths: any element is one segment, and a path says what it lies in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync.errors import LocalError
from rightfit_sync.paths import escape, is_inside, join, root, split, unescape


@given(st.text(max_size=6))
def test_escaping_is_undone_and_leaves_one_segment(segment: str) -> None:
    assert unescape(escape(segment)) == segment
    assert "/" not in escape(segment)


@given(st.lists(st.text("ab/~01", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_path_holds_its_segments(segments: list[str]) -> None:
    path = join(*segments)
    assert split(path) == tuple(segments)
    assert root(path) == segments[0]
    for length in range(1, len(segments)):
        assert is_inside(path, join(*segments[:length]))


@pytest.mark.parametrize(
    ("path", "container", "inside"),
    [
        ("items/7/done", "items", True),
        ("items/7/done", "items/7", True),
        ("items/77", "items/7", False),
        ("items", "items", False),
        ("items2/7", "items", False),
    ],
)
def test_inside_means_below(path: str, container: str, inside: bool) -> None:
    assert is_inside(path, container) is inside


def test_an_empty_path_names_nothing() -> None:
    with pytest.raises(LocalError) as caught:
        split("")
    assert caught.value.code == "invalid_path"
