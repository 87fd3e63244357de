"""A push at the moment of a purge, and devices that come back after it: nothing is lost, nothing comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from rightfit_sync.wire.messages import SyncResponse
from tests.server.collecting import BOILER, QUAY, TAP, check, purged, settle, silence, stored
from tests.server.locks import feed_held, until_waiting
from tests.server.world import Database, Phone, World

pytestmark = pytest.mark.anyio

GONE = ("collected", "unknown_entity")
"""How a change of a record that was purged is answered."""


async def push(phone: Phone) -> SyncResponse:
    """Send what is pending, and fetch nothing."""
    response = await phone.send(phone.request(), path="/v1/push")
    phone.take(response)
    return response


async def two_tombstones_and_an_edit(world: World) -> tuple[Phone, Phone]:
    """The boiler and the tap are deleted, and a device that is waited for no more has an edit of the boiler."""
    office, silent = world.office(), world.phone("olga")
    for key in (BOILER, TAP):
        office.create(key, {"title": "x"})
    await settle(office, silent)
    office.delete(BOILER)
    office.delete(TAP)
    await settle(office)
    silence(silent)
    silent.edit(BOILER, {"title": "It leaks again"})
    return office, silent


def check_merged(world: World, office: Phone, silent: Phone) -> None:
    assert not silent.store.rejected()
    assert office.view(BOILER)["title"] == "It leaks again"
    assert [one.reason for one in office.conflicts(BOILER)] == ["delete_edit"]
    assert stored(world.database) == {BOILER}


def check_rejected(world: World, silent: Phone) -> None:
    (refused,) = silent.store.rejected()
    assert refused.outcome.code in GONE
    assert refused.change.patches["title"].value == "It leaks again"
    ((kept,),) = world.database.rows("SELECT change FROM app.changes WHERE status = 'rejected'")
    assert kept["patches"]["title"]["value"] == "It leaks again"
    assert stored(world.database) == set()


async def test_F13_a_push_before_the_purge_merges(world: World) -> None:
    office, silent = await two_tombstones_and_an_edit(world)
    await push(silent)
    silence(silent)
    assert purged(world.database).collected == 1
    await settle(office)
    check_merged(world, office, silent)
    check(world.database)


async def test_F13_a_push_after_the_purge_is_rejected_with_its_payload(world: World) -> None:
    _, silent = await two_tombstones_and_an_edit(world)
    assert purged(world.database).collected == 2
    await push(silent)
    check_rejected(world, silent)
    check(world.database)


async def test_F13_a_push_that_has_the_record_when_the_purge_comes_merges(world: World) -> None:
    office, silent = await two_tombstones_and_an_edit(world)
    with feed_held(world.database):
        pushing = asyncio.create_task(push(silent))
        await until_waiting(world.database, 1)
        purging = asyncio.create_task(asyncio.to_thread(purged, world.database))
        await until_waiting(world.database, 2)
    await pushing
    assert (await purging).collected == 1
    await settle(office)
    check_merged(world, office, silent)
    check(world.database)


async def test_F13_a_push_that_comes_while_the_purge_has_the_record_is_rejected(world: World) -> None:
    _, silent = await two_tombstones_and_an_edit(world)
    with feed_held(world.database):
        purging = asyncio.create_task(asyncio.to_thread(purged, world.database))
        await until_waiting(world.database, 1)
        pushing = asyncio.create_task(push(silent))
        await until_waiting(world.database, 2)
    assert (await purging).collected == 2
    await pushing
    check_rejected(world, silent)
    check(world.database)


async def test_F13_a_reference_to_what_is_being_purged_names_nothing_unknown(world: World) -> None:
    """Either the site stays for the job that names it, or the job's edit is rejected."""
    office, silent = world.office(), world.phone("olga")
    office.create(QUAY, {"name": "Quay Road"})
    office.create(BOILER, {"title": "x"})
    await settle(office, silent)
    office.delete(QUAY)
    await settle(office)
    silence(silent)
    silent.edit(BOILER, {"site_id": "quay"})
    with feed_held(world.database):
        purging = asyncio.create_task(asyncio.to_thread(purged, world.database))
        await until_waiting(world.database, 1)
        pushing = asyncio.create_task(push(silent))
        await until_waiting(world.database, 2)
    assert (await purging).collected == 1
    await pushing
    assert [one.outcome.code for one in silent.store.rejected()] == ["unknown_reference"]
    check(world.database)


