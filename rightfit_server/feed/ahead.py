"""What was read ahead of a pull: all that most of them need, in one round trip to the database.

After a push it is not even read: where nobody else has committed anything meanwhile, what the feed says is what the
push has just written (`Written`).

Whoever asks it for more is told so (`NeedsTransactionError`), and asks a transaction instead. So one and the same code
cuts the page of either, and what is here can be too little, but never wrong: it is of one moment, as a transaction is.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

from msgspec.structs import replace

from rightfit_server.ports.storage import CommitPlan, Committed, Expected, FeedRow, ReadAhead, Viewer
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.wire.cursor import Cursor


class NeedsTransactionError(Exception):
    """More must be read than was read ahead."""


class Standing(NamedTuple):
    """Where a device stood and what it saw when it was last looked at, which most likely still holds."""

    place: Cursor
    tags: frozenset[str]


def expected(place: Cursor | None, rows_max: int) -> Expected:
    """Return what a device at `place` (None: at the beginning) will most likely ask for a page of `rows_max` rows."""
    limit = rows_max + 1 if rows_max else 0
    if place is None:
        return Expected(limit=limit)
    # Who is being told what it was granted is not told yet what follows.
    return Expected({place.seq, place.head} - {0}, place.seq, limit if place.backfill is None else 0)


class Written(NamedTuple):
    """The feed right after a push: what its subject may see then, and the rows of its commit that concern it."""

    viewer: Viewer
    former: int
    former_chain: str
    rows: Sequence[FeedRow]

    @classmethod
    def of(cls, plan: CommitPlan, committed: Committed, viewer: Viewer) -> Self | None:
        """Return what is known once `plan` is `committed`; `viewer` was read before.

        None where others have committed in between, be it a grant, or where a neighbour's audience was written, whose
        state is not at hand.
        """
        position = viewer.position
        if committed.former != position.head or plan.audiences:
            return None
        tags = viewer.tags
        rows = [
            FeedRow(
                seq,
                committed.head,
                write.entity.kind,
                write.entity.entity_id,
                write.state,
                [*write.own_tags, *write.neighbour_tags],
                write.orphans,
                write.suggestions,
            )
            for seq, write in enumerate(plan.entities, committed.former + 1)
            if not tags.isdisjoint(write.own_tags)
            or not tags.isdisjoint(write.neighbour_tags)
            or not tags.isdisjoint(write.lost_tags)
            or not tags.isdisjoint(write.newly_lost)
        ]
        now = replace(position, head=committed.head, chain=committed.chain)
        return cls(replace(viewer, position=now), position.head, position.chain, rows)

    def ahead(self, standing: Standing, rows_max: int) -> "Ahead | None":
        """Return the answers for a device that had everything before the push; None for any other."""
        if standing.place.seq != self.former or standing.tags != self.viewer.tags:
            return None
        asked = expected(standing.place, rows_max)
        chains = {self.former: self.former_chain}
        return Ahead(asked, ReadAhead(self.viewer, chains, self.rows[: asked.limit]))


class Ahead:
    """The answers to what was expected; nothing but where the feed stands is known without them."""

    def __init__(self, expected: Expected | None = None, read: ReadAhead | None = None) -> None:
        self._expected = expected
        self._read = read

    async def chains(self, seqs: Collection[int]) -> dict[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""
        if self._expected is None or self._read is None or not set(seqs) <= set(self._expected.commits):
            raise NeedsTransactionError
        return {seq: chain for seq, chain in self._read.chains.items() if seq in seqs}

    async def rows_after(self, seq: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows that concern the subject, in order."""
        expected = self._expected
        if expected is None or self._read is None:
            raise NeedsTransactionError
        if (seq, frozenset(tags), limit) != (expected.seq, self._read.viewer.tags, expected.limit):
            raise NeedsTransactionError
        return list(self._read.rows)

    async def rows_below(self, _start: int, _end: int, _tags: Collection[str], _limit: int) -> list[FeedRow]:
        """Return rows of newly granted tags: these are never expected."""
        raise NeedsTransactionError

    async def companions(
        self, _keys: Collection[Key], _after: int, _end: int, _tags: Collection[str]
    ) -> list[FeedRow]:
        """Return rows beyond a page: that it is not the last one is never expected."""
        raise NeedsTransactionError
