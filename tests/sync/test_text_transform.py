"""TP1, exhaustively on small texts, and the rules for ties and deletes by example."""

from itertools import product

from rightfit_sync.text import Operation, apply, transform
from rightfit_sync.text.spans import Span, operation_of

ALPHABET = ("a", "b", "\U0001f600", "\u0301")
LENGTH_MAX = 3


def single_edits(text: str) -> list[Operation]:
    """The identity and everything that replaces up to all of `text` with nothing or one code point."""
    places = [(start, end) for end in range(len(text) + 1) for start in range(end + 1)]
    spans = [
        Span(start, end, new) for (start, end), new in product(places, ("", *ALPHABET)) if start < end or new
    ]
    return [(), *(operation_of([span], text) for span in spans)]


def assert_tp1(text: str, left: Operation, right: Operation) -> str:
    by_left = apply(transform(right, left, side="right"), apply(left, text))
    by_right = apply(transform(left, right, side="left"), apply(right, text))
    assert by_left == by_right, (text, left, right)
    return by_left


def test_tp1_holds_for_every_pair_of_single_edits_of_every_short_text() -> None:
    pairs = 0
    for length in range(LENGTH_MAX + 1):
        for text in map("".join, product(ALPHABET, repeat=length)):
            edits = single_edits(text)
            for left, right in product(edits, edits):
                assert_tp1(text, left, right)
                pairs += 1
    assert pairs > 100_000


def test_of_two_inserts_at_one_place_lefts_stands_first() -> None:
    assert assert_tp1("ab", (1, "L"), (1, "R")) == "aLRb"
    assert assert_tp1("ab", (1, "R"), (1, "L")) == "aRLb"


def test_an_insert_survives_the_delete_around_it() -> None:
    assert assert_tp1("abcd", (2, "new"), (("abcd",),)) == "new"
    assert assert_tp1("abcd", (("abcd",),), (2, "new")) == "new"


def test_what_both_delete_is_deleted_once() -> None:
    assert assert_tp1("abcde", (1, ("bc",)), (2, ("cd",))) == "ae"
    assert assert_tp1("abc", (1, ("b",)), (1, ("b",))) == "ac"


def test_two_replacements_of_one_word_leave_both_new_words() -> None:
    assert assert_tp1("a cat", (2, "dog", ("cat",)), (2, "cow", ("cat",))) == "a dogcow"


def test_an_edit_against_nothing_is_itself() -> None:
    edit: Operation = (1, "x", ("b",))
    assert transform(edit, (), side="left") == transform(edit, (), side="right") == edit
    assert transform((), edit, side="left") == ()
