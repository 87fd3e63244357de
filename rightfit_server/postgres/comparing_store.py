"""What replicas compare their copies with, in PostgreSQL: sums of buckets, lists of rows, rows.

A row's digest is that of its state with the tags through which the subject sees it; `rightfit_sync.digests` says how,
and is repeated here in SQL, so that a bucket of any size costs one number. Tags are sorted byte by byte, which is how
code points sort; all text is digested as UTF-8.
"""

from collections.abc import Collection

from psycopg import sql

from rightfit_server.ports.storage import FeedRow, Identity, Viewer
from rightfit_server.postgres.feed_store import FEED_COLUMNS, feed_row
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import columns
from rightfit_server.postgres.viewer import read_chains, read_viewer
from rightfit_sync.digests import Bucket, Listed
from rightfit_sync.ingest.snapshot import Key

ROW_DIGEST = sql.SQL(r"""md5(convert_to(e.digest || coalesce((
            SELECT string_agg(E'\x1f' || v.tag, '' ORDER BY convert_to(v.tag, 'UTF8'))
            FROM (SELECT DISTINCT a.tag FROM unnest(e.audience) AS a (tag) WHERE a.tag = ANY (%(tags)s)) AS v
        ), ''), 'UTF8'))""")
"""`digests.row_digest` of `app.entities e` for a subject that holds `%(tags)s`."""

# 'g' sorts after every hexadecimal digit, so that the rows under a prefix are a range.
_UNDER = sql.SQL("""
    FROM unnest(%(prefixes)s::text[]) AS p (prefix) {} JOIN LATERAL (
        SELECT e.kind, e.entity_id, {} AS digest
        FROM app.entities e
        WHERE e.place >= p.prefix AND e.place < p.prefix || 'g' AND e.audience && %(tags)s::text[]
    ) AS r ON true
""")
_BUCKETS = (
    sql.SQL("""
    SELECT p.prefix, count(r.digest), md5(coalesce(string_agg(r.digest, '' ORDER BY r.digest COLLATE "C"), ''))
    {}
    GROUP BY p.prefix
""")
    .format(_UNDER.format(sql.SQL("LEFT"), ROW_DIGEST))
    .as_string()
)
_LISTED = (
    sql.SQL("SELECT DISTINCT r.kind, r.entity_id, r.digest {} LIMIT %(limit)s")
    .format(_UNDER.format(sql.SQL(""), ROW_DIGEST))
    .as_string()
)
_ROWS = (
    sql.SQL("""
    SELECT {}
    FROM unnest(%s::text[], %s::text[]) AS k (kind, entity_id)
        JOIN app.entities e ON e.kind = k.kind AND e.entity_id = k.entity_id
    WHERE e.audience && %s::text[]
""")
    .format(FEED_COLUMNS)
    .as_string()
)


class PostgresComparing:
    """`ports.storage.ComparingTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""
        return await read_viewer(self._connection, identity)

    async def chains(self, seqs: Collection[int]) -> dict[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""
        return await read_chains(self._connection, seqs)

    async def buckets(self, prefixes: Collection[str], tags: Collection[str]) -> list[Bucket]:
        """Return the bucket of each prefix, as far as a subject with `tags` sees it."""
        parameters = {"prefixes": list(prefixes), "tags": sorted(tags)}
        rows = await self._connection.execute(_BUCKETS, parameters)
        return [Bucket(prefix, count, total) async for prefix, count, total in rows]

    async def listed(self, prefixes: Collection[str], tags: Collection[str], limit: int) -> list[Listed]:
        """Return at most `limit` rows of these buckets."""
        parameters = {"prefixes": list(prefixes), "tags": sorted(tags), "limit": limit}
        rows = await self._connection.execute(_LISTED, parameters)
        return [Listed(kind, entity_id, digest) async for kind, entity_id, digest in rows]

    async def rows(self, keys: Collection[Key], tags: Collection[str]) -> list[FeedRow]:
        """Return those of `keys` that are there and visible."""
        rows = await self._connection.execute(_ROWS, (*columns(keys), sorted(tags)))
        return [feed_row(row) async for row in rows]
