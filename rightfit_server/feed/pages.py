"""Pages of the feed for one subject's device, read at one moment.

A cursor says: "everything up to the commit `seq`, by the tags granted up to the commit `tags_seq`". The
next page is

| what is missing | the page | the cursor then |
|---|---|---|
| tags granted since `tags_seq` | rows up to `seq`, for the first grant | `backfill`; at the end `tags_seq` |
| commits after `seq` | rows of whole commits | `seq` of the last one, `tags_seq` now |

While rows are backfilled, `tags_seq` is one less than the commit of the grant that they are for, so that
a grant which is taken back meanwhile does not leave its place to another. A page that is not the last
one takes along what one of its transactions changed elsewhere, as it is now, so that no transaction is
ever seen in half.

Most who ask have everything already. That can be told from where the feed stands, so that for them no more than that
is read. Of those who were looked at a moment ago it is known what they will need (`Standing`). Both cost one round trip
to the database, and who had everything before it pushed costs none; for whom that was not enough there is a transaction
(see `ahead`). It begins with what will most likely be asked, which a cursor tells that is behind.

A page of no rows (`rows_max` 0) stays where it is, and tells in its cursor how far the feed has come;
so does every page that is not the last, so that what a device was told once cannot be taken back
unnoticed (see `lineage`).

Cursors: B08 of docs/explanation/faults.md. Loss of access: semantics, section 7.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from rightfit_server.feed.ahead import Ahead, NeedsTransactionError, Standing, Written, expected
from rightfit_server.feed.cursors import Cursors, Seals
from rightfit_server.feed.lineage import Lineage
from rightfit_server.ports.storage import FeedRow, FeedTransaction, Identity, Storage, Viewer
from rightfit_sync.echo import digest_of, says_more
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS, Evicted, cut
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.limits import ROWS_PER_PAGE_MAX
from rightfit_sync.packing import PackedOwn, PackedPage, PackedRow
from rightfit_sync.wire.cursor import Cursor


class Pulled(msgspec.Struct, frozen=True):
    """A page, where the device stood before it, the epoch.

    And whether the page says anything new.
    """

    page: PackedPage
    standing: Standing
    epoch: str
    is_news: bool


class Made(NamedTuple):
    """What the device's own push has just made: its commit, `ingest.service.Answer.own`, and what the feed says now."""

    commit_seq: int
    own: Mapping[Key, tuple[int, int]]
    written: Written | None = None


NOTHING_MADE: Final = Made(0, {})


class _Piece(NamedTuple):
    rows: Sequence[FeedRow]
    cursor: Cursor
    is_last: bool


