"""What PostgreSQL tells of single records: the entity, its history, open conflicts."""

from collections.abc import Collection

from psycopg import sql

from rightfit_server.ports.storage import ConflictRow, HistoryRow, Identity, StoredEntity, Viewer
from rightfit_server.postgres.pool import Connection
from rightfit_server.postgres.rows import STORED_COLUMNS, STORED_COLUMNS_COUNT, stored_entity
from rightfit_server.postgres.viewer import read_viewer
from rightfit_sync.ingest.snapshot import Key

_ENTITY = (
    sql.SQL("SELECT {} FROM app.entities e WHERE e.kind = %s AND e.entity_id = %s")
    .format(STORED_COLUMNS)
    .as_string()
)
_HISTORY = """
    SELECT commit_seq, ordinal, change::text, outcome::text, subject_id,
        (extract(epoch FROM received_at) * 1000)::bigint
    FROM app.changes
    WHERE kind = %s AND entity_id = %s AND (commit_seq, ordinal) > (%s, %s)
        AND (status IN ('applied', 'merged', 'conflicted') OR subject_id = %s)
    ORDER BY commit_seq, ordinal LIMIT %s
"""
_CONFLICTS = sql.SQL("""
    SELECT {}, c.conflict_id, c.path, c.suggestion, c.opened_seq, c.opened_by_device_id,
        (extract(epoch FROM c.opened_at) * 1000)::bigint, (extract(epoch FROM c.closed_at) * 1000)::bigint
    FROM app.conflicts c JOIN app.entities e ON e.kind = c.kind AND e.entity_id = c.entity_id
    WHERE e.audience && %s::text[] AND {}
""")
_IS_NEXT_OPEN = sql.SQL("""c.closed_at IS NULL AND (c.opened_seq, c.conflict_id) > (%s, %s)
    ORDER BY c.opened_seq, c.conflict_id LIMIT %s
""")
_OPEN = _CONFLICTS.format(STORED_COLUMNS, _IS_NEXT_OPEN).as_string()
_ONE = _CONFLICTS.format(STORED_COLUMNS, sql.SQL("c.conflict_id = %s")).as_string()


class PostgresRecords:
    """`ports.storage.RecordsTransaction` on one connection, inside its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""
        return await read_viewer(self._connection, identity)

    async def entity(self, key: Key) -> StoredEntity | None:
        """Return one entity."""
        cursor = await self._connection.execute(_ENTITY, key)
        row = await cursor.fetchone()
        return None if row is None else stored_entity(row)

    async def history(
        self, key: Key, subject_id: str, after: tuple[int, int], limit: int
    ) -> list[HistoryRow]:
        """Return accepted changes of one entity, and this subject's rejected ones, oldest first."""
        rows = await self._connection.execute(_HISTORY, (*key, *after, subject_id, limit))
        return [HistoryRow(*row) async for row in rows]

    async def open_conflicts(
        self, tags: Collection[str], after: tuple[int, str], limit: int
    ) -> list[ConflictRow]:
        """Return open conflicts of visible entities, oldest first.

        `after` is `(opened_seq, conflict_id)`.
        """
        rows = await self._connection.execute(_OPEN, (sorted(tags), *after, limit))
        return [_conflict(row) async for row in rows]

    async def conflict(self, conflict_id: str, tags: Collection[str]) -> ConflictRow | None:
        """Return one conflict of a visible entity."""
        cursor = await self._connection.execute(_ONE, (sorted(tags), conflict_id))
        row = await cursor.fetchone()
        return None if row is None else _conflict(row)


def _conflict(row: tuple[object, ...]) -> ConflictRow:
    conflict_id, path, suggestion, opened_seq, opened_by, opened_at, closed_at = row[STORED_COLUMNS_COUNT:]
    return ConflictRow(
        conflict_id=str(conflict_id),
        path=str(path),
        suggestion=None if suggestion is None else str(suggestion),
        opened_at=int(str(opened_at)),
        opened_seq=int(str(opened_seq)),
        opened_by_device_id=str(opened_by),
        stored=stored_entity(row[:STORED_COLUMNS_COUNT]),
        closed_at=None if closed_at is None else int(str(closed_at)),
    )
