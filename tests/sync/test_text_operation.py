"""The grammar of text operations, carrying them out, undoing and chaining them; and fault B09."""

import json

import msgspec
import pytest

from rightfit_sync.text import (
    MalformedOperationError,
    Operation,
    OperationMismatchError,
    apply,
    base_length,
    compose,
    invert,
    parse,
    transform,
)

HELP: Operation = (3, "p!", ("lo",))


def test_apply_keeps_inserts_and_deletes() -> None:
    assert apply(HELP, "hello") == "help!"
    assert apply(HELP, "hello, Ann") == "help!, Ann"
    assert apply((), "hello") == "hello"


def test_positions_count_code_points_not_bytes_or_utf_16_units() -> None:
    assert apply((2, "x"), "\U0001f600\u0301e") == "\U0001f600\u0301xe"
    assert base_length((2, ("\U0001f600",))) == 3


def test_invert_undoes_and_inverting_twice_gives_the_operation_back() -> None:
    assert invert(HELP) == (3, "lo", ("p!",))
    assert apply(invert(HELP), "help!") == "hello"
    assert invert(invert(HELP)) == HELP


def test_compose_chains_and_drops_what_was_inserted_and_deleted() -> None:
    assert compose((3, "p!", ("lo",)), (4, ("!",))) == (3, "p", ("lo",))
    assert compose(("x",), (("x",),)) == ()
    assert compose((("a",),), ("b",)) == ("b", ("a",))
    assert compose((2, "yz"), (1, ("by",), 1, "!")) == (1, "z!", ("b",))


def test_an_operation_travels_as_plain_json_and_messagepack() -> None:
    assert json.loads(json.dumps(HELP)) == [3, "p!", ["lo"]]
    assert parse(json.loads(json.dumps(HELP))) == HELP
    assert msgspec.json.decode(msgspec.json.encode(HELP), type=Operation) == HELP
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(HELP), type=Operation) == HELP
    assert hash(parse([1, "a"])) == hash((1, "a"))


@pytest.mark.parametrize(
    ("value", "index"),
    [
        (None, 0),
        ("text", 0),
        ({}, 0),
        ([0, "a"], 0),
        ([-1, "a"], 0),
        ([True, "a"], 0),
        ([1.0, "a"], 0),
        ([""], 0),
        ([[""]], 0),
        ([[]], 0),
        ([["a", "b"]], 0),
        ([[1]], 0),
        ([None], 0),
        ([{"d": "a"}], 0),
        (["a", "b"], 1),
        ([1, 2, "a"], 1),
        ([["a"], ["b"]], 1),
        ([["a"], "b"], 1),
        (["a", 3], 1),
        ([3], 0),
    ],
)
def test_B09_what_is_no_canonical_operation_is_refused_by_component(value: object, index: int) -> None:
    with pytest.raises(MalformedOperationError) as caught:
        parse(value)
    assert caught.value.index == index
    assert caught.value.reason in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "text", "position"),
    [
        ((6, "x"), "hello", 0),
        ((5, "x", 1, "y"), "hello", 5),
        ((-1, "x"), "hello", 0),
        ((2, "x", -2, "y"), "hello", 2),
        ((0, "x"), "hello", 0),
        ((4, ("ox",)), "hello", 4),
        ((("lo",),), "hello", 0),
        ((("a",),), "", 0),
    ],
)
def test_B09_an_operation_that_does_not_fit_its_base_is_refused(
    operation: Operation, text: str, position: int
) -> None:
    with pytest.raises(OperationMismatchError) as caught:
        apply(operation, text)
    assert caught.value.position == position
    assert isinstance(caught.value, ValueError)


def test_B09_operations_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(OperationMismatchError) as composed:
        compose((2, "ab"), (2, ("xy",)))
    assert composed.value.position == 2
    with pytest.raises(OperationMismatchError) as transformed:
        transform((1, ("ab",)), (1, ("xy",)), side="left")
    assert transformed.value.position == 1
