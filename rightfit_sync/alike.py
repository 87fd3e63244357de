"""Rows that say nothing beside their states, and whose states begin alike: sent column by column.

::

    alike = [head, steps, tails, ids, seals]

The state of a row is `head`, its id of 16 bytes, its tail; `steps` are as those of rows (see `packing`), counted among
these. Ids and seals, being random, would spoil the compression of the words around them, and stand together.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

SEAL_BYTES = 16
_ID_BYTES = 16


class Alike(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """See the module's docstring."""

    head: bytes
    steps: Sequence[int]
    tails: Sequence[bytes]
    ids: bytes
    seals: bytes


class Parted(NamedTuple):
    """A row whose state has been parted (see `state.parted`)."""

    seq: int
    short_id: bytes
    tail: bytes
    seal: bytes


def alike(head: bytes, rows: Sequence[Parted]) -> Alike:
    """Return `rows`, of which there is one at least, by columns; their ids and seals are 16 bytes each."""
    seqs, ids, tails, seals = zip(*rows, strict=True)
    steps = [seq - former for former, seq in pairwise((0, *seqs))]
    return Alike(head, steps, tails, b"".join(ids), b"".join(seals))


def plain_rows(columns: Alike) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the step, the state and the seal of each row.

    Raises `msgspec.ValidationError` where the columns are not of one length.
    """
    count = len(columns.tails)
    if (len(columns.ids), len(columns.seals)) != (count * _ID_BYTES, count * SEAL_BYTES):
        raise msgspec.ValidationError("rows that are alike have an id and a seal each")
    if len(columns.steps) != count:
        raise msgspec.ValidationError("rows that are alike have a step each")
    head, ids, seals = columns.head, _pieces(columns.ids, _ID_BYTES), _pieces(columns.seals, SEAL_BYTES)
    for step, short_id, tail, seal in zip(columns.steps, ids, columns.tails, seals, strict=True):
        yield step, head + short_id + tail, seal


def _pieces(joined: bytes, size: int) -> list[bytes]:
    return [joined[start : start + size] for start in range(0, len(joined), size)]
