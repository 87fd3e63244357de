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
