"""A database that goes back to an older state, with word of it and without: devices give back what they hold."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from rightfit_sync.wire.messages import Offer, ReconcileRequest, SyncRequest
from tests.server.restoring import back_up, check, drop, epochs, heal, move, put_back
from tests.server.world import Database, Phone, World, serving

pytestmark = pytest.mark.anyio
BOILER, TAP, ROOF = ("job", "boiler"), ("job", "tap"), ("job", "roof")
NOTE, QUAY = ("note", "n1"), ("site", "quay")


@pytest.fixture
def keep(database: Database) -> Iterator[Callable[[], str]]:
    """Make a backup, which is gone after the test."""
    made: list[str] = []

    def backed_up() -> str:
        made.append(back_up(database))
        return made[-1]

    yield backed_up
    for backup in made:
        drop(database, backup)


@asynccontextmanager
async def served(database: Database, *phones: Phone) -> AsyncIterator[World]:
    async with serving(database) as world:
        move(phones, world)
        yield world


async def crew(world: World) -> tuple[Phone, Phone, Phone]:
    """Somebody in the office with two devices, and a contractor, who share a few records."""
    office, tablet = world.office(), world.phone("olga")
    world.subject("carl", ["contractor:carl"])
    carl = world.phone("carl")
    office.create(QUAY, {"name": "Quay"})
    office.create(BOILER, {"title": "Boiler", "contractor": "carl", "site_id": "quay"})
    office.create(NOTE, {"body": "second floor", "job_id": "boiler"})
    office.create(TAP, {"title": "Tap", "cost_pence": 100})
    await heal(office, tablet, carl)
    return office, tablet, carl


async def the_lost_hour(office: Phone, tablet: Phone, carl: Phone) -> None:
    """What happens after the backup, and is on devices only when it is put back."""
    carl.edit(BOILER, {"notes": "it is the valve"})
    office.edit(BOILER, {"title": "Boiler leaks"})
    office.create(ROOF, {"title": "Roof", "site_id": "quay"})
    tablet.edit(TAP, {"title": "Tap drips", "cost_pence": 150})
    await heal(carl, office, tablet, carl)
    # Two stand against each other, and a delete has been heard of.
    office.edit(TAP, {"title": "Tap is fine"})
    tablet.edit(TAP, {"title": "Tap bursts"})
    office.delete(NOTE)
    await heal(office, tablet, carl)
    # An answer without a page is all that the office has of its last edit.
    office.edit(ROOF, {"title": "Roof leaks"})
    office.take(await office.send(office.request(rows_max=0)))
    assert [entry.is_pending for entry in office.store.acknowledged()] == [False]
    # And this had not been sent when the database went.
    tablet.edit(QUAY, {"name": "The quay"})
    carl.create(("note", "n2"), {"body": "bring a torch", "job_id": "boiler"})


@pytest.mark.parametrize("order", ["olga first", "carl first"])
@pytest.mark.parametrize("is_noticed", [True, False])
async def test_F08_a_restored_server_gets_back_what_devices_hold(
    database: Database, keep: Callable[[], str], order: str, *, is_noticed: bool
) -> None:
    async with serving(database) as world:
        office, tablet, carl = phones = await crew(world)
    backup = keep()
    async with served(database, *phones):
        await the_lost_hour(office, tablet, carl)
        first = epochs(database)
    put_back(database, backup, is_noticed=is_noticed)
    async with served(database, *phones) as world:
        # Life goes on meanwhile with somebody who knows nothing of it.
        new = world.phone("olga")
        new.create(("job", "door"), {"title": "Door"})
        await new.heal()
        healing = [office, tablet, carl, new] if order == "olga first" else [carl, new, tablet, office]
        await heal(*healing)
        for phone in (office, tablet, new):
            assert phone.view(ROOF)["title"] == "Roof leaks"
            assert phone.view(BOILER)["title"] == "Boiler leaks"
            assert phone.view(BOILER)["notes"] == "it is the valve"
            assert phone.view(TAP)["cost_pence"] == 150
            assert [one.path for one in phone.conflicts(TAP)] == ["title"]
            assert {one.value for one in phone.conflicts(TAP)[0].siblings} == {"Tap is fine", "Tap bursts"}
            assert phone.view(QUAY)["name"] == "The quay"
            assert phone.view(("job", "door"))["title"] == "Door"
            assert phone.view(NOTE) == {}
            assert phone.view(("note", "n2"))["body"] == "bring a torch"
            assert not phone.store.rejected()
            assert phone.store.count_pending() == 0
        assert carl.held() == {QUAY, BOILER, NOTE, ("note", "n2")}
        assert not carl.store.rejected()
        assert len(epochs(database)) == len(first) + 1
        restored = database.rows("SELECT restored_at IS NOT NULL FROM app.tenants")
        assert restored == [(True,)]
        check(database)
        joins = database.rows("SELECT DISTINCT kind, entity_id FROM app.joins")
        assert ("job", "roof") in joins
        # Nobody writes under an id of the past any more.
        assert not {"olga", office.identity.device_id} & {office.device_id, tablet.device_id}


async def test_F08_a_device_that_the_backup_does_not_know_is_entered_again(
    database: Database, keep: Callable[[], str]
) -> None:
    async with serving(database) as world:
        office, tablet, carl = await crew(world)
    backup = keep()
    async with served(database, office) as world:
        late = world.phone("olga")
        late.create(ROOF, {"title": "Roof"})
        await late.heal()
        late.create(("job", "door"), {"title": "Door"})
        world.subject("nina", ["office"])
        nobody = world.phone("nina")
    put_back(database, backup, is_noticed=True)
    async with served(database, office, tablet, carl, late, nobody):
        # Its subject is not in the backup: somebody must be asked.
        assert (await nobody.post("/v1/sync", nobody.request())).status_code == 401
        assert database.rows("SELECT 1 FROM app.devices WHERE device_id = %s", (late.device_id,)) == []
        assert (await late.post("/v1/token", b"")).status_code == 200
        await heal(late, office)
        assert office.view(ROOF)["title"] == "Roof"
        assert office.view(("job", "door"))["title"] == "Door"
        assert not late.store.rejected()
        assert late.device_id != late.identity.device_id
        check(database)


async def test_F08_an_id_of_the_lost_past_spends_nothing(database: Database, keep: Callable[[], str]) -> None:
    """Without a cursor nothing but its counters would tell, and those begin again."""
    async with serving(database) as world:
        office, _, _ = await crew(world)
    backup = keep()
    put_back(database, backup, is_noticed=True)
    async with served(database, office):
        office.create(ROOF, {"title": "Roof"})
        request = office.request()
        response = await office.post("/v1/push", replace(request, cursor=None))
        assert (response.status_code, response.json()["code"], response.json()["field"]) == (
            409,
            "epoch_changed",
            "device_id",
        )
        response = await office.post("/v1/push", request)
        assert (response.status_code, response.json()["field"]) == (409, "cursor")
        assert database.rows("SELECT 1 FROM app.changes WHERE entity_id = 'roof'") == []


async def test_F08_one_restore_begins_one_epoch_however_many_notice_it(
    database: Database, keep: Callable[[], str]
) -> None:
    async with serving(database) as world:
        phones = await crew(world)
    backup = keep()
    async with served(database, *phones):
        phones[0].create(ROOF, {"title": "Roof"})
        await heal(*phones)
        before = epochs(database)
    put_back(database, backup, is_noticed=False)
    async with served(database, *phones) as world:
        lost = [phone.request() for phone in phones]
        for phone, request in zip(phones, lost, strict=True):
            for path in ("/v1/push", "/v1/pull", "/v1/sync"):
                response = await phone.post(path, replace(request, changes=()))
                assert (response.status_code, response.json()["code"]) == (409, "epoch_changed")
        assert len(epochs(database)) == len(before) + 1
        # What proves nothing begins nothing.
        assert (await world.phone("olga").post("/v1/sync", SyncRequest(1, 1))).status_code == 200
        assert len(epochs(database)) == len(before) + 1


async def test_F08_what_was_acknowledged_and_never_pulled_is_enough_to_notice(
    database: Database, keep: Callable[[], str]
) -> None:
    """The answer to the push names a commit; the restore takes it away; nobody else had heard of it."""
    async with serving(database) as world:
        office, tablet, _ = await crew(world)
    backup = keep()
    async with served(database, office):
        office.edit(TAP, {"title": "Tap drips"})
        office.take(await office.send(office.request(rows_max=0)))
        assert office.store.count_pending() == 0
    put_back(database, backup, is_noticed=False)
    async with served(database, office, tablet):
        tablet.edit(TAP, {"cost_pence": 200})
        await heal(tablet, office)
        assert len(epochs(database)) == 2
        assert (tablet.view(TAP)["title"], tablet.view(TAP)["cost_pence"]) == ("Tap drips", 200)
        assert not office.store.rejected()
        check(database)


async def test_F08_a_reference_is_no_orphan_once_its_target_is_said_again(
    database: Database, keep: Callable[[], str]
) -> None:
    async with serving(database) as world:
        office, tablet, _ = await crew(world)
    backup = keep()
    mill = ("site", "mill")
    async with served(database, office, tablet):
        office.create(mill, {"name": "Mill"})
        office.create(ROOF, {"title": "Roof", "site_id": "mill"})
        office.take(await office.send(office.request(rows_max=0)))
        await tablet.heal()
    put_back(database, backup, is_noticed=True)
    async with served(database, office, tablet):
        # Of the two only the record that names the other is given back, and that one waits for its author.
        row = tablet.store.trunks([ROOF])[ROOF]
        request = ReconcileRequest(1, 1, offers=[Offer(row.entity, row.seal)])
        assert (await tablet.post("/v1/reconcile", request)).status_code == 200
        orphans = "SELECT reason, closed_at IS NULL, opened_by_device_id FROM app.conflicts WHERE entity_id = 'roof'"
        assert database.rows(orphans) == [("orphan", True, tablet.identity.device_id)]
        check(database)
        await office.heal()
        assert database.rows("SELECT op, status FROM app.changes WHERE entity_id = 'mill'") == [
            ("create", "applied")
        ]
        assert [is_open for _, is_open, _ in database.rows(orphans)] == [False]
        await heal(office, tablet)
        assert tablet.conflicts(ROOF) == office.conflicts(ROOF) == []
        check(database)


@pytest.mark.parametrize("seed", range(6))
async def test_F08_any_hour_may_be_lost(database: Database, keep: Callable[[], str], seed: int) -> None:
    """Random work, a backup in the middle, and nothing that was acknowledged is lost while somebody holds it."""
    random = Random(seed)
    async with serving(database) as world:
        phones = [world.office(), *(world.phone("olga") for _ in range(3))]
        written = await work(random, phones, 20, "before")
    backup = keep()
    async with served(database, *phones):
        written += await work(random, phones, 30, "after")
    put_back(database, backup, is_noticed=bool(seed % 2))
    async with served(database, *phones):
        written += await work(random, phones, 10, "later")
        random.shuffle(phones)
        await heal(*phones)
        for key in {key for key, _ in written}:
            shown = [phone.entity(key) for phone in phones]
            assert shown[0] is not None
            assert all(entity == shown[0] for entity in shown)
        # Every job was only ever appended to, so that all words of everybody are there.
        for key, word in written:
            assert word in str(phones[0].view(key)["tags"]), (key, word)
        assert not any(phone.store.rejected() for phone in phones)
        assert len({tuple(sorted(phone.held())) for phone in phones}) == 1
        check(database)


async def work(
    random: Random, phones: list[Phone], steps: int, when: str
) -> list[tuple[tuple[str, str], str]]:
    """Let `phones` create jobs, tag them, and sync now and then; return which tag went where."""
    written = []
    for step in range(steps):
        phone = random.choice(phones)
        word = f"{when}{step}"
        held = sorted(key for key in phone.held() if phone.view(key))
        if not held or random.random() < 0.3:
            key = ("job", f"{when}{step}")
            phone.create(key, {"title": word, "tags": [word]})
        else:
            key = random.choice(held)
            tags = phone.view(key).get("tags") or []
            assert isinstance(tags, list)
            phone.edit(key, {"tags": [*tags, word], "title": word if random.random() < 0.2 else "same"})
        written.append((key, word))
        if random.random() < 0.4:
            await phone.heal()
    return written


async def test_F08_a_grant_in_the_place_of_a_lost_one_is_another_past(
    database: Database, keep: Callable[[], str]
) -> None:
    """A grant is a commit without rows: by their numbers alone, two of them look alike."""
    async with serving(database) as world:
        office, tablet, carl = await crew(world)
    backup = keep()
    async with served(database, office, carl) as world:
        world.grant("carl", ["contractor:carl", "contractor:dora"])
        await heal(carl)
    put_back(database, backup, is_noticed=False)
    async with served(database, office, tablet, carl) as world:
        world.grant("carl", ["contractor:carl", "office"])
        await heal(carl, office, tablet)
        assert carl.held() == office.held()
        assert len(epochs(database)) == 2
    check(database)
