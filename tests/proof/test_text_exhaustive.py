"""The text algebra on everything that is small: no sampling, no generator of chance.

What "every pair of operations" means. An operation on a text of n code points keeps some of them, deletes the
others, and inserts something or nothing before, between and behind those that it keeps; whatever is inserted
within a deleted run has one place, before it. With p texts to choose from at each such place there are
`(p + 1) * (p + 2)**n` operations, and here is every pair of them.

`transform` never looks at a letter, nor into an insert (a test of its own runs it on code points that refuse to
be looked at). So what holds where all code points differ holds for any text over any alphabet, and p = 1 would
stand for inserts of every length; p = 2 is taken, one code point and two.

`diff`, `merge` and `overlaps` do look at letters: whether two are equal, and whether they are part of a word.
So those run on every three texts over {a, b, an emoji, a combining mark}. All four are parts of words, and so
renaming them is a symmetry: that is not assumed, but tested for every pair of texts and for a transposition and
a cycle, of which all 24 renamings are made. One of each set of triples that are renamings of each other is then
tried, with either text on the left; that they stand for all triples, counted with their renamings, is asserted.

The full run (`RIGHTFIT_TP1=full`, one core, about three minutes) and, in brackets, what runs otherwise:

- TP1 for all pairs of operations on texts of 0 to 4 code points, with inserts of 0, 1 or 2 (0 or 1) code points
  at each place: 629,145 (29,524) pairs, and against a model that shares no code;
- the same with all letters written out and no symmetry, inserts of at most one code point in all: 517,161
  (21,545) pairs on all 85 (21) bases of up to 3 (2) code points;
- `diff` on all 116,281 (7,225) pairs of texts of up to 4 (3) code points, and its symmetry;
- TP1 of what `diff` finds, and `merge` with both settings of `on_overlap`, for all 39,651,821 (614,125) triples;
- the same over {a, an emoji, a combining mark, a space} ({a, b, a space}), where words begin and end: all
  614,125 (64,000) triples of texts of up to 3 code points;
- `invert` for all 72,125 (3,005) operations on texts of up to 3 (2) that insert at most one letter at a place;
- `compose` for any two operations in a row with up to 6 (4) code points between them, 76,942 (11,332) pairs,
  and on shorter texts for any three.
"""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import factorial
from typing import NamedTuple, NoReturn

import pytest

from rightfit_sync.merge.policy import CONFLICT
from rightfit_sync.merge.text import Text
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.text import (
    Component,
    Operation,
    apply,
    compose,
    diff,
    invert,
    merge,
    overlaps,
    parse,
    transform,
)
from rightfit_sync.text.diff import diff_spans
from rightfit_sync.text.word_change import word_changes

IS_FULL = os.environ.get("RIGHTFIT_TP1") == "full"
LETTERS = "ab\U0001f600\u0301"
SPACED = "a\U0001f600\u0301 "
LONGEST = 4
MERGING = Text(FieldSpec(merge="text", type="str", on_overlap="merge"))
CONFLICTING = Text(FieldSpec(merge="text", type="str", on_overlap="conflict"))

Place = tuple[str, bool]
"""What is inserted before a code point of the base, and whether that code point stays."""


class Edit(NamedTuple):
    """An operation, and the same as a place for each code point of the base and one for its end."""

    operation: Operation
    places: Sequence[Place]


def texts(alphabet: str, longest: int) -> list[str]:
    return ["".join(letters) for length in range(longest + 1) for letters in product(alphabet, repeat=length)]


def edits(base: str, pens: Sequence[Sequence[str]]) -> Iterator[Edit]:
    """Every operation on `base` that inserts one of `pens[n]`, or nothing, behind the nth code point it keeps."""
    for kept in product((True, False), repeat=len(base)):
        for inserts in product(*(("", *pens[place]) for place in range(sum(kept) + 1))):
            places: list[Place] = []
            waiting = list(inserts)
            for stays in (*kept, True):
                is_first = not places or places[-1][1]
                places.append((waiting.pop(0) if is_first else "", stays))
            yield Edit(written(base, places), places)


def written(base: str, places: Sequence[Place]) -> Operation:
    """The operation in canonical form, made without the product's builder."""
    parts: list[Component] = []
    for (inserted, stays), letter in zip(places, [*base, ""], strict=True):
        if inserted:
            parts.append(inserted)
        last = parts[-1] if parts else None
        if not letter:
            continue
        if stays:
            parts[-1:] = [last + 1] if isinstance(last, int) else [*parts[-1:], 1]
        else:
            parts[-1:] = [(last[0] + letter,)] if isinstance(last, tuple) else [*parts[-1:], (letter,)]
    return tuple(parts[:-1] if parts and isinstance(parts[-1], int) else parts)


