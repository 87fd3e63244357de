"""F15, sessions that idle inside a transaction: our own are ended, and whoever waits behind another's is told soon to
come back, while reads go on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.ports.application import Effect
from rightfit_server.ports.storage import UnavailableError
from rightfit_sync.records import Change, Entity
from tests.server.application import TestApplication
from tests.server.collecting import check
from tests.server.unavailable import (
    ANSWER_SECONDS_MAX,
    AS_SHIPPED,
    BACK_SECONDS_MAX,
    check_push_unavailable,
    check_unavailable,
)
from tests.server.world import TENANT, Database, Phone, World, serving

pytestmark = pytest.mark.anyio

BOILER, TAP = ("job", "boiler"), ("job", "tap")
IDLE = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rightfit'
        AND state LIKE 'idle in transaction%'
"""


def idle_sessions(connection: psycopg.Connection) -> int:
    row = connection.execute(IDLE).fetchone()
    assert row is not None
    return int(row[0])


class SlowApplication(TestApplication):
    """Thinks about the tap until PostgreSQL has ended the session of the push."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self.ended = 0

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        if (change.kind, change.entity_id) == TAP and not self.ended:
            with psycopg.connect(self._database.superuser_url, autocommit=True) as connection:
                self.ended = idle_sessions(connection)
                while idle_sessions(connection):
                    pass
        return super().effects(before, after, change)


async def test_F15_a_request_that_idles_in_its_transaction_is_ended_and_told_to_come_back(
    database: Database,
) -> None:
    application = SlowApplication(database)
    async with serving(database, application, statement_timeout_seconds=0.5, pool_connections_max=1) as world:
        office = world.office()
        office.create(TAP, {"title": "x"})
        await check_push_unavailable(office, office.request())
        assert application.ended == 1
        with anyio.fail_after(BACK_SECONDS_MAX):
            await office.settle()
        assert office.held() == {TAP}
        check(database)


@asynccontextmanager
async def idling(world: World, phone: Phone) -> AsyncIterator[None]:
    """Hold the boiler in a transaction of the service until PostgreSQL ends its session, and find that out."""
    with (  # noqa: PT012 - the end of the session is met wherever the connection is used next, or let go.
        psycopg.connect(world.database.superuser_url, autocommit=True) as connection,
        pytest.raises(UnavailableError),
    ):
        async with world.services.storage.ingest(TENANT) as transaction:
            await transaction.viewer(phone.identity)
            await transaction.lock([BOILER])
            assert idle_sessions(connection) == 1
            yield
            with anyio.fail_after(BACK_SECONDS_MAX):
                while idle_sessions(connection):
                    await checkpoint()
            await transaction.lock([BOILER])


async def office_with_boiler(world: World) -> Phone:
    """Return a phone that has a change of the boiler to send, which the server knows."""
    office = world.office()
    office.create(BOILER, {"title": "x"})
    await office.settle()
    office.edit(BOILER, {"title": "y"})
    return office


async def check_pool_is_back(world: World, office: Phone) -> None:
    """As many requests as there may be connections are served at once, and the change is there."""
    with anyio.fail_after(BACK_SECONDS_MAX):
        await office.settle()
        async with anyio.create_task_group() as group:
            for _ in range(world.services.settings.pool_connections_max):
                group.start_soon(world.phone("olga").settle)
    assert office.view(BOILER)["title"] == "y"
    check(world.database)


async def test_F15_as_shipped_the_pool_is_back_in_time(
    database: Database,
) -> None:
    async with serving(database, lock_timeout_seconds=AS_SHIPPED) as world:
        pool = world.services.storage._pool  # type: ignore[attr-defined]
        async with pool.connection() as connection:
            shown = await connection.execute(
                "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
            )
            (limit_ms,) = await shown.fetchone()
    assert 0 < limit_ms < BACK_SECONDS_MAX * 1000
    # The pool never waits longer than this between two attempts to connect.
    assert pool.reconnect_timeout < BACK_SECONDS_MAX


async def test_F15_whoever_waits_for_a_session_that_idles_gets_through_when_it_is_ended(
    database: Database,
) -> None:
    async with serving(database, statement_timeout_seconds=0.6, lock_timeout_seconds=0.6) as world:
        office = await office_with_boiler(world)
        async with idling(world, office):
            with anyio.fail_after(ANSWER_SECONDS_MAX):
                response = await office.post("/v1/sync", office.request())
            assert response.status_code in (200, 503)
        await check_pool_is_back(world, office)


async def test_F15_whoever_waits_too_long_for_a_session_that_idles_is_told_to_come_back(
    database: Database,
) -> None:
    async with serving(database, statement_timeout_seconds=1, lock_timeout_seconds=0.2) as world:
        office = await office_with_boiler(world)
        async with idling(world, office):
            await check_push_unavailable(office, office.request())
        await check_pool_is_back(world, office)


@pytest.mark.parametrize(
    ("lock", "lock_seconds"),
    [
        ("SELECT FROM app.tenants FOR UPDATE", AS_SHIPPED),
        ("SELECT FROM app.entities FOR UPDATE", 0.3),
        ("SELECT FROM app.devices FOR UPDATE", 0.3),
        ("LOCK TABLE app.entities IN EXCLUSIVE MODE", 0.3),
    ],
)
async def test_F15_behind_the_lock_of_an_idle_operator_pushes_say_come_back_and_reads_go_on(
    database: Database, lock: str, lock_seconds: float
) -> None:
    async with serving(database, lock_timeout_seconds=lock_seconds) as world:
        office, other = await office_with_boiler(world), world.phone("olga")
        with psycopg.connect(database.superuser_url) as operator:
            operator.execute(lock.encode())
            push = office.request()
            await check_push_unavailable(office, push)
            with anyio.fail_after(ANSWER_SECONDS_MAX):
                await other.settle()
            assert other.view(BOILER)["title"] == "x"
            assert (await other.get("/v1/entities/job/boiler")).status_code == 200
        response = await office.send(push)
        assert [receipt.outcome.status for receipt in response.receipts] == ["applied"]
        await other.settle()
        assert other.view(BOILER)["title"] == "y"
        await check_pool_is_back(world, office)


async def test_F15_behind_a_table_that_nobody_may_read_reads_say_come_back_too(database: Database) -> None:
    async with serving(database, lock_timeout_seconds=AS_SHIPPED) as world:
        office = await office_with_boiler(world)
        with psycopg.connect(database.superuser_url) as operator:
            operator.execute("LOCK TABLE app.entities")
            await check_unavailable(lambda: office.get("/v1/entities/job/boiler"))
        await check_pool_is_back(world, office)
