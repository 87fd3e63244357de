"""Values: what a field may hold, when two of them are the same, and their canonical bytes.

A value is what JSON can say: null, a boolean, an integer of at most 53 bits, a finite number, a string without
NUL or lone surrogates, a list or a map with string keys, at most `limits.VALUE_DEPTH_MAX` deep. Richer types travel as
strings (a decimal as `"12.50"`, a date as `"2026-05-01"`, bytes as base64), see `schema.types`.

Numbers are the same if they are numerically equal (`1` and `1.0` are one value, since JSON readers in other
languages cannot tell them apart); a boolean is never a number.
"""

from collections.abc import Mapping
from math import isfinite
from typing import TypeAlias

import msgspec

from rightfit_sync.limits import INTEGER_MAX, TEXT_LENGTH_MAX, VALUE_DEPTH_MAX

Value: TypeAlias = object
"""Any JSON value; code that looks inside narrows it first."""

SCALARS = frozenset({str, int, bool, type(None)})
"""Types of values that have one spelling."""


def same(left: Value, right: Value) -> bool:
    """Whether two values are one and the same to every reader."""
    kind = type(left)
    if kind is type(right) and kind in SCALARS:
        return left == right
    if isinstance(left, str | None) or isinstance(right, str | None):
        return False
    return canonical(left) == canonical(right)


def canonical(value: Value) -> bytes:
    """Return the one byte string that stands for `value`: JSON, keys sorted, whole floats as integers."""
    return msgspec.json.encode(one_spelling(value), order="sorted")


def one_spelling(value: Value) -> Value:
    """Return `value` with whole floats as integers: the form that entities hold, so that `1` and `1.0` are one."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= INTEGER_MAX else value
    if isinstance(value, Mapping):
        return {key: one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [one_spelling(inner) for inner in value]
    return value


def problem(value: Value, depth: int = 0) -> tuple[str, str] | None:
    """Return `(code, message)` saying why `value` is no legal value, or None where it is one."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return text_problem(value)
    if isinstance(value, int):
        legal = abs(value) <= INTEGER_MAX
        return None if legal else ("invalid_number", f"{value} is beyond 2^53-1: send it as a string")
    if isinstance(value, float):
        return None if isfinite(value) else ("invalid_number", f"{value} is not a finite number")
    if depth >= VALUE_DEPTH_MAX:
        return "too_deep", f"nested deeper than {VALUE_DEPTH_MAX} levels"
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return "invalid_type", "a map's keys are texts, as in JSON"
        return _inner_problem([*value.keys(), *value.values()], depth)
    if isinstance(value, list | tuple):
        return _inner_problem(value, depth)
    return "invalid_type", f"{type(value).__name__} has no JSON form"


def _inner_problem(values: list[Value] | tuple[Value, ...], depth: int) -> tuple[str, str] | None:
    for inner in values:
        found = problem(inner, depth + 1)
        if found is not None:
            return found
    return None


def text_problem(text: str) -> tuple[str, str] | None:
    """Return `(code, message)` saying why `text` cannot be stored everywhere, or None."""
    if "\x00" not in text and text.isascii() and len(text) <= TEXT_LENGTH_MAX:
        return None
    if len(text) > TEXT_LENGTH_MAX:
        return "too_long", f"{len(text)} code points, at most {TEXT_LENGTH_MAX} are kept"
    if "\x00" in text:
        return "invalid_text", "text holds a NUL character, which databases refuse: remove it"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "invalid_text", "text holds half of a surrogate pair: send whole characters"
    return None
