"""Dots: names of changes, with the time of writing beside them for display alone."""

from rightfit_sync import Dot
from rightfit_sync.causality.dot import WrittenDot, is_authority, union, without


def test_a_dot_names_itself() -> None:
    assert str(Dot("dev-a", 3)) == "dev-a:3"
    assert WrittenDot("dev-a", 3, 9).dot == Dot("dev-a", 3)
    assert Dot("a", 2) < Dot("a", 10) < Dot("b", 1)


def test_a_union_holds_each_dot_once_with_its_latest_time() -> None:
    early, late = WrittenDot("a", 1, 5), WrittenDot("a", 1, 9)
    other = WrittenDot("b", 1, 1)
    assert union([early], [late]) == union([late], [early]) == [late]
    assert union([other], [late, early]) == [late, other]


def test_dots_are_taken_away_by_name() -> None:
    dots = [WrittenDot("a", 1, 5), WrittenDot("b", 1, 1)]
    assert without(dots, frozenset({("a", 1), ("c", 1)})) == [dots[1]]


def test_the_authority_is_told_by_its_prefix() -> None:
    assert is_authority("server:e1")
    assert not is_authority("a-server:e1")