def places_of(base: str, operation: Operation) -> list[Place]:
    """The same edit by places, read off an operation."""
    inserts, stays = [""] * (len(base) + 1), [True] * (len(base) + 1)
    position = 0
    for part in operation:
        if isinstance(part, str):
            inserts[position] = part
        elif isinstance(part, int):
            position += part
        else:
            stays[position : position + len(part[0])] = [False] * len(part[0])
            position += len(part[0])
    return list(zip(inserts, stays, strict=True))


def both(base: str, left: Sequence[Place], right: Sequence[Place]) -> str:
    """The model: before each code point left's insert, then right's; it stays unless one of them deletes it."""
    return "".join(
        [
            ours + theirs + (letter if stays_here and stays_there else "")
            for (ours, stays_here), (theirs, stays_there), letter in zip(
                left, right, [*base, ""], strict=True
            )
        ]
    )


def assert_tp1(base: str, left: Edit, right: Edit) -> str:
    """Check it, and return the text that both ways lead to."""
    over_left = transform(right.operation, left.operation, side="right")
    over_right = transform(left.operation, right.operation, side="left")
    by_left = apply(over_left, apply(left.operation, base))
    by_right = apply(over_right, apply(right.operation, base))
    assert by_left == by_right == both(base, left.places, right.places), (base, left, right)
    return by_left


def pens(alphabet: str, longest: int, places: int) -> list[list[str]]:
    """For each place inserts of every length up to `longest`, of code points that no other place has."""
    return [
        [alphabet[place * longest :][:length] for length in range(1, longest + 1)] for place in range(places)
    ]


def shapes(base: str, letters: str, longest: int) -> list[Edit]:
    found = list(edits(base, pens(letters, longest, len(base) + 1)))
    assert len(found) == len({edit.operation for edit in found}) == (longest + 1) * (longest + 2) ** len(base)
    return found


def test_tp1_for_every_pair_of_operations_on_every_text_of_up_to_4_code_points() -> None:
    longest, pairs = (2, 629_145) if IS_FULL else (1, 29_524)
    tried = 0
    for length in range(LONGEST + 1):
        base = "0123"[:length]
        lefts, rights = (shapes(base, letters, longest) for letters in ("abcdefghij", "klmnopqrst"))
        for edit in lefts:
            assert parse(edit.operation) == edit.operation
            assert places_of(base, edit.operation) == edit.places
        for left in lefts:
            for right in rights:
                assert_tp1(base, left, right)
        tried += len(lefts) * len(rights)
    assert tried == pairs


class Blind(str):
    """Code points that can be cut, counted and put together; whoever looks at one is told off.

    Deletes may be compared, since both sides must delete the same.
    """

    __slots__ = ()

    def __getitem__(self, key: object) -> "Blind":
        assert isinstance(key, slice), "one code point was looked at"
        return Blind(super().__getitem__(key))

    def __add__(self, other: str) -> "Blind":
        return Blind(super().__add__(other))

    def __radd__(self, other: str) -> "Blind":
        return Blind(other + str.__str__(self))

    def __str__(self) -> "Blind":
        return self

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Blind)
        assert str.__eq__(self, other), "only deletes of the same code points are compared"
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return self.refuse()

    def refuse(self, *_: object) -> NoReturn:
        raise AssertionError("a letter was looked at")

    __iter__ = __contains__ = __lt__ = __gt__ = __le__ = __ge__ = refuse
    find = index = count = startswith = endswith = encode = isspace = isalnum = split = refuse  # type: ignore[assignment]


def blind(operation: Operation) -> Operation:
    return tuple(
        Blind(part) if isinstance(part, str) else part if isinstance(part, int) else (Blind(part[0]),)
        for part in operation
    )


def sighted(operation: Operation) -> Operation:
    return tuple(
        "".join(str.__iter__(part))
        if isinstance(part, str)
        else part
        if isinstance(part, int)
        else ("".join(str.__iter__(part[0])),)
        for part in operation
    )


def test_transform_never_looks_at_a_letter() -> None:
    """So what it does with code points that all differ, it does with any."""
    for length in range(LONGEST + 1):
        base = "0123"[:length]
        for left, right in product(shapes(base, "abcde", 1), shapes(base, "klmno", 1)):
            unseen = transform(blind(left.operation), blind(right.operation), side="left")
            assert sighted(unseen) == transform(left.operation, right.operation, side="left")


def test_tp1_with_all_letters_written_out_and_no_symmetry() -> None:
    longest, pairs = (3, 517_161) if IS_FULL else (2, 21_545)
    tried = 0
    for base in texts(LETTERS, longest):
        known = [
            edit
            for edit in edits(base, [LETTERS] * (len(base) + 1))
            if sum(len(inserted) for inserted, _ in edit.places) <= 1
        ]
        for left in known:
            for right in known:
                assert_tp1(base, left, right)
        tried += len(known) ** 2
    assert tried == pairs


