"""The unit of work: what a transaction that broke off leaves behind on its connection, which is nothing."""

import psycopg
import pytest

from rightfit_server.ports.storage import Storage
from rightfit_server.postgres.pool import Connection
from tests.server.world import TENANT, Database, serving

pytestmark = pytest.mark.anyio

DIVIDE = "SELECT 1 / %s"
ADD = "SELECT 2 + %s"
PREPARED_AFTER = 5
"""How often psycopg sends a statement before it prepares it."""


class UndoneError(Exception):
    """The work was broken off."""


async def work(storage: Storage, divisor: int = 1, *, is_undone: bool = False) -> None:
    """Send two statements down one pipeline; the first fails for a divisor of 0."""
    async with storage.ingest(TENANT) as transaction:
        connection: Connection = transaction._connection  # type: ignore[attr-defined]
        async with connection.pipeline(), connection.cursor() as cursor:
            await cursor.execute(DIVIDE, (divisor,))
            await cursor.execute(ADD, (divisor,))
        if is_undone:
            raise UndoneError


async def test_no_statement_is_believed_prepared_that_a_broken_pipeline_never_sent(
    database: Database,
) -> None:
    """psycopg counts a statement as prepared when it queues it; behind one that fails, it never gets there."""
    async with serving(database, pool_connections_max=1) as world:
        storage = world.services.storage
        with pytest.raises(UndoneError):
            await work(storage, is_undone=True)
        for _ in range(PREPARED_AFTER - 1):
            await work(storage)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await work(storage, 0)
        await work(storage)
