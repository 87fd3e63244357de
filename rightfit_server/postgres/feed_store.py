"""What a pull reads from PostgreSQL.

A row concerns a subject if its audience shares a tag with it, or did so until a commit after the cursor.

Results are binary: a state as text would be twice as long, to write, to send and to read.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from psycopg import AsyncCursor, sql
from psycopg.abc import Params
from psycopg.rows import TupleRow

from rightfit_server.ports.storage import Expected, FeedRow, Identity, ReadAhead, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import columns, decode_texts
from rightfit_server.postgres.viewer import SET_TENANT, ask_chains, ask_viewer, read_chains, viewer_found
from rightfit_sync.ingest.snapshot import Key

FEED_COLUMNS = sql.SQL(
    "e.seq, e.commit_seq, e.kind, e.entity_id, e.state, e.audience,"
    " nullif(e.orphans, '{}'), nullif(e.suggestions, '{}')::text"
)
"""What `feed_row` reads, of `app.entities e`."""

READING_IN_ORDER = "set_config('enable_bitmapscan', 'off', true)"
"""Makes a transaction read rows of the feed one after the other, in its order, until a page is full.

The planner has no count of a single tenant's rows. Where it takes them for few, it would read all that follow and sort
them, for every page anew.
"""

_AFTER = sql.SQL("""
    SELECT {}
    FROM app.entities e
    WHERE e.seq > %(seq)s AND (
        e.audience && {tags}
        OR (e.lost_tags <> '{{}}' AND e.lost_tags ?| {tags})
    )
    ORDER BY e.seq LIMIT %(limit)s
""")
_ROWS_AFTER = _AFTER.format(FEED_COLUMNS, tags=sql.SQL("%(tags)s::text[]")).as_string()
_ROWS_EXPECTED = _AFTER.format(
    FEED_COLUMNS, tags=sql.SQL("ARRAY(SELECT tag FROM app.subject_tags WHERE subject_id = %(subject)s)")
).as_string()
_ROWS_BELOW = (
    sql.SQL("""
    SELECT {}
    FROM app.entities e
    WHERE e.seq > %s AND e.seq <= %s AND e.audience && %s::text[]
    ORDER BY e.seq LIMIT %s
""")
    .format(FEED_COLUMNS)
    .as_string()
)
_COMPANIONS = (
    sql.SQL("""
    SELECT {}
    FROM app.entities e
    WHERE e.seq > %s AND e.audience && %s::text[] AND (e.kind, e.entity_id) IN (
        SELECT c.kind, c.entity_id
        FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
            CROSS JOIN LATERAL (
                SELECT m.device_id, m.transaction_id FROM app.changes m
                WHERE m.kind = k.kind AND m.entity_id = k.entity_id AND m.commit_seq > %s
                OFFSET 0
            ) AS m
            JOIN app.changes c ON c.device_id = m.device_id AND c.transaction_id = m.transaction_id
    )
    ORDER BY e.seq
""")
    .format(FEED_COLUMNS)
    .as_string()
)
_HAS_TRANSACTIONS = """
    SELECT EXISTS (
        SELECT FROM app.changes WHERE transaction_id IS NOT NULL ORDER BY device_id, transaction_id LIMIT 1
    )
"""
SET_READING = f"{SET_TENANT}, {READING_IN_ORDER}"


class PostgresFeed:
    """`ports.storage.FeedTransaction` on one connection, inside its transaction; `read` is what was `expected`."""

    def __init__(self, connection: Connection, expected: Expected, read: ReadAhead) -> None:
        self._connection = connection
        self._expected = expected
        self._read = read

    @property
    def viewer(self) -> Viewer:
        """What the caller may see."""
        return self._read.viewer

    async def chains(self, seqs: Collection[int]) -> Mapping[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""
        if set(seqs) <= set(self._expected.commits):
            return {seq: chain for seq, chain in self._read.chains.items() if seq in seqs}
        return await read_chains(self._connection, seqs)

    async def rows_after(self, seq: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows after `seq` that concern the subject, in order: visible, or gone from its sight.

        Whenever they went: what was lost before `seq`, and changed since by others, may not have been told yet, because
        the page that told of that change was cut before the place where the row stands now.
        """
        is_expected = (seq, limit) == (self._expected.seq, self._expected.limit)
        if is_expected and frozenset(tags) == self.viewer.tags:
            return list(self._read.rows)
        return await self._rows(_ROWS_AFTER, {"seq": seq, "tags": sorted(tags), "limit": limit})

    async def rows_below(self, start: int, end: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows with one of `tags` and `start < seq <= end`, in order."""
        return await self._rows(_ROWS_BELOW, (start, end, sorted(tags), limit))

    async def companions(
        self, keys: Collection[Key], after: int, end: int, tags: Collection[str]
    ) -> list[FeedRow]:
        """Return visible rows beyond `end` that a transaction later than `after` changed with `keys`."""
        if not self._read.has_transactions:
            return []
        return await self._rows(_COMPANIONS, (end, sorted(tags), *columns(keys), after))

    async def _rows(self, statement: str, parameters: Params) -> list[FeedRow]:
        return await _rows_found(await self._connection.execute(statement, parameters, binary=True))


class Asked(NamedTuple):
    """What was asked in a pipeline; it can be read after its end."""

    viewer: AsyncCursor[TupleRow]
    chains: AsyncCursor[TupleRow] | None
    rows: AsyncCursor[TupleRow] | None
    has_transactions: AsyncCursor[TupleRow] | None


async def ask_expected(
    connection: Connection, identity: Identity, expected: Expected, *, is_all: bool = False
) -> Asked:
    """Ask for what is expected; `expected_found` reads the answers. `is_all` says that nothing more will be asked."""
    viewer = await ask_viewer(connection, identity)
    chains = await ask_chains(connection, expected.commits) if expected.commits else None
    wanted = {"seq": expected.seq, "subject": identity.subject_id, "limit": expected.limit}
    rows = await connection.execute(_ROWS_EXPECTED, wanted, binary=True) if expected.limit else None
    return Asked(viewer, chains, rows, None if is_all else await connection.execute(_HAS_TRANSACTIONS))


async def expected_found(asked: Asked, identity: Identity) -> ReadAhead:
    """Return what was asked; raises `UnknownDeviceError` (401) for a device that may not speak."""
    viewer = await viewer_found(asked.viewer, identity)
    has_transactions = None if asked.has_transactions is None else await asked.has_transactions.fetchone()
    return ReadAhead(
        viewer,
        {} if asked.chains is None else dict(await asked.chains.fetchall()),
        () if asked.rows is None else await _rows_found(asked.rows),
        has_transactions is None or bool(has_transactions[0]),
    )


async def _rows_found(found: AsyncCursor[TupleRow]) -> list[FeedRow]:
    return [feed_row(row) for row in await found.fetchall()]


def feed_row(row: tuple[Any, ...]) -> FeedRow:
    """Return the row of the feed that `FEED_COLUMNS` describe."""
    seq, commit_seq, kind, entity_id, state, audience, orphans, suggestions = row
    told = {} if suggestions is None else decode_texts(suggestions)
    return FeedRow(seq, commit_seq, kind, entity_id, state, audience, orphans or (), told)
