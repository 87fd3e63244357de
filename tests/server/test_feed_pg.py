"""The feed: nothing is missed under concurrent writers, transactions travel whole, long pulls resume,
waiting works."""

import asyncio
import time

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.postgres import administration
from rightfit_sync.causality.dot import Dot
from rightfit_sync.feed import Page
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.records import Change, Patch
from rightfit_sync.wire.messages import SyncRequest
from tests.server.world import TENANT, Phone, World

pytestmark = pytest.mark.anyio


def page_of(response: object) -> Page:
    page = getattr(response, "page", None)
    assert isinstance(page, Page)
    return page


async def test_a_reader_misses_nothing_while_many_write(world: World) -> None:
    reader = world.office()
    writers = [world.phone("olga") for _ in range(6)]
    done = 0

    async def write(phone: Phone) -> None:
        nonlocal done
        for number in range(25):
            for part in range(4):
                phone.create(("job", f"{phone.device_id}-{number}-{part}"), {"title": "x"})
            await phone.round_trip()
        done += 1

    async def read() -> None:
        while done < len(writers):
            await reader.round_trip(rows_max=50)
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for phone in writers:
            group.start_soon(write, phone)
    await reader.settle()
    assert len(reader.held()) == 6 * 25 * 4


async def test_sequence_numbers_have_no_holes_and_commits_chain(world: World) -> None:
    phone = world.office()
    for number in range(5):
        phone.create(("job", f"j{number}"), {"title": "x"})
        phone.create(("site", f"s{number}"), {"name": "x"})
        await phone.settle()
    rows = world.database.rows("SELECT seq, commit_seq FROM app.entities ORDER BY seq")
    head = world.database.rows("SELECT head, chain FROM app.tenants")
    commits = world.database.rows("SELECT seq, chain FROM app.commits ORDER BY seq")
    assert [seq for seq, _ in rows] == list(range(2, 12))
    assert head == [commits[-1]]
    assert len({chain for _, chain in commits}) == len(commits)


async def test_a_transaction_is_never_cut_in_half_by_a_page(world: World) -> None:
    phone, reader = world.office(), world.phone("olga")
    for number in range(6):
        phone.create(("job", f"j{number}"), {"title": "old"})
        await phone.settle()
    for number in range(6):
        phone.edit(("job", f"j{number}"), {"title": "new"}, "all at once")
    await phone.settle()
    for number in (1, 3, 5):
        phone.edit(("job", f"j{number}"), {"cost_pence": 1})
        await phone.settle()
    first = page_of(await reader.round_trip(rows_max=1))
    assert {row.entity.entity_id for row in first.rows} == {f"j{number}" for number in range(6)}
    assert {reader.view(key)["title"] for key in reader.held()} == {"new"}
    await reader.settle(rows_max=1)
    assert reader.view(("job", "j5"))["cost_pence"] == 1


async def test_transactions_that_touch_each_other_travel_together(world: World) -> None:
    phone, reader = world.office(), world.phone("olga")
    for number in range(4):
        phone.create(("job", f"j{number}"), {"title": "old"})
    await phone.settle()
    await reader.settle()
    for first, second in ((0, 1), (1, 2), (2, 3)):
        phone.edit(("job", f"j{first}"), {"title": f"t{first}"}, f"t{first}")
        phone.edit(("job", f"j{second}"), {"cost_pence": first}, f"t{first}")
        await phone.settle()
    page = page_of(await reader.round_trip(rows_max=1))
    assert {row.entity.entity_id for row in page.rows} == {"j0", "j1", "j2", "j3"}


async def test_what_left_ones_sight_and_has_moved_on_is_told_by_a_later_page(world: World) -> None:
    office = world.office()
    world.subject("carl", ["contractor:carl"])
    carl = world.phone("carl")
    jobs = [("job", "j1"), ("job", "j2")]
    for key in jobs:
        office.create(key, {"title": "old", "contractor": "carl"})
    await office.settle()
    await carl.settle()
    assert carl.held() == set(jobs)
    for key in jobs:
        office.edit(key, {"contractor": "dora"}, "both at once")
    await office.settle()
    office.edit(jobs[1], {"title": "new"})
    await office.settle()
    await carl.settle(rows_max=1)
    assert carl.held() == set()


async def test_fifty_thousand_records_stream_in_pages_and_resume_where_they_stopped(world: World) -> None:
    writer, reader = world.office(), world.phone("olga")
    total, per_push = 50_000, 1_000
    for start in range(0, total, per_push):
        changes = [
            Change(
                Dot(writer.device_id, number),
                "contact",
                f"c{number}",
                "create",
                patches={"name": Patch(value="Eve")},
            )
            for number in range(start + 1, start + per_push + 1)
        ]
        await writer.send(SyncRequest(1, 1, [Pushed(one, "0" * 32) for one in changes], rows_max=0))
    cursor, seen, remaining = None, set(), []
    while True:
        request = SyncRequest(1, 1, cursor=cursor, rows_max=2000)
        page = page_of(await reader.send(request))
        if len(seen) == 10_000:
            # The answer was lost, say: the same cursor leads to the same rows.
            assert [row.seq for row in page_of(await reader.send(request)).rows] == [
                row.seq for row in page.rows
            ]
        assert len(page.rows) <= 2000
        assert seen.isdisjoint(row.entity.entity_id for row in page.rows)
        seen |= {row.entity.entity_id for row in page.rows}
        remaining.append(page.remaining)
        cursor = page.cursor
        if not page.more:
            break
    assert len(seen) == total
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[0] >= 40_000
    assert remaining[-1] == 0


