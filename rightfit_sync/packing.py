"""Rows of the feed as they travel in MessagePack and lie in a replica's file, the entity as `state` encodes it.

::

    row  = [step, state, seal, tags, orphans, suggestions]
    own  = [step, place, tags]
    page = {cursor, tags, rows, seals, alike, own, own_seals, ...}        as `feed.Page` otherwise

`step` is how far the sequence number is beyond that of the row before it in its page (of a row alone: beyond 0);
`tags` is null where they are all those of the page. The `seals` of a page follow each other in one blob, and `seal` is
empty: being random, they would spoil the compression of the words around them; likewise those of `own`. To whoever
reads that, most rows go by columns, `alike` (see the module of that name). The authority sends a state as it is stored,
and a replica keeps it so: neither decodes it for that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import overload

import msgspec
from msgspec.structs import replace

from rightfit_sync.alike import SEAL_BYTES, Alike, Parted, alike, plain_rows
from rightfit_sync.feed import Evicted, Own, Page, Row
from rightfit_sync.state import (
    State,
    encode_parts,
    encode_state,
    entity_of,
    id_of,
    parted,
    parts_of,
    read_state,
)


class PackedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """See the module's docstring."""

    step: int
    state: bytes
    seal: bytes = b""
    tags: Sequence[str] | None = None
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}


class PackedOwn(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `feed.Own`; its seal stands apart."""

    step: int
    place: int
    tags: Sequence[str] | None = None


class PackedPage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A `feed.Page` with packed rows."""

    cursor: str
    tags: Sequence[str]
    rows: Sequence[PackedRow] = ()
    seals: bytes = b""
    evicted: Sequence[Evicted] = ()
    more: bool = False
    remaining: int = 0
    own: Sequence[PackedOwn] = ()
    own_seals: bytes = b""
    own_digest: bytes = b""
    alike: Sequence[Alike] = ()


class ReadRow(msgspec.Struct, frozen=True, gc=False):
    """A row as it came: its state is read, and not made into an entity yet."""

    seq: int
    entity_id: str
    read: State
    state: bytes
    tags: Sequence[str]
    orphans: Sequence[str]
    suggestions: Mapping[str, str]
    seal: bytes

    def whole(self) -> Row:
        """Return the row that this is."""
        entity = entity_of(self.read, self.entity_id)
        row = Row(self.seq, entity, self.tags, self.orphans, self.suggestions, self.seal)
        row.__dict__[_STATE] = self.state
        return row


class Rows(Sequence[Row]):
    """The rows of a page as they came, `read`. They become rows once somebody looks at one."""

    def __init__(self, read: Sequence[ReadRow]) -> None:
        self.read = read
        self._whole: list[Row] | None = None

    @property
    def are_whole(self) -> bool:
        """Whether anybody has looked at one."""
        return self._whole is not None

    @property
    def whole(self) -> list[Row]:
        """The rows themselves."""
        if self._whole is None:
            self._whole = [one.whole() for one in self.read]
        return self._whole

    def __len__(self) -> int:
        return len(self.read)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...  # type: ignore[explicit-any]
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:  # type: ignore[explicit-any]
        return self.whole[place]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.whole)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.whole == list(other)

    __hash__ = None  # type: ignore[assignment]


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


def encode_read_row(row: ReadRow) -> bytes:
    """Return what `encode_row` returns of the row that `row` is."""
    return _encode(PackedRow(row.seq, row.state, row.seal, row.tags, row.orphans, row.suggestions))


def decode_row(content: bytes) -> Row:
    """Return the row in `content`, also of a file of before; raises `msgspec.MsgspecError` where it is none."""
    if content and content[0] < _FIRST_OF_A_LIST:
        return _decode_of_before(content)
    packed = _decode(content)
    return _read_row(packed, 0, (), packed.seal).whole()


def decode_parts(content: bytes) -> tuple[str, State]:
    """Return the id of the entity in the row `content`, and its parts; otherwise like `decode_row`."""
    if content and content[0] < _FIRST_OF_A_LIST:
        entity = _decode_of_before(content).entity
        return entity.entity_id, parts_of(entity)
    read = read_state(_decode(content).state)
    return id_of(read), read


def packed_page(page: Page) -> PackedPage:
    """Return `page` as it travels to anybody."""
    packed = PackedPage(
        page.cursor,
        page.tags,
        packed_rows(page.rows, page.tags),
        b"",
        page.evicted,
        page.more,
        page.remaining,
        _packed_own(page.own, page.tags) or (),
        b"".join([one.seal for one in page.own]),
        page.own_digest,
    )
    return apart(packed)


