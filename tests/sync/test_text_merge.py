"""Merging three texts, and which edits meet in the same words."""

import time

import pytest

from rightfit_sync.text import apply, diff, merge, overlaps, transform
from rightfit_sync.text.diff import diff_spans
from rightfit_sync.text.word_change import word_changes

SECONDS_MAX = 5.0


@pytest.mark.parametrize(
    ("base", "left", "right", "merged"),
    [
        ("", "", "", ""),
        ("a", "a", "b", "b"),
        ("a", "b", "a", "b"),
        ("", "Boiler", "Boiler", "Boiler"),
        ("boiler leaks", "boilers leaks", "boiler leaks badly", "boilers leaks badly"),
        ("boiler leaks badly", "boiler leaks", "the boiler leaks badly", "the boiler leaks"),
        ("ab", "aLb", "aRb", "aLRb"),
        ("a bc", "a Lc", "a Rbc", "a LRc"),
        ("a bc", "a Rbc", "a Lc", "a RLc"),
        ("note", "note\n- Ann", "note\n- Bob", "note\n- Ann\n- Bob"),
    ],
)
def test_a_merge_holds_both_edits(base: str, left: str, right: str, merged: str) -> None:
    assert merge(base, left, right) == merged


@pytest.mark.parametrize(
    ("base", "left", "right", "merged"),
    [
        ("teh cat sat", "the cat stood", "the dog sat", "the dog stood"),
        ("teh teh", "the the", "the tehx", "the thex"),
        ("colr is red", "color is red today", "color was red", "color was red today"),
        ("a b c", "x b c d", "x b e", "x b e d"),
    ],
)
def test_the_same_correction_by_both_counts_once(base: str, left: str, right: str, merged: str) -> None:
    assert merge(base, left, right) == merged


def test_what_two_people_type_between_words_is_kept_from_both_even_when_alike() -> None:
    assert merge("one.", "zero one. Done.", "one. Done. Ok?") == "zero one. Done. Done. Ok?"
    assert merge("a\nb", "x\na\nnew\nb", "a\nnew\nb\ny") == "x\na\nnew\nnew\nb\ny"


def test_the_quick_way_through_two_single_spans_agrees_with_transforming() -> None:
    base = "abc"
    edits = [base[:i] + new + base[j:] for j in range(4) for i in range(j + 1) for new in ("", "x", "yz")]
    for left in edits:
        for right in edits:
            if left != right:
                slow = apply(transform(diff(base, right), diff(base, left), side="right"), left)
                assert merge(base, left, right) == slow, (left, right)


def test_typing_in_a_long_text_merges_by_slicing() -> None:
    base = "one two three " * 1_500
    left, right = base[:5_000] + "x" + base[5_000:], base[:15_000] + "y" + base[15_000:]
    started = time.perf_counter()
    for _ in range(1_000):
        merge(base, left, right)
    assert time.perf_counter() - started < SECONDS_MAX


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        ("boiler leaks", "boiler drips", "boiler leaked"),
        ("boiler leaks", "boiler leaks.", "boiler leaks again"),
        ("boiler leaks", "boiler", "boiler often leaks"),
        ("boiler old valve leaks", "boiler leaks", "boiler old new valve leaks"),
        ("boiler leaks", "boilerleaks", "boiler leaked"),
        ("boiler leaks", "boiler", "boiler drips"),
        ("boiler leaks", "tap leaks", "tap, boiler leaks"),
        ("foo bar ", "foo", "foo bar x"),
        ("", "Ann", "Bob"),
        ("cost 3.50", "cost 4.50", "cost 3.75"),
        ("\u6c34\u6f0f", "\u6c34\u6f0e", "\u6c34\u6f10"),
        ("caf\u0065", "caf\u0065\u0301", "cafes"),
    ],
)
def test_edits_of_the_same_words_overlap(base: str, one: str, other: str) -> None:
    assert overlaps(base, one, other)
    assert overlaps(base, other, one)


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        ("boiler leaks", "boiler leaks", "boiler drips"),
        ("boiler leaks", "boiler drips", "boiler drips"),
        ("boiler leaks", "boilers leaks", "boiler leaked"),
        ("boiler leaks", "the boiler leaks", "boiler leaks badly"),
        ("boiler leaks", "boiler leaks\n- Ann", "boiler leaks\n- Bob"),
        ("boiler leaks.", "boiler leaks. Sent.", "boiler leaks. Ours."),
        ("boiler leaks", "tap leaks", "tap leaks badly"),
        ("teh cat sat", "the cat stood", "the dog sat"),
        ("foo bar baz", "foo baz", "foo bar"),
        ("\u6c34\u304c\u6f0f", "\u706b\u304c\u6f0f", "\u6c34\u304c\u51fa"),
        ("a  b", "a b", "a  b c"),
    ],
)
def test_edits_of_different_words_do_not_overlap(base: str, one: str, other: str) -> None:
    assert not overlaps(base, one, other)
    assert not overlaps(base, other, one)


@pytest.mark.parametrize(
    ("after", "touched"),
    [
        ("boilers leaks", [(0, 6, "boilers")]),
        ("boiler, leaks", [(0, 6, "boiler,")]),
        ("boiler now leaks", [(7, 7, "now ")]),
        ("leaks", [(0, 7, "")]),
        ("boilerleaks", [(0, 12, "boilerleaks")]),
        ("bOiLer lEaks", [(0, 6, "bOiLer"), (7, 12, "lEaks")]),
    ],
)
def test_an_edit_is_seen_as_a_change_of_words(after: str, touched: list[tuple[int, int, str]]) -> None:
    base = "boiler leaks"
    assert [change[:3] for change in word_changes(base, diff_spans(base, after))] == touched


def test_several_spans_in_one_word_are_one_change() -> None:
    base = "a.b.c.d e"
    (change,) = word_changes(base, diff_spans(base, "x.b.y.d e"))
    assert change[:3] == (0, 7, "x.b.y.d")
    assert len(change.spans) == 2