async def test_waiting_ends_with_a_commit_of_this_process(world: World) -> None:
    phone, waiting = world.office(), world.phone("olga")
    await waiting.settle()
    phone.create(("job", "j1"), {"title": "x"})
    held = asyncio.create_task(waiting.send(waiting.request(), wait=30))
    await until_somebody_waits(world)
    started = time.monotonic()
    await phone.round_trip()
    page = page_of(await held)
    assert [row.entity.entity_id for row in page.rows] == ["j1"]
    assert time.monotonic() - started < 5


async def test_waiting_sees_a_commit_of_another_process_and_a_change_of_grants(world: World) -> None:
    world.office()
    world.subject("carl", [])
    waiting = world.phone("carl")
    await waiting.settle()
    held = asyncio.create_task(waiting.send(waiting.request(), wait=30))
    await until_somebody_waits(world)
    world.grant("carl", ["contractor:carl"])
    assert page_of(await held).tags == ["contractor:carl"]


async def test_waiting_is_not_ended_by_what_concerns_others(world: World) -> None:
    office = world.office()
    world.subject("carl", ["contractor:carl"])
    carl = world.phone("carl")
    await carl.settle()
    held = asyncio.create_task(carl.send(carl.request(), wait=1.5))
    await until_somebody_waits(world)
    started = time.monotonic()
    office.create(("job", "j1"), {"title": "x"})
    await office.round_trip()
    page = page_of(await held)
    assert page.rows == []
    assert time.monotonic() - started > 1
    assert world.services.waiting._events == {}


async def test_a_change_of_grants_is_news_only_once(world: World) -> None:
    world.office()
    world.subject("carl", ["contractor:carl"])
    carl = world.phone("carl")
    await carl.settle()
    world.grant("carl", [])
    await carl.settle()
    started = time.monotonic()
    await carl.send(carl.request(), wait=1)
    assert time.monotonic() - started > 0.9


async def test_waiting_ends_when_the_process_is_to_end(world: World) -> None:
    phone = world.office()
    await phone.settle()
    held = asyncio.create_task(phone.send(phone.request(), wait=30))
    await until_somebody_waits(world)
    started = time.monotonic()
    world.services.waiting.close()
    await held
    assert time.monotonic() - started < 5


async def until_somebody_waits(world: World) -> None:
    with anyio.fail_after(10):
        while not world.services.waiting._events:
            await checkpoint()


async def test_how_far_a_device_has_read_is_noted(world: World) -> None:
    phone = world.office()
    phone.create(("job", "j1"), {"title": "x"})
    await phone.settle()
    await phone.settle()
    ((acknowledged, head),) = world.database.rows(
        "SELECT acknowledged_seq, head FROM app.devices, app.tenants WHERE device_id = %s", (phone.device_id,)
    )
    assert acknowledged == head


async def test_epochs_differ_and_a_restored_feed_is_noticed(world: World) -> None:
    """F08 in short: the tables go back to an earlier state, the epoch is not touched, and the cursor
    tells."""
    phone = world.office()
    phone.create(("job", "j1"), {"title": "x"})
    await phone.settle()
    with psycopg.connect(world.database.superuser_url) as connection:
        connection.execute("CREATE TABLE keep AS SELECT * FROM app.tenants")
    phone.create(("job", "j2"), {"title": "x"})
    await phone.settle()
    with psycopg.connect(world.database.superuser_url) as connection:
        connection.execute("DELETE FROM app.conflicts")
        connection.execute("DELETE FROM app.effects WHERE counter > 1")
        connection.execute("DELETE FROM app.changes WHERE counter > 1")
        connection.execute("DELETE FROM app.entities WHERE entity_id = 'j2'")
        connection.execute("DELETE FROM app.commits WHERE seq > (SELECT head FROM keep)")
        connection.execute("UPDATE app.tenants SET head = keep.head, chain = keep.chain FROM keep")
        connection.execute("UPDATE app.devices SET counter = 1 WHERE device_id = %s", (phone.device_id,))
    response = await phone.post("/v1/pull", SyncRequest(1, 1, cursor=phone.store.state().cursor))
    assert (response.status_code, response.json()["code"]) == (409, "epoch_changed")
    other = world.phone("olga")
    for number in range(3):
        other.create(("job", f"o{number}"), {"title": "x"})
    await other.settle()
    response = await phone.post("/v1/pull", SyncRequest(1, 1, cursor=phone.store.state().cursor))
    assert (response.status_code, response.json()["code"]) == (409, "epoch_changed")
    with psycopg.connect(world.database.owner_url) as connection:
        epochs = {administration.create_tenant(connection, f"t{number}").epoch for number in range(5)}
    assert len(epochs) == 5
    assert TENANT not in epochs