class Feed:
    """Cuts pages."""

    def __init__(self, storage: Storage, lineage: Lineage, cursors: Cursors, rows: "RowMaker") -> None:
        self._storage = storage
        self._lineage = lineage
        self._cursors = cursors
        self._rows = rows

    async def pull(
        self,
        identity: Identity,
        cursor: str | None,
        rows_max: int,
        made: Made = NOTHING_MADE,
        *,
        standing: Standing | None = None,
    ) -> Pulled:
        """Return the next page after `cursor` (None: the first one), of about `rows_max` rows; 0 asks for none.

        The device works out itself what it has `made`, where nobody else had a part in it. `standing` is where it
        stood a moment ago, if that is known and there is likely to be news. Raises `RemoteError`: 400
        `cursor_invalid`, 403 `cursor_foreign`, 409 `epoch_changed`, 410 `cursor_expired`.
        """
        if not 0 <= rows_max <= ROWS_PER_PAGE_MAX:
            raise RemoteError("invalid_message", f"rows_max is 0 to {ROWS_PER_PAGE_MAX}", path="rows_max")
        said = self._cursors.said(cursor) if cursor is not None and standing is None else None
        is_behind = said is not None and (said.head or said.backfill is not None)
        with suppress(NeedsTransactionError):
            if cursor is not None and not is_behind:
                viewer, ahead = await self._ahead(identity, standing, rows_max, made.written)
                return await self._pulled(ahead, viewer, identity, cursor, rows_max, made)
        place = said if standing is None else standing.place
        async with self._storage.feed(identity, expected(place, rows_max)) as transaction:
            return await self._pulled(transaction, transaction.viewer, identity, cursor, rows_max, made)

    async def _ahead(
        self, identity: Identity, standing: Standing | None, rows_max: int, written: Written | None
    ) -> tuple[Viewer, Ahead]:
        if standing is None or not rows_max:
            return await self._storage.glance(identity), Ahead()
        known = None if written is None else written.ahead(standing, rows_max)
        if written is not None and known is not None:
            return written.viewer, known
        asked = expected(standing.place, rows_max)
        read = await self._storage.ahead(identity, asked)
        return read.viewer, Ahead(asked, read)

    async def _pulled(
        self,
        transaction: FeedTransaction | Ahead,
        viewer: Viewer,
        identity: Identity,
        cursor: str | None,
        rows_max: int,
        made: Made,
    ) -> Pulled:
        place = await self._lineage.place(transaction, viewer, identity, cursor)
        position = viewer.position
        if not rows_max:
            piece, page = _Piece((), place, is_last=False), PackedPage("", sorted(viewer.tags), more=True)
        elif place.is_expired(position.purge_horizon):
            message = "deleted records after this cursor are forgotten: push, then compare the copy"
            raise RemoteError("cursor_expired", message, status=410, path="cursor")
        else:
            cutter = _Cutter(transaction, viewer, identity.tenant_id, rows_max, self._rows)
            piece = await cutter.next(place)
            page = await cutter.page(place, piece, made)
        after = piece.cursor.heard_of(position.head, position.chain)
        signed = replace(page, cursor=self._cursors.sign(after))
        is_news = bool(page.rows or page.own or page.evicted or page.more or cursor is None)
        is_news = is_news or viewer.tags_seq > place.tags_seq
        return Pulled(signed, Standing(place, viewer.tags), position.epoch, is_news)


