"""Which operation is found between two texts, and that finding it is bounded."""

import time

import pytest

from rightfit_sync.limits import DIFF_STEPS_MAX, TEXT_LENGTH_MAX
from rightfit_sync.text import Operation, apply, diff
from rightfit_sync.text.matching import Budget, hunks

SECONDS_MAX = 5.0


@pytest.mark.parametrize(
    ("before", "after", "operation"),
    [
        ("", "", ()),
        ("", "a", ("a",)),
        ("a", "", (("a",),)),
        ("hello", "helllo", (4, "l")),
        ("hello", "helo", (3, ("l",))),
        ("aaa", "aa", (2, ("a",))),
        ("boiler leaks", "boiler drips", (7, "drip", ("leak",))),
        ("teh cat sat", "the dog sat", (1, "he", ("eh",), 1, "dog", ("cat",))),
        ("The boiler leaks", "The tap drips", (4, "tap", ("boiler",), 1, "drip", ("leak",))),
        ("a\nb\nc\nd e f\n", "a\nc\nd x f\ng\n", (2, ("b\n",), 4, "x", ("e",), 3, "g\n")),
        ("foo bar baz", "foo baz", (4, ("bar ",))),
        ("foo baz", "foo bar baz", (4, "bar ")),
        ("foo bar baz", "the foo baz", ("the ", 4, ("bar ",))),
        ("a b b c", "a b c", (4, ("b ",))),
        ("e\u0301", "e", (1, ("\u0301",))),
        (
            "\u6c34\u304c\u6f0f\u308c\u308b",
            "\u6c34\u306f\u51fa\u308b",
            (1, "\u306f\u51fa", ("\u304c\u6f0f\u308c",)),
        ),
    ],
)
def test_the_operation_is_the_one_a_person_would_name(before: str, after: str, operation: Operation) -> None:
    assert diff(before, after) == operation
    assert apply(operation, before) == after


def test_one_span_needs_no_more_than_slicing() -> None:
    before = "one two three\n" * (TEXT_LENGTH_MAX // 14)
    middle = len(before) // 2
    assert diff(before, before[:middle] + "X" + before[middle:]) == (middle, "X")
    assert diff(before, before + "X") == (len(before), "X")
    started = time.perf_counter()
    for _ in range(100):
        diff(before, before[:middle] + "X" + before[middle:])
    assert time.perf_counter() - started < SECONDS_MAX


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a b " * 25_000, "b a a " * 16_000),
        ("a " * 50_000, " a" * 49_000 + "b"),
        ("ab" * 50_000, "ba" * 50_000),
        ("x\n" * 50_000, "y\nx\n" * 25_000),
        ("a.b " * 25_000, "c.d\n" * 25_000),
        (" ".join(map(str, range(20_000))), " ".join(map(str, range(20_000, 0, -1)))),
    ],
)
def test_the_worst_case_is_bounded_and_still_right(before: str, after: str) -> None:
    started = time.perf_counter()
    operation = diff(before, after)
    assert time.perf_counter() - started < SECONDS_MAX
    assert apply(operation, before) == after


def test_a_comparison_beyond_its_budget_is_given_up() -> None:
    old, new = list("abcabba"), list("cbabac")
    assert hunks(old, new, Budget(DIFF_STEPS_MAX)) is not None
    assert hunks(old, new, Budget(3)) is None


def test_many_scattered_edits_of_a_long_text_stay_small() -> None:
    lines = [f"line {number} of the report" for number in range(2_000)]
    edited = [line.replace("the", "our") if number % 50 == 0 else line for number, line in enumerate(lines)]
    operation = diff("\n".join(lines), "\n".join(edited))
    assert sum(isinstance(component, str) for component in operation) == 40
    assert apply(operation, "\n".join(lines)) == "\n".join(edited)
