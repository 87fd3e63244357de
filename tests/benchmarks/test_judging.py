"""What the benchmarks conclude from figures: a wrong verdict would send work to the wrong place."""

import pytest

from benchmarks.compare import verdict
from benchmarks.goals import GOALS, Goal, standings
from benchmarks.growth import medians, slope
from benchmarks.parts.guard import TOLERANCE, beyond
from benchmarks.parts.hot_paths import EDITS, paths
from benchmarks.parts.opcodes import opcodes
from benchmarks.publish import filled
from benchmarks.workload import records

RATE = Goal("W1", "a rate", "product.push", "/s", "more", 15_000, "floor.push", 0.6)
TIME = Goal("W3", "a time", "product.edits", "ms", "less", 90)


def test_a_difference_needs_four_pairs_that_agree_and_is_more_than_noise() -> None:
    assert verdict([1.2, 1.1, 1.3, 1.2], RATE) == "better"
    assert verdict([1.2, 1.1, 1.3, 1.2], TIME) == "worse"
    assert verdict([0.8, 0.7, 0.9, 0.8], TIME) == "better"
    assert verdict([1.5, 1.5, 1.5, 0.9], RATE) == "no difference shown"
    assert verdict([1.02, 1.03, 1.01, 1.04], RATE) == "no difference shown"
    assert verdict([2.0, 2.0, 2.0], RATE) == "too few pairs"


def test_where_there_is_a_ratio_it_decides_round_by_round() -> None:
    (found,) = standings({"product.push": [6_000, 1_000, 7_000], "floor.push": [10_000, 2_000, 10_000]})
    assert found.goal in GOALS
    assert found.ratio == pytest.approx(0.6)
    assert found.is_met
    (found,) = standings({"product.push": [20_000], "floor.push": [40_000]})
    assert not found.is_met


def test_a_guard_fails_beyond_its_tolerance_and_not_within() -> None:
    expected = {"ratio": {"apply": 10.0}}
    assert not beyond(expected, {"ratio": {"apply": 10.0 * (1 + TOLERANCE) - 0.01}})
    assert beyond(expected, {"ratio": {"apply": 10.0 * (1 + TOLERANCE) + 0.01}}) == ["ratio of apply"]


def test_instructions_are_counted_alike_each_time() -> None:
    paths_once, paths_again = paths(), paths()
    for name in (f"apply.merge.{policy}" for policy in EDITS):
        counts = []
        for found in (paths_once, paths_again):
            with found[name]() as step:
                step()
                counts.append(opcodes(step))
        assert counts[0] == counts[1] > 1_000


def test_a_slope_is_that_of_the_medians() -> None:
    points = [(float(x), 5.0 * x**0.5) for x in (10, 100, 1_000)] * 3 + [(10.0, 9_999.0)]
    assert slope(points)[0] == pytest.approx(0.5)
    assert [x for x, _ in medians(points)] == [10.0, 100.0, 1_000.0]


def test_records_are_the_same_for_the_same_seed() -> None:
    assert records(20) == records(20)
    assert records(20) != records(20, seed=1)


def test_only_what_is_between_the_marks_of_a_page_is_written() -> None:
    page = (
        "before\n<!-- one: begin -->\nold\n<!-- one: end -->\nafter\n<!-- two: begin -->\n<!-- two: end -->\n"
    )
    now = filled(page, "one", "new")
    assert "old" not in now
    assert now.startswith(
        "before\n<!-- one: begin -->\n\nnew\n\n<!-- one: end -->\nafter\n<!-- two: begin -->\n<!--"
    )
