"""F15, a full disk: a push is refused whole and reads go on, and once there is room the very same push is taken in;
nothing acknowledged is lost where PostgreSQL cannot even write its log and stops."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.embedded.postgres import EmbeddedPostgres, start_postgres
from rightfit_server.postgres import migrate
from rightfit_sync.wire.messages import SyncRequest
from tests.server.application import SCHEMA
from tests.server.collecting import check
from tests.server.full_disk import Disk, make_disk
from tests.server.unavailable import BACK_SECONDS_MAX, check_push_unavailable, is_served
from tests.server.world import Database, Phone, World, create_database, serving

pytestmark = pytest.mark.anyio

RECOVERY_SECONDS_MAX = 120

JOBS = 60
BEFORE = ("job", "before")
SEGMENTS_MAX = 12
"""How many segments of its log PostgreSQL may have made in advance."""


@pytest.fixture
def disk(reachable_directory: Path, postgres_server: EmbeddedPostgres) -> Disk:
    """A disk with room for the programs that the session's server runs, which every account can reach."""
    return make_disk(reachable_directory, postgres_server.programs)


@contextmanager
def running(home: Path, disk: Disk) -> Iterator[Database]:
    """Run the database; what it has answered survives its own end, if not a power cut."""
    settings = {"synchronous_commit": "on"}
    with start_postgres(home, durable=False, programs=disk.programs, settings=settings) as server:
        yield Database(server, "full")


def made(database: Database) -> None:
    create_database(database.server, database.name)
    migrate(database.owner_url, schema=SCHEMA)


def add_jobs(phone: Phone, name: str) -> SyncRequest:
    """Write more than there is room for in the pages that the tables have, and return the push of it."""
    for number in range(JOBS):
        phone.create(("job", f"{name}-{number}"), {"title": f"{number} " * 100, "notes": "x" * 500})
    return phone.request()


async def check_taken_in_once(phone: Phone, request: SyncRequest) -> None:
    """The very same push gets all its receipts, and the same again."""
    for _ in range(2):
        response = await phone.send(request)
        assert [receipt.dot for receipt in response.receipts] == [one.change.dot for one in request.changes]
        assert {receipt.outcome.status for receipt in response.receipts} == {"applied"}
    database = phone.world.database
    spent = database.rows(
        "SELECT counter FROM app.changes WHERE device_id = %s ORDER BY counter", [phone.device_id]
    )
    assert [counter for (counter,) in spent] == list(range(1, len(spent) + 1))
    phone.take(response)
    assert not phone.request().changes
    check(database)


async def test_F15_a_full_disk_refuses_a_push_whole_and_reads_go_on(
    disk: Disk, reachable_directory: Path
) -> None:
    home = reachable_directory / "pg"
    with running(home, disk) as database:
        made(database)
        async with serving(database) as world:
            office, other = world.office(), world.phone("olga")
            office.create(BEFORE, {"title": "before"})
            await office.settle()
            office.edit(BEFORE, {"title": "after"})
            push = add_jobs(office, "late")
            with disk.full(home / "data" / "base"):
                for _ in range(2):
                    await check_push_unavailable(office, push)
                await other.settle()
                assert other.held() == {BEFORE}
                assert other.view(BEFORE)["title"] == "before"
                answer = await other.get("/v1/entities/job/before")
                assert (answer.status_code, "after" in answer.text) == (200, False)
                assert database.rows("SELECT count(*) FROM app.changes") == [(1,)]
                assert "No space left on device" in (home / "server.log").read_text()
            await check_taken_in_once(office, push)
            await other.settle()
            assert other.held() == office.held() == {BEFORE, *(("job", f"late-{n}") for n in range(JOBS))}
            assert other.view(BEFORE)["title"] == "after"


async def test_F15_without_room_for_its_log_the_database_stops_and_loses_nothing(
    disk: Disk, reachable_directory: Path
) -> None:
    home = reachable_directory / "pg"
    with running(home, disk) as database:
        made(database)
    async with serving(database, pool_connections_min=0) as world:
        with running(home, disk):
            await until_ready(world)
            office = world.office()
            begin_segment(database)
            with disk.full(home / "data" / "pg_wal"):
                push = await fill_log(office)
                assert "PANIC" in (home / "server.log").read_text()
                await until_given_up(home)
                await check_push_unavailable(office, push)
        with running(home, disk):
            await until_ready(world)
            await check_taken_in_once(office, push)
            other = world.phone("olga")
            await other.settle()
            assert len(other.held()) == push.changes[-1].change.dot.counter


async def until_ready(world: World) -> None:
    """Return when requests are served again, which is soon."""
    with anyio.fail_after(BACK_SECONDS_MAX):
        while not await is_served(lambda: world.http.get("/health/ready")):
            await checkpoint()


async def until_given_up(home: Path) -> None:
    """Return when PostgreSQL has ended: without room it cannot recover either. How soon is its own affair."""
    with anyio.fail_after(RECOVERY_SECONDS_MAX):
        while (home / "data" / "postmaster.pid").exists():
            await checkpoint()


def begin_segment(database: Database) -> None:
    """Let the database go on in the next segment of its log, or stop where there is no room for one."""
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(database.superuser_url, autocommit=True) as connection,
    ):
        connection.execute("SELECT pg_switch_wal()")


async def fill_log(phone: Phone) -> SyncRequest:
    """Push, each time into a segment of its own, until one push is told to come back; return that one."""
    for number in range(SEGMENTS_MAX):
        request = add_jobs(phone, f"round-{number}")
        if not await is_served(lambda: phone.post("/v1/sync", request)):  # noqa: B023 - asked at once.
            return request
        await phone.settle()
        begin_segment(phone.world.database)
    raise AssertionError(f"the log has room for {SEGMENTS_MAX} segments")
