"""The unit of work: what a transaction that broke off leaves behind on its connection, which is nothing."""

import anyio
import psycopg
import pytest

from rightfit_server.ports.storage import Identity
from rightfit_server.postgres.pool import Connection
from tests.server.world import TENANT, Database, World, serving

pytestmark = pytest.mark.anyio

DIVIDE = "SELECT 1 / %s"
ADD = "SELECT 2 + %s"
PREPARED_AFTER = 5
"""How often psycopg sends a statement before it prepares it."""
LONG = 20_000_000
SECONDS_MAX = 20


class UndoneError(Exception):
    """The work was broken off."""


async def work(world: World, identity: Identity, divisor: int = 1, *, is_undone: bool = False) -> None:
    """Send two statements down one pipeline; the first fails for a divisor of 0."""
    async with world.services.storage.ingest(TENANT) as transaction:
        await transaction.viewer(identity)
        connection: Connection = transaction._connection  # type: ignore[attr-defined]
        await connection.execute(DIVIDE, (divisor,))
        await connection.execute(ADD, (divisor,))
        if is_undone:
            raise UndoneError


async def test_no_statement_is_believed_prepared_that_a_broken_pipeline_never_sent(
    database: Database,
) -> None:
    """psycopg counts a statement as prepared when it queues it; behind one that fails, it never gets there."""
    async with serving(database, pool_connections_max=1) as world:
        identity = world.office().identity
        with pytest.raises(UndoneError):
            await work(world, identity, is_undone=True)
        for _ in range(PREPARED_AFTER - 1):
            await work(world, identity)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await work(world, identity, 0)
        await work(world, identity)


async def test_a_question_too_long_for_the_socket_is_answered(database: Database) -> None:
    """psycopg waits for answers alone once it has brought a pipeline in line, also to what has not left entirely."""
    async with serving(database) as world:
        identity = world.office().identity
        async with world.services.storage.ingest(TENANT) as transaction:
            await transaction.viewer(identity)
            with anyio.fail_after(SECONDS_MAX):
                assert await transaction.lock([("job", "x" * LONG)]) == {}
