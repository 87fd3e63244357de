"""Health, and what is answered while the database is out of reach: 503 with Retry-After, soon, and back
by itself."""

import time
from pathlib import Path

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.bootstrap import build_app, load_application
from rightfit_server.embedded.postgres import start_postgres
from rightfit_server.ports.storage import Identity
from rightfit_server.postgres import administration, migrate
from rightfit_server.postgres.pool import RoleError
from rightfit_server.settings import SettingsError
from rightfit_sync.wire.messages import SyncRequest
from tests.server.application import APPLICATION, SCHEMA
from tests.server.world import Database, Phone, World, create_database, serving

pytestmark = pytest.mark.anyio


async def test_alive_and_ready(world: World) -> None:
    assert (await world.http.get("/health/live")).json() == {"status": "live"}
    assert (await world.http.get("/health/ready")).json() == {"status": "ready"}


async def test_F15_while_the_database_is_gone_everything_says_come_back(reachable_directory: Path) -> None:
    with start_postgres(reachable_directory / "pg", durable=False) as server:
        create_database(server, "gone")
        database = Database(server, "gone")
        migrate(database.owner_url, schema=SCHEMA)
        with psycopg.connect(database.owner_url) as connection:
            administration.create_tenant(connection, "acme")
            administration.create_subject(connection, "acme", "olga", ["office"])
    async with serving(database, pool_timeout_seconds=0.5, pool_connections_min=0) as world:
        phone = Phone(world, Identity("acme", "olga", "olga-phone"))
        for ask in (
            lambda: world.http.get("/health/ready"),
            lambda: phone.post("/v1/sync", SyncRequest(1, 1)),
        ):
            started = time.monotonic()
            response = await ask()
            assert time.monotonic() - started < 2
            assert (response.status_code, response.json()["code"]) == (503, "unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert (await world.http.get("/health/live")).status_code == 200
        with start_postgres(reachable_directory / "pg", durable=False) as server:
            with psycopg.connect(database.owner_url) as connection:
                administration.create_device(connection, "acme", "olga", "olga-phone")
            with anyio.fail_after(10):
                while (await world.http.get("/health/ready")).status_code != 200:
                    await checkpoint()
            phone.create(("job", "j1"), {"title": "x"})
            await phone.settle()
            assert phone.held() == {("job", "j1")}


async def test_F15_a_pool_that_is_used_up_says_come_back(world: World) -> None:
    phone = world.office()
    pool = world.services.storage._pool  # type: ignore[attr-defined]
    held = [await pool.getconn() for _ in range(4)]
    started = time.monotonic()
    response = await phone.post("/v1/sync", SyncRequest(1, 1))
    assert time.monotonic() - started < 2
    assert response.status_code == 503
    for connection in held:
        await pool.putconn(connection)
    assert (await phone.post("/v1/sync", SyncRequest(1, 1))).status_code == 200


async def test_F15_a_statement_that_takes_too_long_is_ended(database: Database) -> None:
    async with serving(database, statement_timeout_seconds=0.2) as world:
        phone = world.office()
        phone.create(("job", "j1"), {"title": "x"})
        with psycopg.connect(database.superuser_url) as blocker:
            blocker.execute("LOCK TABLE app.entities")
            response = await phone.post("/v1/sync", phone.request())
            assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        await phone.settle()
        assert phone.held() == {("job", "j1")}


async def test_the_service_refuses_a_role_that_sees_past_the_walls(database: Database) -> None:
    for url in (database.superuser_url, database.owner_url):
        app = build_app(database.settings(database_url=url), APPLICATION)
        with pytest.raises(BaseExceptionGroup) as refused:
            async with app.lifespan():
                pass
        assert refused.group_contains(RoleError)


async def test_a_fault_of_ours_says_nothing_of_the_inside(
    capsys: pytest.CaptureFixture[str], world: World
) -> None:
    phone = world.office()
    with psycopg.connect(world.database.superuser_url) as connection:
        connection.execute("ALTER TABLE app.entities RENAME TO gone")
    response = await phone.get("/v1/entities/job/j1")
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert "entities" not in response.text
    logged = capsys.readouterr().err
    assert "UndefinedTable" in logged
    assert phone.token not in logged


def test_an_application_is_loaded_by_name() -> None:
    assert load_application("tests.server.application:APPLICATION").schema == SCHEMA
    for name in ("nowhere", "nowhere:APPLICATION", "tests.server.application:NOTHING"):
        with pytest.raises(SettingsError, match=r"nowhere|NOTHING"):
            load_application(name)


def test_what_is_missing_is_named(database: Database) -> None:
    with pytest.raises(SettingsError, match="RIGHTFIT_DATABASE_URL"):
        build_app(database.settings(database_url=""), APPLICATION)
    with pytest.raises(SettingsError, match="RIGHTFIT_SIGNING_KEYS"):
        build_app(database.settings(signing_keys=""), APPLICATION)
