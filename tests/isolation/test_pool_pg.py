"""T04: a small pool, many requests of two tenants, some of them cancelled midway: nobody ever sees the
other's rows."""

import asyncio
from random import Random

import pytest
from anyio.lowlevel import checkpoint

from rightfit_sync.wire.messages import SyncRequest
from tests.server.world import Database, Phone, World, serving

pytestmark = pytest.mark.anyio
REQUESTS = 10_000
AT_ONCE = 20


async def test_T04_ten_thousand_requests_over_a_pool_of_two_leak_nothing(database: Database) -> None:
    random = Random(4)
    async with serving(
        database, pool_connections_max=2, pool_waiting_max=0, pool_timeout_seconds=60
    ) as world:
        phones = [world.office("olga", "one"), world.office("otto", "two")]
        for phone in phones:
            for number in range(3):
                phone.create(("job", f"j{number}"), {"title": phone.identity.tenant_id})
            await phone.settle()
        request = SyncRequest(1, 1, rows_max=5)
        counted = {"answered": 0, "cancelled": 0}

        async def ask(phone: Phone) -> None:
            page = (await phone.send(request, "/v1/pull")).page
            assert page is not None
            titles = {row.entity.fields["title"][0].value for row in page.rows}
            assert titles == {phone.identity.tenant_id}
            counted["answered"] += 1

        async def some(number: int) -> None:
            for _ in range(number):
                task = asyncio.create_task(ask(random.choice(phones)))
                if random.random() < 0.2:
                    for _ in range(random.randrange(12)):
                        await checkpoint()
                    if task.cancel():
                        counted["cancelled"] += 1
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(some(REQUESTS // AT_ONCE))
        assert counted["cancelled"] > REQUESTS * 0.15
        assert counted["answered"] > REQUESTS * 0.75
        await asyncio.gather(*(ask(phone) for phone in phones))
        await nothing_is_left_on_a_connection(world)


async def nothing_is_left_on_a_connection(world: World) -> None:
    pool = world.services.storage._pool  # type: ignore[attr-defined]
    held = [await pool.getconn() for _ in range(2)]
    for connection in held:
        left = await (await connection.execute("SELECT current_setting('app.tenant_id', true)")).fetchone()
        assert left in (("",), (None,))
        await pool.putconn(connection)
