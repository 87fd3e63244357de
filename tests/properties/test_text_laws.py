"""The laws of the text algebra, over generated texts and operations, against a model that shares no code."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from rightfit_sync.text import (
    Component,
    Operation,
    apply,
    base_length,
    compose,
    diff,
    invert,
    merge,
    overlaps,
    parse,
    transform,
)
from rightfit_sync.text.builder import OperationBuilder
from rightfit_sync.text.diff import diff_spans
from rightfit_sync.text.word_change import word_changes

laws = settings(max_examples=1_000, deadline=None)

ALPHABETS = ("ab", "ab \n", "the boiler.\n", "a\u0301\U0001f600\u6c34\u304c ", "\x00\ud800\ufeff\u00a0z")
texts = st.sampled_from(ALPHABETS).flatmap(lambda alphabet: st.text(alphabet, max_size=14))
pieces = st.one_of(st.just(""), texts.map(lambda text: text[:4]), st.text(max_size=3))


@st.composite
def edits(draw: st.DrawFn, text: str) -> Operation:
    """Any operation on `text`, in parts of any order and size, which the builder makes canonical."""
    builder = OperationBuilder()
    position = 0
    while position < len(text):
        count = draw(st.integers(1, 5))
        action = draw(st.sampled_from(("keep", "keep", "delete", "insert")))
        if action == "insert":
            builder.insert(draw(pieces))
        elif action == "keep":
            builder.keep(min(count, len(text) - position))
            position += count
        else:
            builder.delete(text[position : position + count])
            position += count
    builder.insert(draw(pieces))
    return builder.finish()


@st.composite
def one_edit(draw: st.DrawFn) -> tuple[str, Operation]:
    text = draw(texts)
    return text, draw(edits(text))


@st.composite
def two_edits(draw: st.DrawFn) -> tuple[str, Operation, Operation]:
    text = draw(texts)
    return text, draw(edits(text)), draw(edits(text))


@st.composite
def three_in_a_row(draw: st.DrawFn) -> tuple[str, Operation, Operation, Operation]:
    text = draw(texts)
    first = draw(edits(text))
    second = draw(edits(apply(first, text)))
    third = draw(edits(apply(second, apply(first, text))))
    return text, first, second, third


@st.composite
def three_texts(draw: st.DrawFn) -> tuple[str, str, str]:
    text = draw(texts)
    return text, apply(draw(edits(text)), text), apply(draw(edits(text)), text)


def plain(operation: Operation) -> list[object]:
    """The operation as JSON shows it."""
    return [list(component) if isinstance(component, tuple) else component for component in operation]


def split(component: Component) -> list[Component]:
    """A component in parts of one code point."""
    if isinstance(component, int):
        return [1] * component
    return list(component) if isinstance(component, str) else [(character,) for character in component[0]]


def by_code_point(text: str, operation: Operation) -> list[tuple[str, bool]]:
    """The model: for each place of `text` and its end, what is inserted before it and whether it stays."""
    places = [["", True] for _ in range(len(text) + 1)]
    position = 0
    for component in operation:
        if isinstance(component, str):
            places[position][0] = component
        elif isinstance(component, int):
            position += component
        else:
            for _ in component[0]:
                places[position][1] = False
                position += 1
    return [(str(inserted), bool(stays)) for inserted, stays in places]


@laws
@given(one_edit())
def test_what_is_produced_is_canonical(case: tuple[str, Operation]) -> None:
    text, operation = case
    assert parse(plain(operation)) == operation
    assert parse(plain(invert(operation))) == invert(operation)
    assert base_length(operation) <= len(text)


@laws
@given(one_edit())
def test_the_canonical_form_is_the_only_one(case: tuple[str, Operation]) -> None:
    _, operation = case
    builder = OperationBuilder()
    for part in (part for component in operation for part in split(component)):
        if isinstance(part, int):
            builder.keep(part)
        elif isinstance(part, str):
            builder.insert(part)
        else:
            builder.delete(part[0])
    builder.keep(3)
    assert builder.finish() == operation


@laws
@given(one_edit())
def test_invert_undoes(case: tuple[str, Operation]) -> None:
    text, operation = case
    assert apply(invert(operation), apply(operation, text)) == text
    assert invert(invert(operation)) == operation


@laws
@given(three_in_a_row())
def test_compose_is_one_after_the_other_and_associative(
    case: tuple[str, Operation, Operation, Operation],
) -> None:
    text, first, second, third = case
    both = compose(first, second)
    assert apply(both, text) == apply(second, apply(first, text))
    assert compose(both, third) == compose(first, compose(second, third))
    assert parse(plain(both)) == both


@laws
@given(one_edit())
def test_doing_nothing_is_the_unit_of_compose(case: tuple[str, Operation]) -> None:
    _, operation = case
    assert compose(operation, ()) == compose((), operation) == operation
    assert apply(compose(operation, invert(operation)), case[0]) == case[0]


@laws
@given(texts, texts)
def test_diff_finds_an_operation_between_any_two_texts(before: str, after: str) -> None:
    operation = diff(before, after)
    assert apply(operation, before) == after
    assert parse(plain(operation)) == operation
    assert (operation == ()) == (before == after)


@laws
@given(one_edit())
def test_diff_finds_an_operation_for_any_edit(case: tuple[str, Operation]) -> None:
    text, operation = case
    assert apply(diff(text, apply(operation, text)), text) == apply(operation, text)


@laws
@given(two_edits())
def test_transform_has_tp1_and_drops_doubles_and_undeletes_nothing(
    case: tuple[str, Operation, Operation],
) -> None:
    text, left, right = case
    by_left = apply(transform(right, left, side="right"), apply(left, text))
    by_right = apply(transform(left, right, side="left"), apply(right, text))
    model = "".join(
        ours + theirs + (character if stays_here and stays_there else "")
        for (ours, stays_here), (theirs, stays_there), character in zip(
            by_code_point(text, left), by_code_point(text, right), [*text, ""], strict=True
        )
    )
    assert by_left == by_right == model
    assert parse(plain(transform(left, right, side="left"))) == transform(left, right, side="left")


@laws
@given(three_texts())
def test_a_merge_lies_between_both_edits(case: tuple[str, str, str]) -> None:
    base, left, right = case
    assert merge(base, left, base) == merge(base, base, left) == merge(base, left, left) == left
    merged = merge(base, left, right)
    assert Counter(merged) <= Counter(left) + Counter(right)
    own, other = (word_changes(base, diff_spans(base, text)) for text in (left, right))
    if left != right and not any(change.is_same_as(rival) for change in own for rival in other):
        assert merged == apply(transform(diff(base, right), diff(base, left), side="right"), left)
        assert merged == apply(transform(diff(base, left), diff(base, right), side="left"), right)


@laws
@given(three_texts())
def test_overlaps_does_not_depend_on_who_is_left(case: tuple[str, str, str]) -> None:
    base, left, right = case
    assert overlaps(base, left, right) == overlaps(base, right, left)
    assert not overlaps(base, left, left)
    assert not overlaps(base, left, base)


words = st.lists(st.sampled_from(("boiler", "leaks", "drips", "tap", "3.50")), min_size=1, max_size=6)


@laws
@given(words, st.data())
def test_edits_of_different_words_never_overlap_and_are_both_in_the_merge(
    base: list[str], data: st.DataObject
) -> None:
    owner = [data.draw(st.sampled_from(("left", "right", "nobody"))) for _ in base]
    before, left, right, both = (
        " ".join(f"{word}-{who}" if who in wanted else word for word, who in zip(base, owner, strict=True))
        for wanted in ((), ("left",), ("right",), ("left", "right"))
    )
    assert not overlaps(before, left, right)
    assert merge(before, left, right) == merge(before, right, left) == both


@laws
@given(words, st.data())
def test_different_edits_of_one_word_always_overlap(base: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(base) - 1))
    one, other = (
        " ".join([*base[:index], changed, *base[index + 1 :]])
        for changed in ("x" + base[index], base[index] + "y")
    )
    assert overlaps(" ".join(base), one, other)
