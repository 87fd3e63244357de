"""Values: what is legal, and what is the same."""

import math

import pytest

from rightfit_sync.limits import INTEGER_MAX, TEXT_LENGTH_MAX, VALUE_DEPTH_MAX
from rightfit_sync.values import canonical, one_spelling, problem, same


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@pytest.mark.parametrize(
    "value", [None, True, 0, INTEGER_MAX, -INTEGER_MAX, 1e308, "", "水\U0001f600", [1, (2,)], {"": None}]
)
def test_json_values_are_legal(value: object) -> None:
    assert problem(value) is None


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (INTEGER_MAX + 1, "invalid_number"),
        (-INTEGER_MAX - 1, "invalid_number"),
        (math.nan, "invalid_number"),
        (math.inf, "invalid_number"),
        ([{"k": -math.inf}], "invalid_number"),
    ],
)
def test_B01_numbers_that_other_readers_lose_are_named(value: object, code: str) -> None:
    found = problem(value)
    assert found is not None
    assert found[0] == code


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x\udfffy"])
@pytest.mark.parametrize(
    "wrap", [str, lambda text: [text], lambda text: {text: 1}, lambda text: {"k": [text]}]
)
def test_B03_nul_and_lone_surrogates_are_found_wherever_they_hide(text: str, wrap: type) -> None:
    found = problem(wrap(text))
    assert found is not None
    assert found[0] == "invalid_text"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"bytes", "invalid_type"),
        ({1: "one"}, "invalid_type"),
        ({"a": 1, 2: "two"}, "invalid_type"),
        ({None: 1}, "invalid_type"),
        ({1, 2}, "invalid_type"),
        ("x" * (TEXT_LENGTH_MAX + 1), "too_long"),
        (nested(VALUE_DEPTH_MAX + 1), "too_deep"),
    ],
)
def test_what_json_cannot_say_is_no_value(value: object, code: str) -> None:
    found = problem(value)
    assert found is not None
    assert found[0] == code


def test_the_deepest_value_is_legal() -> None:
    assert problem(nested(VALUE_DEPTH_MAX)) is None
    assert problem("x" * TEXT_LENGTH_MAX) is None


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        (1, 1.0, True),
        (-0.0, 0, True),
        ([1, {"a": 2.0}], (1.0, {"a": 2}), True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (2.0**60, 2.0**60, True),
        (True, 1, False),
        (False, 0, False),
        ("1", 1, False),
        (None, "", False),
        (None, False, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ("é", "e\u0301", False),
    ],
)
def test_same_means_the_same_to_every_reader(left: object, right: object, alike: bool) -> None:
    assert same(left, right) is same(right, left) is alike
    assert (canonical(left) == canonical(right)) is alike


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (1e21, "1e+21"),
        ([1.0, {"a": (2.0,)}], "[1, {'a': [2]}]"),
        (True, "True"),
        ("1.0", "'1.0'"),
        (None, "None"),
    ],
)
def test_a_value_has_one_spelling(value: object, spelt: str) -> None:
    assert repr(one_spelling(value)) == spelt
    assert same(value, one_spelling(value))