class RowMaker:
    """Makes rows for the wire of rows as stored."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def rows(self, rows: Sequence[FeedRow], tags: Collection[str], tenant_id: str) -> list[PackedRow]:
        """Return `rows` as a subject that holds `tags` is told them, each with its seal."""
        held, seal = frozenset(tags), self._seals.sealing(tenant_id)
        packed: list[PackedRow] = []
        former = 0
        for row in rows:
            shared = held.intersection(row.audience)
            told = None if len(shared) == len(held) else sorted(shared)
            state = row.state
            step = row.seq - former
            packed.append(PackedRow(step, state, seal(state), told, row.orphans, row.suggestions))
            former = row.seq
        return packed


class _Cutter:
    """Cuts one page inside one transaction."""

    def __init__(
        self,
        transaction: FeedTransaction | Ahead,
        viewer: Viewer,
        tenant_id: str,
        rows_max: int,
        rows: RowMaker,
    ) -> None:
        self._transaction = transaction
        self._viewer = viewer
        self._tenant_id = tenant_id
        self._rows_max = rows_max
        self._rows = rows

    async def next(self, place: Cursor) -> _Piece:
        """Return what follows `place`: what was granted below it first, as far as there is any."""
        while True:
            granted = [one.granted_seq for one in self._viewer.grants if one.granted_seq > place.tags_seq]
            if not granted or place.seq == 0:
                return await self._forward(place)
            piece = await self._backfill(place, min(granted))
            if piece.rows:
                return piece
            place = piece.cursor

    async def _backfill(self, place: Cursor, granted_seq: int) -> _Piece:
        is_going_on = place.backfill is not None and place.tags_seq == granted_seq - 1
        start = place.backfill or 0 if is_going_on else 0
        tags = [one.tag for one in self._viewer.grants if one.granted_seq == granted_seq]
        limit = self._rows_max + 1
        rows = await self._transaction.rows_below(start, place.seq, tags, limit)
        if len(rows) < limit:
            return _Piece(rows, replace(place, tags_seq=granted_seq, backfill=None), is_last=False)
        rows = rows[: self._rows_max]
        return _Piece(rows, replace(place, tags_seq=granted_seq - 1, backfill=rows[-1].seq), is_last=False)

    async def _forward(self, place: Cursor) -> _Piece:
        position, limit = self._viewer.position, self._rows_max + 1
        rows: list[FeedRow] = []
        # No row stands after the head: who is there need not ask.
        size = 0 if place.seq == position.head else None
        while size is None:
            rows = await self._transaction.rows_after(place.seq, self._viewer.tags, limit)
            size = cut([row.commit_seq for row in rows], self._rows_max)
            if size is None and len(rows) < limit:
                size = len(rows)
            limit *= 2
        if size == len(rows):
            end = replace(
                place, seq=position.head, chain=position.chain, tags_seq=position.head, backfill=None
            )
            return _Piece(rows, end, is_last=True)
        seq = rows[size - 1].commit_seq
        chain = (await self._transaction.chains([seq])).get(seq, GENESIS)
        end = replace(place, seq=seq, chain=chain, tags_seq=position.head, backfill=None)
        return _Piece(rows[:size], end, is_last=False)

    async def page(self, place: Cursor, piece: _Piece, made: Made) -> PackedPage:
        """Return `piece` as a page, with what its transactions changed elsewhere.

        The cursor is not signed yet, and the rows have their seals with them.
        """
        tags, position = self._viewer.tags, self._viewer.position
        visible: list[FeedRow] = []
        gone: list[Evicted] = []
        for row in piece.rows:
            if tags.isdisjoint(row.audience):
                gone.append(Evicted(row.seq, row.kind, row.entity_id))
            else:
                visible.append(row)
        remaining = 0
        if not piece.is_last:
            visible += await self._companions(place, piece, visible)
            remaining = _still_to_come(place, piece, position.head)
        own = [row for row in visible if _is_own(row, made, place)] if made.own else []
        others = [row for row in visible if not _is_own(row, made, place)] if own else visible
        packed = self._rows.rows(own, tags, self._tenant_id)
        places = [
            PackedOwn(one.step, made.own[row.kind, row.entity_id][0], one.tags)
            for one, row in zip(packed, own, strict=True)
        ]
        return PackedPage(
            cursor="",
            tags=sorted(tags),
            rows=self._rows.rows(others, tags, self._tenant_id),
            evicted=gone,
            more=not piece.is_last and (remaining > 0 or self._is_behind(piece.cursor, position.head)),
            remaining=remaining,
            own=places or (),
            own_seals=b"".join([one.seal for one in packed]),
            own_digest=digest_of([row.state for row in own]) if own else b"",
        )

    def _is_behind(self, cursor: Cursor, head: int) -> bool:
        is_granted = any(one.granted_seq > cursor.tags_seq for one in self._viewer.grants)
        return cursor.backfill is not None or cursor.seq < head or is_granted

    async def _companions(self, place: Cursor, piece: _Piece, visible: Sequence[FeedRow]) -> list[FeedRow]:
        """Return the visible rows beyond the page that its transactions changed as well, and so on."""
        held = {(row.kind, row.entity_id) for row in piece.rows}
        after = 0 if piece.cursor.seq == place.seq else place.seq
        end = piece.rows[-1].seq if piece.rows else place.seq
        wave = [(row.kind, row.entity_id) for row in visible]
        found: list[FeedRow] = []
        while wave:
            near = await self._transaction.companions(wave, after, end, self._viewer.tags)
            fresh = [row for row in near if (row.kind, row.entity_id) not in held]
            wave = [(row.kind, row.entity_id) for row in fresh]
            held.update(wave)
            found += fresh
        return found


def _still_to_come(place: Cursor, piece: _Piece, head: int) -> int:
    """Return about how many rows follow: as many for each number up to the head as there were on this page.

    An entity that is changed again leaves its number to nobody, and not everybody sees all.
    """
    left, passed = head - piece.cursor.seq, piece.cursor.seq - place.seq
    return -(-left * len(piece.rows) // passed) if passed else left


def _is_own(row: FeedRow, made: Made, place: Cursor) -> bool:
    """Whether a device at `place` held this row, and has itself moved it on to what it is now."""
    if row.commit_seq != made.commit_seq or says_more(row):
        return False
    found = made.own.get((row.kind, row.entity_id))
    return found is not None and found[1] <= place.seq