async def test_F13_pushes_and_purges_at_random_lose_nothing(world: World) -> None:
    random = Random(13)
    office = world.office()
    silent = [world.phone("olga") for _ in range(4)]
    keys = [("job", f"j{number:02}") for number in range(40)]
    outcomes: dict[str, int] = {"merged": 0, "rejected": 0}
    for round_number in range(4):
        fresh = [(kind, f"{round_number}-{name}") for kind, name in keys]
        for key in fresh:
            office.create(key, {"title": "x"})
        await settle(office)
        for phone in silent:
            # The whole copy anew each time: what was purged meanwhile may be far before its cursor.
            phone.store.put_state(replace(phone.store.state(), cursor=None))
        await settle(*silent)
        for key in fresh:
            office.delete(key)
        await settle(office)
        for phone in silent:
            silence(phone)
            for key in random.sample(fresh, 12):
                phone.edit(key, {"title": f"{phone.device_id} {key[1]}"})
        await race(world.database, random, [partial(push_unheard, phone) for phone in silent])
        for phone in silent:
            assert not phone.request().changes
            for refused in phone.store.rejected():
                assert refused.outcome.code in GONE
                assert (
                    refused.change.patches["title"].value == f"{phone.device_id} {refused.change.entity_id}"
                )
                phone.core.discard(refused.change.dot)
                outcomes["rejected"] += 1
        outcomes["merged"] += len(stored(world.database))
        check(world.database)
    assert min(outcomes.values()) > 5, outcomes


async def push_unheard(phone: Phone) -> None:
    """Push, and still count as silent: or the next purge would wait for this device."""
    await push(phone)
    silence(phone)


async def race(database: Database, random: Random, pushes: list[Callable[[], Awaitable[object]]]) -> None:
    """Push at random moments while purges run; the first comes before them all, and the last one after."""

    async def late(do: Callable[[], Awaitable[object]], steps: int) -> None:
        for _ in range(steps):
            await checkpoint()
        await do()

    async def purge_on() -> None:
        for _ in range(4):
            await asyncio.to_thread(purged, database)

    await pushes[0]()
    async with anyio.create_task_group() as group:
        group.start_soon(purge_on)
        for one in pushes[1:-1]:
            group.start_soon(late, one, random.randrange(400))
    await pushes[-1]()


async def test_F10_a_repeated_create_does_not_raise_the_dead(world: World) -> None:
    """A create's answer is lost, another device deletes the record, the tombstone is purged, the create is
    repeated: as it was, and under another name."""
    office, phone = world.office(), world.phone("olga")
    phone.create(BOILER, {"title": "x"})
    (lost,) = (await phone.send(phone.request(), path="/v1/push")).receipts
    await settle(office)
    office.delete(BOILER)
    await settle(office)
    silence(phone)
    assert purged(world.database).collected == 1
    (again,) = (await push(phone)).receipts
    assert again == lost
    assert stored(world.database) == set()
    check(world.database)


async def test_F10_what_was_purged_does_not_come_back_under_a_new_create(world: World) -> None:
    """Whether or not the id may be used again, an edit of the former record is not one of the new one."""
    office, silent = world.office(), world.phone("olga")
    office.create(BOILER, {"title": "Old"})
    await settle(office, silent)
    office.delete(BOILER)
    await settle(office)
    silence(silent)
    silent.edit(BOILER, {"title": "Old and leaking"})
    assert purged(world.database).collected == 1
    other = world.phone("olga")
    other.create(BOILER, {"title": "New"})
    await settle(other, office)
    await push(silent)
    (refused,) = silent.store.rejected()
    assert refused.outcome.code in ("base_unknown", "collected", "unknown_entity")
    assert refused.change.patches["title"].value == "Old and leaking"
    assert office.view(BOILER).get("title") in (None, "New")
    check(world.database)
