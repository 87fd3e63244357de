"""Held requests and those with nothing to do: no commit is slept through, nobody is held for who has gone, and who has
everything already costs one round trip."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint
from psycopg.pq import TransactionStatus

from rightfit_server.accounts.presence import NOTED_WHILE_BUSY_SECONDS, Presence
from rightfit_server.ports.storage import Expected, Identity
from rightfit_server.postgres.transaction import PostgresStorage, _at_once
from rightfit_sync.wire.codec import MSGPACK, encode
from tests.server.test_feed_pg import page_of, until_somebody_waits
from tests.server.world import TENANT, Database, Phone, World, serving

pytestmark = pytest.mark.anyio

ENOUGH_SECONDS = 10
DIVIDE = "SELECT 1 / %s"
ADD = "SELECT 2 + %s"
PREPARED_AFTER = 5
"""How often psycopg sends a statement before it prepares it."""


@pytest.fixture
async def slow_world(database: Database, anyio_backend: str) -> AsyncIterator[World]:
    """A server that does not look for commits of other processes in time."""
    async with serving(database, poll_seconds=60) as running:
        yield running


async def test_a_commit_between_the_look_and_the_wait_is_not_slept_through(
    slow_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = slow_world.office()
    reader = slow_world.phone("olga")
    await reader.settle()
    writer.create(("job", "j1"), {"title": "x"})
    note, noted = Presence.note, asyncio.Event()

    async def slowly(
        presence: Presence, identity: Identity, acknowledged_seq: int, *, is_busy: bool = False
    ) -> None:
        await note(presence, identity, acknowledged_seq, is_busy=is_busy)
        if identity.device_id == reader.device_id:
            noted.set()
            await writer.round_trip()

    monkeypatch.setattr(Presence, "note", slowly)
    with anyio.fail_after(ENOUGH_SECONDS):
        page = page_of(await reader.send(reader.request(), wait=30))
    assert noted.is_set()
    assert [row.entity.entity_id for row in page.rows] == ["j1"]


async def test_a_request_is_not_held_for_a_caller_who_hung_up(slow_world: World) -> None:
    phone = slow_world.office()
    await phone.settle()
    body = encode(phone.request(), MSGPACK)
    hangs_up = asyncio.Event()
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:  # noqa: ANN401 - what ASGI says.
        if messages:
            return messages.pop()
        await hangs_up.wait()
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        return

    answering = asyncio.ensure_future(slow_world.app(scope(phone, len(body)), receive, send))  # type: ignore[arg-type]
    await until_somebody_waits(slow_world)
    hangs_up.set()
    with anyio.fail_after(ENOUGH_SECONDS):
        await answering
    assert slow_world.services.waiting._events == {}


def scope(phone: Phone, length: int) -> dict[str, Any]:
    """Return what an ASGI server says of a pull that may be held."""
    headers = {**phone.headers, "Content-Type": MSGPACK, "Content-Length": str(length)}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/sync",
        "raw_path": b"/v1/sync",
        "root_path": "",
        "query_string": b"wait=30",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenants of the transactions that were opened to read the feed."""
    tenants: list[str] = []
    feed = PostgresStorage.feed

    def opening(storage: PostgresStorage, identity: Identity, expected: Expected) -> object:
        tenants.append(identity.tenant_id)
        return feed(storage, identity, expected)

    monkeypatch.setattr(PostgresStorage, "feed", opening)
    return tenants


async def test_who_has_everything_is_answered_from_a_glance(world: World, opened: list[str]) -> None:
    writer, reader = world.office(), world.phone("olga")
    writer.create(("job", "j1"), {"title": "x"})
    await writer.settle()
    await reader.settle()
    opened.clear()
    before = reader.request().cursor
    page = page_of(await reader.round_trip())
    assert (page.rows, page.more, page.cursor, opened) == ([], False, before, [])
    writer.create(("job", "j2"), {"title": "x"})
    await writer.round_trip()
    assert opened == []
    page = page_of(await reader.round_trip())
    assert [row.entity.entity_id for row in page.rows] == ["j2"]
    assert opened == [TENANT]


async def test_who_is_woken_is_answered_from_what_was_read_ahead(
    slow_world: World, opened: list[str]
) -> None:
    writer, reader = slow_world.office(), slow_world.phone("olga")
    await reader.settle()
    await writer.settle()
    opened.clear()
    for number in range(3):
        held = asyncio.create_task(reader.send(reader.request(), wait=30))
        await until_somebody_waits(slow_world)
        writer.create(("job", f"j{number}"), {"title": "x"})
        await writer.round_trip()
        with anyio.fail_after(ENOUGH_SECONDS):
            response = await held
        reader.take(response)
        assert [row.entity.entity_id for row in page_of(response).rows] == [f"j{number}"]
    assert opened == []


