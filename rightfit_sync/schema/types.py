"""The types of fields, each with its JSON form and a check of it.

| type | JSON form |
|---|---|
| `str`, `int`, `float`, `bool`, `list`, `map` | itself |
| `json` | any value |
| `decimal` | string, `"12.50"` |
| `date` | string, `"2026-05-01"` |
| `datetime` | string, RFC 3339 with an offset, `"2026-05-01T09:30:00Z"` |
| `bytes` | string, base64 |
| `enum` | string, one of the field's `choices` |

Null is legal everywhere: "no value". An unknown type word checks nothing, so that an older reader keeps the values
of a newer schema.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Final, TypeAlias, cast

from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.values import Value

_DECIMAL = re.compile(r"[+-]?(\d{1,40})(\.\d{1,40})?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\Z", re.ASCII)
_DATETIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)(\.\d{1,9})?)?"
    r"([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)\Z",
    re.ASCII,
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def _matches(pattern: re.Pattern[str]) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, str) and pattern.match(value) is not None


CHECKS: Mapping[str, Callable[[Value], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list | tuple),
    "map": lambda value: isinstance(value, Mapping),
    "decimal": _matches(_DECIMAL),
    "date": _matches(_DATE),
    "datetime": _matches(_DATETIME),
    "bytes": _matches(_BASE64),
    "enum": lambda value: isinstance(value, str),
}


Test: TypeAlias = Callable[[Value], object]
"""Says of a value of one exact type whether it is surely fine; where not, it has yet to be looked at closely."""


def _anything(_value: Value) -> bool:
    return True


_FINE_TEXTS: Final[Mapping[str, object]] = {
    "str": _anything,
    "json": _anything,
    "enum": _anything,
    "decimal": _DECIMAL.match,
    "date": _DATE.match,
    "datetime": _DATETIME.match,
    "bytes": _BASE64.match,
}
_FINE_INTEGERS: Final = range(-INTEGER_MAX, INTEGER_MAX + 1).__contains__


def quick_tests(spec: FieldSpec) -> Mapping[type, Test]:
    """Return, by a value's exact type, what says that it is legal and that `type_problem` has nothing against it.

    Of a text it says the latter alone.
    """
    found: dict[type, object] = {type(None): _anything}
    if spec.choices:
        if _FINE_TEXTS.get(spec.type) is _anything:
            found[str] = frozenset(spec.choices).__contains__
        return cast("Mapping[type, Test]", found)
    if spec.type in _FINE_TEXTS:
        found[str] = _FINE_TEXTS[spec.type]
    if spec.type in ("int", "float", "json"):
        found[int] = _FINE_INTEGERS
    if spec.type in ("float", "json"):
        found[float] = isfinite
    if spec.type in ("bool", "json"):
        found[bool] = _anything
    return cast("Mapping[type, Test]", found)


def type_problem(spec: FieldSpec, value: Value) -> str | None:
    """Return a sentence saying why `value` is not of the field's type, or None where it is."""
    if value is None:
        return None
    check = CHECKS.get(spec.type)
    if check is not None and not check(value):
        return f"expected {spec.type}, got {_shown(value)}"
    if spec.choices and value not in spec.choices:
        return f"expected one of {', '.join(spec.choices)}, got {_shown(value)}"
    return None


def as_decimal(value: Value) -> Decimal | None:
    """Return the exact number that `value` (a number, or a string of type `decimal`) stands for, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(str(value))
    return Decimal(value) if isinstance(value, str) and _DECIMAL.match(value) else None


def _shown(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
