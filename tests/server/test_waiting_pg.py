"""Held requests and those with nothing to do: no commit is slept through, nobody is held for who has gone, and who has
everything already costs one round trip."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest

from rightfit_server.accounts.presence import Presence
from rightfit_server.ports.storage import Identity
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

    async def slowly(presence: Presence, identity: Identity, acknowledged_seq: int) -> None:
        await note(presence, identity, acknowledged_seq)
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


async def test_who_has_everything_is_answered_from_a_glance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = world.office(), world.phone("olga")
    writer.create(("job", "j1"), {"title": "x"})
    await writer.settle()
    await reader.settle()
    opened: list[str] = []
    feed = PostgresStorage.feed

    def opening(storage: PostgresStorage, tenant_id: str) -> object:
        opened.append(tenant_id)
        return feed(storage, tenant_id)

    monkeypatch.setattr(PostgresStorage, "feed", opening)
    before = reader.request().cursor
    page = page_of(await reader.round_trip())
    assert (page.rows, page.more, page.cursor, opened) == ([], False, before, [])
    writer.create(("job", "j2"), {"title": "x"})
    await writer.round_trip()
    opened.clear()
    page = page_of(await reader.round_trip())
    assert [row.entity.entity_id for row in page.rows] == ["j2"]
    assert opened == [TENANT]


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
