"""Many rows in one statement: each column travels as one array in binary form, and `unnest` makes rows of them.

So nothing is parsed, bound and answered per row, and the number of statements does not grow with the number of rows.
What all rows say alike (kind, device, status, all that is empty) travels once, and is one value to the database, too.
COPY would be as quick, but row level security does not let it write into a table.

Form of an array: dimensions (1), whether there are nulls, the type of its elements, their number, the first index
(1); then of each element its length (-1: null) and its bytes. Source: PostgreSQL, src/backend/utils/adt/arrayfuncs.c,
`array_recv`; the types' own `recv` functions.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, LiteralString, NamedTuple, cast

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i").pack
_INT8: Final = Struct(">iq").pack
_INT4: Final = Struct(">ii").pack
_NULL: Final = _LENGTH(-1)
_LENGTH_BYTES: Final = len(_NULL)


class Binary(NamedTuple):
    """A value as the database reads it."""

    content: bytes


class _BinaryDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Binary) -> Buffer:
        """Return the value's bytes."""
        return obj.content


psycopg.adapters.register_dumper(Binary, _BinaryDumper)


def _texts(values: Sequence[object]) -> bytes:
    return _blobs([cast("str", value).encode() for value in values])


def _blobs(values: Sequence[object]) -> bytes:
    blobs = cast("Sequence[bytes]", values)
    lengths = [*map(len, blobs)]
    if lengths.count(lengths[0]) == len(lengths):
        # Ids and digests are all of one length.
        return _LENGTH(lengths[0]) + _LENGTH(lengths[0]).join(blobs)
    pieces = [b""] * (2 * len(blobs))
    pieces[::2], pieces[1::2] = map(_LENGTH, lengths), blobs
    return b"".join(pieces)


def _jsonbs(values: Sequence[object]) -> bytes:
    return _blobs([b"\x01" + one for one in cast("Sequence[bytes]", values)])


def _bigints(values: Sequence[object]) -> bytes:
    return b"".join([_INT8(8, value) for value in cast("Sequence[int]", values)])


def _integers(values: Sequence[object]) -> bytes:
    return b"".join([_INT4(4, value) for value in cast("Sequence[int]", values)])


class _Type(NamedTuple):
    """Its number in `pg_type`, and how its elements (one at least) are written, lengths included."""

    oid: int
    write: Callable[[Sequence[object]], bytes]


_TYPES: Final[Mapping[str, _Type]] = {
    "text": _Type(25, _texts),
    "text[]": _Type(25, _texts),
    "bytea": _Type(17, _blobs),
    "json": _Type(114, _blobs),
    "jsonb": _Type(3802, _jsonbs),
    "bigint": _Type(20, _bigints),
    "integer": _Type(23, _integers),
}
"""Python's `str` for texts, `bytes` for blobs and JSON, `int` for numbers, None for null; `text_array` for `text[]`:
these travel as texts, since an array cannot hold arrays of several lengths."""


def array(type_name: str, values: Sequence[object]) -> Binary:
    """Return `values` as an array of this type, one of `_TYPES`."""
    found = _TYPES[type_name]
    has_nulls = None in values
    if not values:
        content = b""
    elif _are_alike(values):
        content = (_NULL if has_nulls else found.write(values[:1])) * len(values)
    elif has_nulls:
        content = b"".join([_NULL if value is None else found.write((value,)) for value in values])
    else:
        content = found.write(values)
    return Binary(_HEAD.pack(1, has_nulls, found.oid, len(values), 1) + content)


def _are_alike(values: Sequence[object]) -> bool:
    return values.count(values[0]) == len(values)


def arrays(type_names: str, rows: Sequence[Sequence[object]]) -> list[Binary]:
    """Return the columns of `rows`, of which there is one at least; `type_names` are parted by spaces."""
    columns = zip(*rows, strict=True)
    return [array(name, column) for name, column in zip(type_names.split(), columns, strict=True)]


def filled(
    statement: LiteralString, type_names: LiteralString, rows: Sequence[Sequence[object]]
) -> tuple[str, list[object]]:
    """Return `statement` with `rows` (one at least) as a table in the place of `{rows}`, and its parameters.

    `type_names` are those of the columns, parted by spaces.
    """
    columns = list(zip(*rows, strict=True))
    are_alike = [_are_alike(column) for column in columns]
    # Some column has to say how many rows there are.
    are_alike[0] = are_alike[0] and len(rows) == 1
    parameters = [
        _alone(name, column[0]) if is_alike else array(name, column)
        for name, column, is_alike in zip(type_names.split(), columns, are_alike, strict=True)
    ]
    return _text(statement, type_names, tuple(are_alike)), parameters


def _alone(type_name: str, value: object) -> object:
    """Return one value as a parameter."""
    if value is None or type_name == "text[]":
        return value
    return Binary(_TYPES[type_name].write((value,))[_LENGTH_BYTES:])


@lru_cache(maxsize=256)
def _text(statement: LiteralString, type_names: LiteralString, are_alike: tuple[bool, ...]) -> str:
    # As expressions of a SELECT, arrays are read row by row; as tables, each would be written out as one before.
    columns = [
        f"%s::{name}" if is_alike else f"unnest(%s::{name.removesuffix('[]')}[])::{name}"
        for name, is_alike in zip(type_names.split(), are_alike, strict=True)
    ]
    return statement.replace("{rows}", f"(SELECT {', '.join(columns)})")


@lru_cache(maxsize=4_096)
def text_array(texts: tuple[str, ...]) -> str:
    """Return `texts` as PostgreSQL writes an array of texts, for a column of arrays."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
