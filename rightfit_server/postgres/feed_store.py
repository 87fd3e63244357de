"""What a pull reads from PostgreSQL.

A row concerns a subject if its audience shares a tag with it, or did so until a commit after the cursor.

Results are binary: a state as text would be twice as long, to write, to send and to read.
"""

from collections.abc import Collection
from typing import Any

from psycopg import AsyncCursor, sql
from psycopg.rows import TupleRow

from rightfit_server.ports.storage import FeedRow, Identity, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import columns, decode_texts
from rightfit_server.postgres.viewer import read_chains, read_viewer
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

_ROWS_AFTER = (
    sql.SQL("""
    SELECT {}
    FROM app.entities e
    WHERE e.seq > %(seq)s AND (
        e.audience && %(tags)s::text[]
        OR (e.lost_tags <> '{{}}' AND e.lost_tags ?| %(tags)s::text[])
    )
    ORDER BY e.seq LIMIT %(limit)s
""")
    .format(FEED_COLUMNS)
    .as_string()
)
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
        WHERE EXISTS (
            SELECT FROM (
                SELECT FROM app.changes WHERE transaction_id IS NOT NULL
                ORDER BY device_id, transaction_id LIMIT 1
            ) AS any_at_all
        )
    )
    ORDER BY e.seq
""")
    .format(FEED_COLUMNS)
    .as_string()
)


class PostgresFeed:
    """`ports.storage.FeedTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""
        return await read_viewer(self._connection, identity)

    async def chains(self, seqs: Collection[int]) -> dict[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""
        return await read_chains(self._connection, seqs)

    async def rows_after(self, seq: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows after `seq` that concern the subject, in order: visible, or gone from its sight.

        Whenever they went: what was lost before `seq`, and changed since by others, may not have been told yet, because
        the page that told of that change was cut before the place where the row stands now.
        """
        return await rows_found(await ask_rows_after(self._connection, seq, tags, limit))

    async def rows_below(self, start: int, end: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows with one of `tags` and `start < seq <= end`, in order."""
        return await self._rows(_ROWS_BELOW, (start, end, sorted(tags), limit))

    async def companions(
        self, keys: Collection[Key], after: int, end: int, tags: Collection[str]
    ) -> list[FeedRow]:
        """Return visible rows beyond `end` that a transaction later than `after` changed with `keys`."""
        return await self._rows(_COMPANIONS, (end, sorted(tags), *columns(keys), after))

    async def _rows(self, statement: str, parameters: tuple[object, ...]) -> list[FeedRow]:
        return await rows_found(await self._connection.execute(statement, parameters, binary=True))


async def ask_rows_after(
    connection: Connection, seq: int, tags: Collection[str], limit: int
) -> AsyncCursor[TupleRow]:
    """Ask for what `rows_after` returns; `rows_found` reads the answer, in a pipeline after its end."""
    parameters = {"seq": seq, "tags": sorted(tags), "limit": limit}
    return await connection.execute(_ROWS_AFTER, parameters, binary=True)


async def rows_found(found: AsyncCursor[TupleRow]) -> list[FeedRow]:
    """Return the rows that a statement with `FEED_COLUMNS` has found."""
    return [feed_row(row) for row in await found.fetchall()]


def feed_row(row: tuple[Any, ...]) -> FeedRow:
    """Return the row of the feed that `FEED_COLUMNS` describe."""
    seq, commit_seq, kind, entity_id, state, audience, orphans, suggestions = row
    told = {} if suggestions is None else decode_texts(suggestions)
    return FeedRow(seq, commit_seq, kind, entity_id, state, audience, orphans or (), told)
