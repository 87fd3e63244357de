"""The unit of work: one transaction of one tenant.

The tenant is set with `set_config(…, true)`, quoted by libpq and for this transaction alone, so that
nothing is left on the connection when it goes back to the pool. What reads does so at one moment
(repeatable read, read only).

What is known beforehand travels as one pipeline, which PostgreSQL takes for one transaction until its end: one
round trip in place of four. A push is one pipeline from `BEGIN` to `COMMIT`, which waits where it must know something.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import errors, sql
from psycopg.pq import TransactionStatus

from rightfit_server.ports.storage import (
    ContentionError,
    Expected,
    Identity,
    ReadAhead,
    UnavailableError,
    Viewer,
)
from rightfit_server.postgres.accounts_store import PostgresDevices, note_seen
from rightfit_server.postgres.comparing_store import PostgresComparing
from rightfit_server.postgres.epoch import PostgresEpochs
from rightfit_server.postgres.feed_store import SET_READING, PostgresFeed, ask_expected, expected_found
from rightfit_server.postgres.ingest_store import PostgresIngest
from rightfit_server.postgres.pool import Connection, Pool, check_role
from rightfit_server.postgres.records_store import PostgresRecords
from rightfit_server.postgres.viewer import SET_TENANT, ask_viewer, viewer_found

_TENANT = "; SELECT set_config('app.tenant_id', {}, true)"
_BEGIN = sql.SQL("BEGIN" + _TENANT)
_BEGIN_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BEGIN_READING = sql.SQL(_BEGIN_MOMENT + _TENANT)
_IN_TRANSACTION = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_CONTENTION = (errors.SerializationFailure, errors.DeadlockDetected)
# PostgreSQL has ended the session; psycopg counts these as mistakes of its own (class 25 of SQLSTATE).
_ENDED = (errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout)


class PostgresStorage:
    """`ports.storage.Storage` on a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._is_checked = False

    async def open(self) -> None:
        """Open the pool and look at the role; raises `RoleError`, `UnavailableError`."""
        await self._pool.open(wait=False)
        async with _translated(), self._pool.connection() as connection:
            await self._check(connection)

    async def _check(self, connection: Connection) -> None:
        """Look at the role once: at the start, or when the database first answers."""
        if not self._is_checked:
            await check_role(connection)
            self._is_checked = True

    async def close(self) -> None:
        """Let all connections go."""
        await self._pool.close()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with _translated(), self._pool.connection(timeout=1) as connection:
            await connection.execute("SELECT 1")

    @asynccontextmanager
    async def ingest(self, tenant_id: str) -> AsyncIterator[PostgresIngest]:
        """Open a transaction that writes; raises `ContentionError` where another was quicker."""
        try:
            async with self._connection() as connection, connection.pipeline() as pipeline:
                yield PostgresIngest(connection, pipeline, tenant_id)
                # It travels with what is written. Where that fails, PostgreSQL passes over all that stands behind it.
                await connection.execute("COMMIT")
        except errors.UniqueViolation as taken:
            if taken.diag.table_name != "entities":
                raise
            # Another device created the same entity since it was looked for: now it can be seen.
            raise ContentionError(str(taken)) from taken

    @asynccontextmanager
    async def feed(self, identity: Identity, expected: Expected) -> AsyncIterator[PostgresFeed]:
        """Open a transaction that reads the feed at one moment, and with its beginning what is expected."""
        async with self._connection() as connection:
            async with connection.pipeline():
                await connection.execute(_BEGIN_MOMENT)
                await connection.execute(SET_READING, (identity.tenant_id,))
                asked = await ask_expected(connection, identity, expected)
            yield PostgresFeed(connection, expected, await expected_found(asked, identity))
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def comparing(self, tenant_id: str) -> AsyncIterator[PostgresComparing]:
        """Open a transaction that reads what replicas compare, at one moment."""
        async with self._transaction(tenant_id, _BEGIN_READING) as connection:
            yield PostgresComparing(connection)

    @asynccontextmanager
    async def epochs(self, tenant_id: str) -> AsyncIterator[PostgresEpochs]:
        """Open a transaction that may begin an epoch."""
        async with self._transaction(tenant_id) as connection:
            yield PostgresEpochs(connection, tenant_id)

    @asynccontextmanager
    async def records(self, tenant_id: str) -> AsyncIterator[PostgresRecords]:
        """Open a transaction that reads records at one moment."""
        async with self._transaction(tenant_id, _BEGIN_READING) as connection:
            yield PostgresRecords(connection)

    @asynccontextmanager
    async def devices(self, tenant_id: str) -> AsyncIterator[PostgresDevices]:
        """Open a transaction that writes about devices."""
        async with self._transaction(tenant_id) as connection:
            yield PostgresDevices(connection, tenant_id)

    async def glance(self, identity: Identity) -> Viewer:
        """Return what the caller may see, and nothing else; one statement, so of one moment."""
        async with _translated(), self._pool.connection() as connection:
            await self._check(connection)
            async with _at_once(connection, identity.tenant_id):
                found = await ask_viewer(connection, identity)
            return await viewer_found(found, identity)

    async def ahead(self, identity: Identity, expected: Expected) -> ReadAhead:
        """Return what the caller may see, and what it is expected to ask, of one moment."""
        async with _translated(), self._pool.connection() as connection:
            await self._check(connection)
            async with _at_once(connection, identity.tenant_id, is_moment=True):
                asked = await ask_expected(connection, identity, expected, is_all=True)
            return await expected_found(asked, identity)

    async def seen(self, identity: Identity, acknowledged_seq: int) -> None:
        """Note that the device was here, and up to which commit it has applied the feed."""
        async with _translated(), self._pool.connection() as connection:
            await self._check(connection)
            async with _at_once(connection, identity.tenant_id):
                await note_seen(connection, identity, acknowledged_seq)

    @asynccontextmanager
    async def _transaction(self, tenant_id: str, begin: sql.SQL = _BEGIN) -> AsyncIterator[Connection]:
        async with self._connection() as connection:
            # Two statements, one round trip; such a text cannot be prepared.
            await connection.execute(begin.format(sql.Literal(tenant_id)), prepare=False)
            yield connection
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Give a connection for one transaction, and roll back what breaks off."""
        async with _translated(), self._pool.connection() as connection:
            await self._check(connection)
            try:
                yield connection
            except BaseException:
                if connection.info.transaction_status in _IN_TRANSACTION:
                    # Not `execute("ROLLBACK")`: this one always forgets what psycopg believes to be prepared, and a
                    # pipeline that broke off leaves it believing in statements that the database never saw.
                    await connection.rollback()
                raise


@asynccontextmanager
async def _at_once(connection: Connection, tenant_id: str, *, is_moment: bool = False) -> AsyncIterator[None]:
    """Make one transaction of the tenant of the statements inside; their results can be read after it.

    Where several of them must see the same moment, they say so.
    """
    try:
        async with connection.pipeline():
            if is_moment:
                await connection.execute(_BEGIN_MOMENT)
            await connection.execute(SET_READING if is_moment else SET_TENANT, (tenant_id,))
            yield
            if is_moment:
                await connection.execute("COMMIT")
    except BaseException:
        # What broke off leaves psycopg believing in prepared statements that the database never saw.
        await connection.close()
        raise


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Raise what the ports know in place of what psycopg knows."""
    try:
        yield
    except _CONTENTION as contention:
        raise ContentionError(str(contention)) from contention
    except (errors.OperationalError, *_ENDED) as trouble:
        raise UnavailableError(str(trouble)) from trouble