def test_invert_undoes_every_operation() -> None:
    tried = 0
    for base in texts(LETTERS, 3 if IS_FULL else 2):
        for operation, _ in edits(base, [LETTERS] * (len(base) + 1)):
            inverse = invert(operation)
            after = apply(operation, base)
            assert apply(inverse, after) == base
            assert invert(inverse) == operation == compose(operation, compose(inverse, operation))
            assert parse(inverse) == inverse
            tried += 1
    assert tried == (72_125 if IS_FULL else 3_005)


def test_compose_is_one_after_the_other_for_any_two_operations_in_a_row() -> None:
    tried = 0
    for length in range(LONGEST + 1):
        base = "0123"[:length]
        for first, _ in shapes(base, "abcde", 1):
            middle = apply(first, base)
            if len(middle) > LONGEST + IS_FULL * 2:
                continue
            for second, _ in shapes(middle, "klmnopqrst", 1):
                chained = compose(first, second)
                assert apply(chained, base) == apply(second, middle)
                assert parse(chained) == chained
                tried += 1
    assert tried == (76_942 if IS_FULL else 11_332)


def test_compose_is_associative_for_any_three_operations_in_a_row() -> None:
    for length in range(3 if IS_FULL else 2):
        base = "01"[:length]
        for first, _ in shapes(base, "abc", 1):
            middle = apply(first, base)
            for second, _ in shapes(middle, "klmnopqrst", 1):
                late = apply(second, middle)
                chained = compose(first, second)
                for third, _ in shapes(late, "uvwxyzUVWXYZ", 1) if len(late) <= LONGEST else ():
                    assert compose(chained, third) == compose(first, compose(second, third))


@pytest.mark.parametrize(
    ("alphabet", "longest", "fixed"), [(LETTERS, 4 if IS_FULL else 3, ""), (SPACED, 3 if IS_FULL else 2, " ")]
)
def test_diff_finds_an_operation_and_does_not_care_which_letters_they_are(
    alphabet: str, longest: int, fixed: str
) -> None:
    known = texts(alphabet, longest)
    names = alphabet.removesuffix(fixed)
    renamings = [
        str.maketrans(names, names[1] + names[0] + names[2:]),
        str.maketrans(names, names[1:] + names[0]),
    ]
    for before, after in product(known, known):
        operation = diff(before, after)
        assert apply(operation, before) == after
        assert parse(operation) == operation
        assert (operation == ()) == (before == after)
        spans = diff_spans(before, after)
        changes = word_changes(before, spans)
        for renaming in renamings:
            other, renamed = before.translate(renaming), after.translate(renaming)
            assert diff_spans(other, renamed) == [
                span._replace(inserted=span.inserted.translate(renaming)) for span in spans
            ]
            assert [change[:3] for change in word_changes(other, diff_spans(other, renamed))] == [
                (change.start, change.end, change.replacement.translate(renaming)) for change in changes
            ]


class Renamings:
    """Texts up to renaming of `names`: of those that are renamings of each other, the first one is taken."""

    def __init__(self, names: str) -> None:
        self.names = names

    def used(self, text: str, used: int) -> int | None:
        """How many names are in use with `text`, where `used` were; None if it takes them out of turn."""
        for letter in text:
            place = self.names.find(letter)
            if place > used:
                return None
            used += place == used
        return used

    def first(self, *parts: str) -> list[str]:
        """The first of all renamings of these texts."""
        order = dict.fromkeys(letter for part in parts for letter in part if letter in self.names)
        renaming = {ord(letter): name for letter, name in zip(order, self.names, strict=False)}
        return [part.translate(renaming) for part in parts]

    def weight(self, used: int) -> int:
        """How many renamings there are of a text that uses so many names."""
        return factorial(len(self.names)) // factorial(len(self.names) - used)


def triples(known: Sequence[str], names: Renamings) -> Iterator[tuple[str, str, str]]:
    """A base and two texts, up to renaming and up to which is on the left; checks that none is forgotten."""
    stood_for = 0
    for base in known:
        used_by_base = names.used(base, 0)
        if used_by_base is None:
            continue
        for one in known:
            used_by_two = names.used(one, used_by_base)
            if used_by_two is None:
                continue
            for other in known:
                used = names.used(other, used_by_two)
                if used is not None:
                    stood_for += names.weight(used)
                    if [one, other] <= names.first(base, other, one)[1:]:
                        yield base, one, other
    assert stood_for == len(known) ** 3


