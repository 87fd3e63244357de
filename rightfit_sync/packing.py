"""Rows of the feed as they travel in MessagePack and lie in a replica's file, the entity as `state` encodes it.

::

    row = [step, state, seal, tags, orphans, suggestions]

`step` is how far the sequence number is beyond that of the row before it in its page (of a row alone: beyond 0); `tags`
is null where they are all those of the page. The authority sends a state as it is stored, and a replica keeps it so:
neither takes it apart for that.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rightfit_sync.feed import Evicted, Page, Row
from rightfit_sync.state import decode_state, encode_state


class PackedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """See the module's docstring."""

    step: int
    state: bytes
    seal: bytes = b""
    tags: Sequence[str] | None = None
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}


class PackedPage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A `feed.Page` with packed rows."""

    cursor: str
    tags: Sequence[str]
    rows: Sequence[PackedRow] = ()
    evicted: Sequence[Evicted] = ()
    more: bool = False
    remaining: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedRow).decode
_decode_of_before = msgspec.msgpack.Decoder(Row).decode
_STATE = "state"
"""Under this name a row remembers the state that it was decoded from; it is no part of the row."""

_FIRST_OF_A_LIST = 0x90
"""The first byte of short MessagePack arrays; that of maps is below."""


def encode_row(row: Row) -> bytes:
    """Return `row` as a replica's file holds it."""
    return _encode(PackedRow(row.seq, state_of(row), row.seal, row.tags, row.orphans, row.suggestions))


def decode_row(content: bytes) -> Row:
    """Return the row in `content`, also of a file of before; raises `msgspec.MsgspecError` where it is none."""
    if content and content[0] < _FIRST_OF_A_LIST:
        return _decode_of_before(content)
    return _row(_decode(content), 0, ())


def packed_page(page: Page) -> PackedPage:
    """Return `page` as it travels."""
    return PackedPage(
        page.cursor, page.tags, packed_rows(page.rows, page.tags), page.evicted, page.more, page.remaining
    )


def packed_rows(rows: Iterable[Row], page_tags: Sequence[str]) -> list[PackedRow]:
    """Return `rows` as they travel in a page for a subject with `page_tags`."""
    packed: list[PackedRow] = []
    former, everything = 0, list(page_tags)
    for row in rows:
        tags = None if list(row.tags) == everything else row.tags
        packed.append(
            PackedRow(row.seq - former, state_of(row), row.seal, tags, row.orphans, row.suggestions)
        )
        former = row.seq
    return packed


def page_of(packed: PackedPage) -> Page:
    """Return the page that `packed` is; raises `msgspec.MsgspecError` where a row is none."""
    rows = rows_of(packed.rows, packed.tags)
    return Page(packed.cursor, packed.tags, rows, packed.evicted, packed.more, packed.remaining)


def rows_of(packed: Iterable[PackedRow], page_tags: Sequence[str]) -> list[Row]:
    """Return the rows of a page for a subject with `page_tags`."""
    rows: list[Row] = []
    seq = 0
    for one in packed:
        rows.append(_row(one, seq, page_tags))
        seq += one.step
    return rows


def state_of(row: Row) -> bytes:
    """Return the state of the entity of `row`: as it came, where it did."""
    state = row.__dict__.get(_STATE)
    return state if isinstance(state, bytes) else encode_state(row.entity)


def _row(packed: PackedRow, former_seq: int, page_tags: Sequence[str]) -> Row:
    row = Row(
        former_seq + packed.step,
        decode_state(packed.state),
        page_tags if packed.tags is None else packed.tags or (),
        packed.orphans or (),
        packed.suggestions,
        packed.seal,
    )
    row.__dict__[_STATE] = packed.state
    return row