def _packed_own(own: Iterable[Own], page_tags: Sequence[str]) -> list[PackedOwn]:
    packed: list[PackedOwn] = []
    former, everything = 0, list(page_tags)
    for one in own:
        tags = None if list(one.tags) == everything else one.tags
        packed.append(PackedOwn(one.seq - former, one.place, tags))
        former = one.seq
    return packed


def apart(page: PackedPage) -> PackedPage:
    """Return `page` with the seals of its rows beside them; as it is where a row has none."""
    rows = page.rows
    if any(len(row.seal) != SEAL_BYTES for row in rows):
        return page
    bare = [PackedRow(row.step, row.state, b"", row.tags, row.orphans, row.suggestions) for row in rows]
    return replace(page, rows=bare or (), seals=b"".join([row.seal for row in rows]))


def by_columns(page: PackedPage) -> PackedPage:
    """Return `page`, whose rows have their seals, with those by columns that say nothing beside their states."""
    columns: dict[bytes, list[Parted]] = {}
    others: list[PackedRow] = []
    seq = former = 0
    for row in page.rows:
        seq += row.step
        is_plain = row.tags is None and not row.orphans and not row.suggestions
        parts = parted(row.state) if is_plain and len(row.seal) == SEAL_BYTES else None
        if parts is None:
            others.append(replace(row, step=seq - former))
            former = seq
        else:
            head, short_id, tail = parts
            columns.setdefault(head, []).append(Parted(seq, short_id, tail, row.seal))
    found = [alike(head, rows) for head, rows in columns.items()]
    return apart(replace(page, rows=others or (), alike=found or ()))


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
    seals = packed.seals
    if seals and len(seals) != SEAL_BYTES * len(packed.rows):
        raise msgspec.ValidationError("a page has one seal for each of its rows, or none")
    rows, own = _read_rows(packed.rows, packed.tags, seals), _own_of(packed)
    for columns in packed.alike:
        rows += _read_alike(columns, packed.tags)
    if packed.alike:
        rows.sort(key=attrgetter("seq"))
    return Page(
        packed.cursor,
        packed.tags,
        Rows(rows),
        packed.evicted,
        packed.more,
        packed.remaining,
        own or (),
        packed.own_digest,
    )


def _own_of(packed: PackedPage) -> list[Own]:
    seals = packed.own_seals
    if len(seals) != SEAL_BYTES * len(packed.own):
        raise msgspec.ValidationError("a page has one seal for each row that it leaves to the device")
    own: list[Own] = []
    seq = 0
    for number, one in enumerate(packed.own):
        seq += one.step
        seal = seals[number * SEAL_BYTES : (number + 1) * SEAL_BYTES]
        own.append(Own(seq, one.place, packed.tags if one.tags is None else one.tags, seal))
    return own


def rows_of(packed: Iterable[PackedRow], page_tags: Sequence[str]) -> list[Row]:
    """Return rows that travel outside a page, for a subject with `page_tags`."""
    return [one.whole() for one in _read_rows(packed, page_tags)]


def _read_rows(packed: Iterable[PackedRow], page_tags: Sequence[str], seals: bytes = b"") -> list[ReadRow]:
    rows: list[ReadRow] = []
    seq = 0
    for number, one in enumerate(packed):
        start = number * SEAL_BYTES
        seal = seals[start : start + SEAL_BYTES] if seals else one.seal
        rows.append(_read_row(one, seq, page_tags, seal))
        seq += one.step
    return rows


def _read_alike(columns: Alike, page_tags: Sequence[str]) -> list[ReadRow]:
    rows: list[ReadRow] = []
    seq = 0
    for step, state, seal in plain_rows(columns):
        seq += step
        read = read_state(state)
        rows.append(ReadRow(seq, id_of(read), read, state, page_tags, (), {}, seal))
    return rows


def state_of(row: Row) -> bytes:
    """Return the state of the entity of `row`: as it came, where it did."""
    state = row.__dict__.get(_STATE)
    return state if isinstance(state, bytes) else encode_state(row.entity)


def row_of(seq: int, entity_id: str, read: State, tags: Sequence[str], seal: bytes) -> ReadRow:
    """Return the row of the entity that `read` are the parts of, as if it had come in a page."""
    return ReadRow(seq, entity_id, read, encode_parts(read), tags, (), {}, seal)


def _read_row(packed: PackedRow, former_seq: int, page_tags: Sequence[str], seal: bytes) -> ReadRow:
    read = read_state(packed.state)
    return ReadRow(
        former_seq + packed.step,
        id_of(read),
        read,
        packed.state,
        page_tags if packed.tags is None else packed.tags or (),
        packed.orphans or (),
        packed.suggestions,
        seal,
    )
