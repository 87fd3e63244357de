"""Values at the edge: Python's richer types, their JSON form in the core, and their column in SQLite.

| type | Python | JSON form | column |
|---|---|---|---|
| `str`, `enum` | `str` (an `Enum` member is taken by its value) | string | TEXT |
| `int` | `int` | number | INTEGER |
| `float` | `float` | number | REAL |
| `bool` | `bool` | boolean | INTEGER, 0 or 1 |
| `decimal` | `Decimal` | string | TEXT |
| `date` | `date` | string | TEXT |
| `datetime` | `datetime` with an offset | string | TEXT |
| `bytes` | `bytes` | string, base64 | BLOB |
| `list`, `map`, `json` | what JSON has | itself | TEXT, JSON |
| set, map, keyed list | `list` (sorted), `dict`, `list` of `dict` | | TEXT, JSON; never null |

Reading is total: a value of another type than the schema's (kept from another schema) is given as it is.
Source: docs/explanation/semantics.md, section 10; `rightfit_sync.schema.types`.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeAlias

import msgspec

from rightfit_sync.errors import LocalError
from rightfit_sync.merge.registry import MisplacedPathError, rules_of
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec
from rightfit_sync.values import Value

Column: TypeAlias = str | int | float | bytes | None

COLUMN_TYPES: Mapping[str, str] = {
    "int": "INTEGER",
    "bool": "INTEGER",
    "float": "REAL",
    "bytes": "BLOB",
}
_PLAIN = frozenset({"str", "int", "float", "enum", "decimal", "date", "datetime"})
_SCALARS = (str, int, float)
_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})
"""Types that JSON has as well, whatever the field."""


def column_type(spec: FieldSpec) -> str:
    """Return the declared type of the field's column."""
    return "TEXT" if spec.merge in CONTAINERS else COLUMN_TYPES.get(spec.type, "TEXT")


def empty_column(spec: FieldSpec) -> Column:
    """Return what the column of a field that nobody wrote holds: null, or an empty container."""
    if spec.merge not in CONTAINERS:
        return None
    return "{}" if spec.merge == "map" else "[]"


def to_column(spec: FieldSpec) -> Callable[[Value], Column]:
    """Return the function from a field's JSON value to its column."""
    if spec.merge in CONTAINERS or spec.type not in (*_PLAIN, "bool", "bytes"):
        return _json_column
    return _bytes_column if spec.type == "bytes" else plain_column


def plain_column(value: Value) -> Column:
    """Return the column of a value whose type is a column's own; of any other, its JSON."""
    return value if value is None or isinstance(value, _SCALARS) else _json_column(value)


def _json_column(value: Value) -> Column:
    return None if value is None else msgspec.json.encode(value).decode()


def _bytes_column(value: Value) -> Column:
    if not isinstance(value, str):
        return plain_column(value)
    try:
        return b64decode(value, validate=True)
    except Base64Error:
        return value


def from_column(spec: FieldSpec) -> Callable[[Column], object] | None:
    """Return the function from a field's column to its Python value; None where they are the same."""
    if spec.merge in CONTAINERS or spec.type not in (*_PLAIN, "bool", "bytes"):
        return lambda column: _from_json_column(spec, column)
    if spec.type == "bool":
        return lambda column: bool(column) if isinstance(column, int) else column
    read = _READ.get(spec.type)
    return None if read is None or spec.type == "bytes" else lambda column: _read(read, column)


def _from_json_column(spec: FieldSpec, column: Column) -> object:
    if not isinstance(column, str):
        return column
    try:
        value: Value = msgspec.json.decode(column)
    except msgspec.DecodeError:
        return column
    return from_value(spec, value)


_READ: Mapping[str, Callable[[str], object]] = {
    "decimal": Decimal,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "bytes": lambda text: b64decode(text, validate=True),
}


def _read(read: Callable[[str], object], value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read(value)
    except (ValueError, InvalidOperation, Base64Error):
        return value


def from_value(spec: FieldSpec, value: Value) -> object:
    """Return the Python value of a field's JSON value."""
    if spec.merge == "set" and isinstance(value, list | tuple):
        element = FieldSpec(type=spec.type)
        return [from_value(element, one) for one in value]
    if spec.merge == "map" and isinstance(value, Mapping):
        return {key: from_value(_key_spec(spec, str(key)), one) for key, one in value.items()}
    if spec.merge == "keyed_list" and isinstance(value, list | tuple):
        return [from_value(msgspec.structs.replace(spec, merge="map"), item) for item in value]
    read = _READ.get(spec.type)
    return value if read is None or spec.merge in CONTAINERS else _read(read, value)


def _key_spec(spec: FieldSpec, key: str) -> FieldSpec:
    return spec.fields.get(key) or spec.element or FieldSpec()


def to_value(spec: FieldSpec, given: object) -> Value:
    """Return the JSON value of what an application gave for a field; the core checks whether it fits."""
    if spec.merge == "set" and isinstance(given, list | tuple | set | frozenset):
        return [_json_value(one) for one in given]
    if spec.merge == "map" and isinstance(given, Mapping):
        return {str(key): to_value(_key_spec(spec, str(key)), one) for key, one in given.items()}
    if spec.merge == "keyed_list" and isinstance(given, list | tuple):
        item_spec = msgspec.structs.replace(spec, merge="map")
        return [to_value(item_spec, item) for item in given]
    return _json_value(given)


def _json_value(given: object) -> Value:
    if type(given) in _AS_THEY_ARE:
        return given
    if type(given) is date:
        return given.isoformat()
    if isinstance(given, Enum):
        return _json_value(given.value)
    if isinstance(given, Decimal):
        return format(given, "f")
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise LocalError("naive_datetime", f"{given} has no offset: say which time zone it is in")
        return given.isoformat()
    if isinstance(given, date):
        return given.isoformat()
    if isinstance(given, bytes | bytearray | memoryview):
        return b64encode(given).decode()
    if isinstance(given, Mapping):
        return {str(key): _json_value(one) for key, one in given.items()}
    if isinstance(given, list | tuple | set | frozenset):
        return [_json_value(one) for one in given]
    return given


def to_param(given: object) -> Column:
    """Return the parameter of a query as its column has it: a date as text, bytes as they are."""
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    return plain_column(_json_value(given))


def wanted_values(kind_name: str, kind: KindSpec, given: Mapping[str, object]) -> dict[str, Value]:
    """Return `{field or path: JSON value}`; raise `LocalError` for a name that the kind does not have."""
    wanted: dict[str, Value] = {}
    declared = kind.fields
    for name, value in given.items():
        if type(value) in _AS_THEY_ARE and name in declared:
            wanted[name] = value
            continue
        try:
            wanted[name] = to_value(_spec(kind_name, kind, name), value)
        except LocalError as error:
            raise LocalError(error.code, f"{name}: {error}", name) from error
    return wanted


def _spec(kind_name: str, kind: KindSpec, name: str) -> FieldSpec:
    declared = kind.fields.get(name)
    if declared is not None:
        return declared
    if name in kind.groups:
        return FieldSpec(
            merge="map",
            type="map",
            fields={member: kind.fields[member] for member in kind.groups[name].members},
        )
    if name.partition("/")[0] not in kind.fields:
        known = ", ".join([*kind.fields, *kind.groups])
        raise LocalError("unknown_field", f"{kind_name} has no such field: it has {known}", name)
    try:
        return rules_of(kind).spec(name)
    except MisplacedPathError as misplaced:
        raise LocalError("invalid_path", str(misplaced), name) from misplaced