def assert_words_count_once(base: str, left: Edit, right: Edit, merged: str) -> None:
    """Where both made the same of the same words: nothing is lost, doubled or made up."""
    kept = "".join(
        letter
        for letter, (_, here), (_, there) in zip(base, left.places, right.places, strict=False)
        if here and there
    )
    ours, theirs = ("".join(inserted for inserted, _ in edit.places) for edit in (left, right))
    for letter in {*kept, *ours, *theirs, *merged}:
        least = kept.count(letter) + max(ours.count(letter), theirs.count(letter))
        most = kept.count(letter) + ours.count(letter) + theirs.count(letter)
        assert least <= merged.count(letter) <= most, (base, left, right, merged)
    assert len(merged) < len(both(base, left.places, right.places)), (base, left, right, merged)


def replaced_words(base: str, after: str) -> Iterator[tuple[int, int, str]]:
    """The words of `base`, from where to where, in place of which something was written."""
    for change in word_changes(base, diff_spans(base, after)):
        if change.start < change.end and any(span.inserted for span in change.spans):
            yield change[:3]


def assert_merges(
    base: str, one: Edit, other: Edit, after_one: str, after_other: str, *, alike: bool
) -> None:
    """All that is promised of a triple, whichever of the two is on the left, mine or theirs.

    `alike` says that both made the same of the same words.
    """
    for left, right, mine_first in ((one, other, False), (other, one, True)):
        transformed = assert_tp1(base, left, right)
        merged = MERGING.merge(base, after_one, after_other, mine_first=mine_first)
        assert isinstance(merged, str)
        if after_one == after_other:
            assert merged == after_one
        elif alike:
            assert_words_count_once(base, left, right, merged)
        else:
            assert merged == transformed
        careful = CONFLICTING.merge(base, after_one, after_other, mine_first=mine_first)
        assert careful is CONFLICT or careful == merged
        assert (careful is CONFLICT) == overlaps(base, after_other, after_one)


@pytest.fixture
def remembered_diffs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`diff_spans` is a pure function that is asked for the same thing a thousand times here: it is asked once."""
    remember = lru_cache(maxsize=1_000)(diff_spans)
    for function in (merge, overlaps):
        monkeypatch.setitem(
            function.__globals__, "diff_spans", lambda before, after: list(remember(before, after))
        )


def every_three_texts(alphabet: str, names: str, longest: int) -> int:
    known = texts(alphabet, longest)
    tried = 0
    edits_of: dict[str, Edit] = {}
    words_of: dict[str, frozenset[tuple[int, int, str]]] = {}
    current: str | None = None
    for base, one, other in triples(known, Renamings(names)):
        if base != current:
            current = base
            operations = {after: diff(base, after) for after in known}
            edits_of = {after: Edit(found, places_of(base, found)) for after, found in operations.items()}
            words_of = {after: frozenset(replaced_words(base, after)) for after in known}
        alike = not words_of[one].isdisjoint(words_of[other])
        assert_merges(base, edits_of[one], edits_of[other], one, other, alike=alike)
        tried += 1
    return tried


@pytest.mark.usefixtures("remembered_diffs")
def test_tp1_and_merge_for_every_three_texts_of_up_to_4_code_points() -> None:
    assert every_three_texts(LETTERS, LETTERS, LONGEST if IS_FULL else 3) == (833_594 if IS_FULL else 13_545)


@pytest.mark.usefixtures("remembered_diffs")
def test_tp1_and_merge_for_every_three_texts_with_spaces() -> None:
    alphabet = SPACED if IS_FULL else "ab "
    assert every_three_texts(alphabet, alphabet.rstrip(" "), 3) == (52_955 if IS_FULL else 16_456)


def test_a_merge_does_not_depend_on_who_asks_nor_on_which_letters_they_are() -> None:
    """Left is who has the smaller dot: the same whether that is mine or theirs; and so for all 24 renamings."""
    known = texts(LETTERS, 2)
    swaps = [str.maketrans(LETTERS, letters) for letters in (LETTERS[1::-1] + LETTERS[2:], LETTERS[1:] + "a")]
    for base, one, other in product(known, known, known):
        for policy in (MERGING, CONFLICTING):
            merged = policy.merge(base, one, other, mine_first=False)
            assert policy.merge(base, other, one, mine_first=True) == merged
            assert isinstance(merged, str) or policy.suggest(base, one, other, mine_first=False) is not None
            for swap in swaps:
                renamed = policy.merge(
                    *(text.translate(swap) for text in (base, one, other)), mine_first=False
                )
                assert renamed == (merged.translate(swap) if isinstance(merged, str) else merged)
        assert overlaps(base, one, other) == overlaps(base, other, one)