async def test_who_needs_more_than_was_read_ahead_gets_it(slow_world: World, opened: list[str]) -> None:
    """More rows than were asked for, all of one commit; and, for another, rows that a new grant shows."""
    writer, reader = slow_world.office(), slow_world.phone("olga")
    slow_world.subject("carl", ["contractor:carl"])
    carl = slow_world.phone("carl")
    writer.create(("job", "j0"), {"title": "x"})
    for phone in (writer, reader, carl):
        await phone.settle()
    opened.clear()
    held = [
        asyncio.create_task(reader.send(reader.request(rows_max=1), wait=30)),
        asyncio.create_task(carl.send(carl.request(), wait=30)),
    ]
    while len(slow_world.services.waiting._events.get(TENANT, ())) < len(held):
        await checkpoint()
    slow_world.grant("carl", ["office"])
    for number in range(1, 4):
        writer.create(("job", f"j{number}"), {"title": "x"})
    await writer.round_trip()
    with anyio.fail_after(ENOUGH_SECONDS):
        page, granted = [page_of(await one) for one in held]
    assert [row.entity.entity_id for row in page.rows] == ["j1", "j2", "j3"]
    # Either had a transaction; one more is opened where somebody's first look falls between grant and push.
    assert len(opened) >= len(held)
    assert granted.tags == ["office"]
    # What was granted comes first, then what is new.
    reader.take(await held[0])
    carl.take(await held[1])
    await reader.settle()
    await carl.settle()
    assert reader.held() == carl.held() == writer.held()


async def test_what_is_read_ahead_is_for_the_tags_of_that_moment(
    slow_world: World, opened: list[str]
) -> None:
    writer = slow_world.office()
    slow_world.subject("carl", ["contractor:carl", "office"])
    carl = slow_world.phone("carl")
    for phone in (writer, carl):
        await phone.settle()
    opened.clear()
    held = asyncio.create_task(carl.send(carl.request(), wait=30))
    await until_somebody_waits(slow_world)
    slow_world.grant("carl", ["contractor:carl"])
    writer.create(("job", "j1"), {"title": "x"})
    await writer.round_trip()
    with anyio.fail_after(ENOUGH_SECONDS):
        page = page_of(await held)
    assert ([*page.rows], [*page.evicted], page.tags, opened) == ([], [], ["contractor:carl"], [])


async def test_what_is_read_ahead_is_of_one_moment(database: Database) -> None:
    async with serving(database) as world:
        world.office()
        storage = world.services.storage
        assert isinstance(storage, PostgresStorage)
        async with storage._pool.connection() as connection:
            async with _at_once(connection, TENANT, is_moment=True):
                isolation = await connection.execute("SHOW transaction_isolation")
                reading = await connection.execute("SHOW transaction_read_only")
            assert await isolation.fetchone() == ("repeatable read",)
            assert await reading.fetchone() == ("on",)
            assert connection.info.transaction_status is TransactionStatus.IDLE


def acknowledged(world: World, phone: Phone) -> tuple[int, int]:
    """Return how far a device has noted to have read, and how far there is to read."""
    rows = world.database.rows(
        "SELECT acknowledged_seq, head FROM app.devices, app.tenants WHERE device_id = %s", (phone.device_id,)
    )
    return rows[0]  # type: ignore[no-any-return]


async def test_where_a_device_stands_is_noted_when_things_are_quiet(world: World) -> None:
    writer, reader = world.office(), world.phone("olga")
    await reader.settle()
    writer.create(("job", "j1"), {"title": "x"})
    await writer.round_trip()
    await reader.round_trip()
    noted, head = acknowledged(world, reader)
    assert noted < head
    held = asyncio.create_task(reader.send(reader.request(), wait=30))
    with anyio.fail_after(ENOUGH_SECONDS):
        while noted < head:
            await checkpoint()
            noted, head = acknowledged(world, reader)
    held.cancel()


async def test_where_a_device_stands_is_noted_now_and_then_while_news_follows_news(
    slow_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1_000.0
    monkeypatch.setattr(slow_world.services.presence, "_clock", lambda: seconds)
    writer, reader = slow_world.office(), slow_world.phone("olga")
    await reader.settle()
    noted: list[int] = []
    for number in range(4):
        if number == 2:
            seconds += NOTED_WHILE_BUSY_SECONDS
        held = asyncio.create_task(reader.send(reader.request(), wait=30))
        await until_somebody_waits(slow_world)
        writer.create(("job", f"j{number}"), {"title": "x"})
        await writer.round_trip()
        with anyio.fail_after(ENOUGH_SECONDS):
            reader.take(await held)
        noted.append(acknowledged(slow_world, reader)[0])
    assert noted[0] == noted[1] < noted[2] == noted[3]


async def test_T04_a_glance_leaves_neither_tenant_nor_setting_on_its_connection(database: Database) -> None:
    async with serving(database, pool_connections_max=1) as world:
        phone, storage = world.office(), world.services.storage
        assert isinstance(storage, PostgresStorage)
        async with storage._pool.connection() as connection:
            await connection.execute("SET synchronous_commit = 'local'")
        for _ in range(PREPARED_AFTER + 2):
            viewer = await storage.glance(phone.identity)
            await storage.seen(phone.identity, 0)
            assert viewer.tags == {"office"}
            async with storage._pool.connection() as connection:
                asked = await connection.execute("SHOW synchronous_commit")
                assert await asked.fetchone() == ("local",)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no tenant is set"):
                    await connection.execute("SELECT FROM app.devices")


async def test_no_statement_is_believed_prepared_after_a_broken_glance(database: Database) -> None:
    async with serving(database, pool_connections_max=1) as world:
        world.office()
        storage = world.services.storage
        assert isinstance(storage, PostgresStorage)

        async def work(divisor: int = 1) -> None:
            async with storage._pool.connection() as connection, _at_once(connection, TENANT):
                await connection.execute(DIVIDE, (divisor,))
                await connection.execute(ADD, (divisor,))

        for _ in range(PREPARED_AFTER):
            await work()
        with pytest.raises(psycopg.errors.DivisionByZero):
            await work(0)
        await work()
