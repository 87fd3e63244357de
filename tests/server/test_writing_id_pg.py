"""The id that a replica writes under: taking a new one, nobody else's, and a copy that runs on two phones."""

from itertools import count

import anyio
import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from rightfit_server.postgres import administration
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import IDS_PER_REPLICA_MAX
from rightfit_sync.records import digest
from rightfit_sync.wire.messages import ReconcileRequest, SyncRequest
from tests.server.locks import feed_held, until_waiting
from tests.server.restoring import check, heal
from tests.server.world import TENANT, Phone, World

pytestmark = pytest.mark.anyio
JOB = ("job", "j1")


async def asked_as(phone: Phone, device_id: str) -> list[tuple[int, bytes]]:
    """What each route answers that takes the id."""
    requests = {
        "/v1/sync": SyncRequest(1, 1, device_id=device_id),
        "/v1/push": SyncRequest(1, 1, device_id=device_id),
        "/v1/pull": SyncRequest(1, 1, device_id=device_id),
        "/v1/reconcile": ReconcileRequest(1, 1, device_id=device_id),
    }
    answers = [await phone.post(path, request) for path, request in requests.items()]
    return [(answer.status_code, answer.content) for answer in answers]


async def test_a_replica_takes_another_id_and_is_one_replica(world: World) -> None:
    office = world.office()
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    first = office.device_id
    for _ in range(2):
        office.core.take_new_id()
        office.edit(JOB, {"title": office.device_id})
        await office.settle()
    assert office.view(JOB)["title"] == office.device_id
    rows = world.database.rows(
        "SELECT device_id, replica_id, former_device_id, counter, epoch = (SELECT epoch FROM app.tenants)"
        " FROM app.devices WHERE subject_id IS NOT NULL ORDER BY created_at"
    )
    second = office.store.state().former_ids[1]
    assert rows == [
        (first, first, None, 1, True),
        (second, first, first, 1, True),
        (office.device_id, first, second, 1, True),
    ]
    check(world.database)


async def test_T02_somebody_elses_id_is_refused_in_one_and_the_same_way(world: World) -> None:
    office, colleague = world.office(), world.phone("olga")
    world.subject("carl", ["contractor:carl"])
    carl, signed_out = world.phone("carl"), world.phone("carl")
    stranger = world.office("sam", "other")
    with psycopg.connect(world.database.owner_url) as connection:
        administration.revoke_device(connection, TENANT, signed_out.device_id)
        (epoch,) = connection.execute("SELECT 1").fetchone() or ("",)
    ((epoch,),) = world.database.rows("SELECT epoch FROM app.tenants WHERE tenant_id = %s", (TENANT,))
    before = world.database.rows("SELECT count(*) FROM app.devices")
    answers = [
        await asked_as(carl, device_id)
        for device_id in (
            office.device_id,
            colleague.device_id,
            signed_out.device_id,
            f"server:{epoch}",
            "server:never",
        )
    ]
    assert [status for status, _ in answers[0]] == [403] * 4
    assert msgspec.json.decode(answers[0][0][1])["code"] == "wrong_device"
    assert all(answer == answers[0] for answer in answers)
    assert world.database.rows("SELECT count(*) FROM app.devices") == before
    # Another tenant's id is one that nobody here has.
    theirs, nobodys = await asked_as(carl, stranger.device_id), await asked_as(carl, "nobody's")
    assert [status for status, _ in theirs] == [status for status, _ in nobodys] == [200] * 4
    assert await stranger.send(stranger.request())


async def test_a_replica_cannot_push_what_another_of_its_ids_has_made(world: World) -> None:
    office = world.office()
    made = office.made(office.create(JOB, {"title": "Boiler"}))
    response = await office.post(
        "/v1/push", SyncRequest(1, 1, [Pushed(made, digest(made))], device_id="another")
    )
    assert (response.status_code, response.json()["code"]) == (403, "wrong_device")


async def test_signing_a_device_out_ends_all_its_ids(world: World) -> None:
    office = world.office()
    first = office.device_id
    office.core.take_new_id()
    await office.settle()
    with psycopg.connect(world.database.owner_url) as connection:
        administration.revoke_device(connection, TENANT, first)
    assert [status for status, _ in await asked_as(office, office.device_id)] == [401] * 4
    assert [status for status, _ in await asked_as(office, "another")] == [401] * 4


async def test_a_replica_has_only_so_many_ids(world: World) -> None:
    office = world.office()
    world.database.rows(
        "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id)"
        " SELECT %s, 'id ' || n, 'olga', %s FROM generate_series(2, %s) n RETURNING 1",
        (TENANT, office.device_id, IDS_PER_REPLICA_MAX),
    )
    response = await office.post("/v1/sync", SyncRequest(1, 1, device_id="one more"))
    assert (response.status_code, response.json()["code"]) == (403, "too_many_ids")
    assert (await office.post("/v1/sync", SyncRequest(1, 1, device_id="id 7"))).status_code == 200


async def test_a_cursor_of_a_former_id_goes_on_under_the_next(world: World) -> None:
    office, other = world.office(), world.phone("olga")
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    request = replace(office.request(), device_id="olga-next")
    assert (await office.send(request)).page is not None
    stolen = await other.post("/v1/pull", replace(request, device_id=""))
    assert (stolen.status_code, stolen.json()["code"]) == (403, "cursor_foreign")


async def test_F05_a_copy_that_runs_on_two_phones_keeps_both_edit_sets(world: World) -> None:
    ann = world.office()
    ann.create(JOB, {"title": "Boiler", "tags": ["new"]})
    await heal(ann)
    ann.edit(JOB, {"notes": "not sent yet"})
    twin = Phone(world, ann.identity)
    twin.restart(ann.store.copy())
    ann.edit(JOB, {"tags": ["new", "ann"]})
    ann.create(("job", "ann's"), {"title": "x"})
    twin.edit(JOB, {"tags": ["new", "twin"]})
    twin.create(("job", "twin's"), {"title": "y"})
    twin.edit(JOB, {"cost_pence": 5})
    assert ann.device_id == twin.device_id
    await heal(ann, twin)
    assert ann.device_id != twin.device_id
    for phone in (ann, twin):
        view = phone.view(JOB)
        assert (view["tags"], view["notes"], view["cost_pence"]) == (
            ["ann", "new", "twin"],
            "not sent yet",
            5,
        )
        assert (phone.view(("job", "ann's"))["title"], phone.view(("job", "twin's"))["title"]) == ("x", "y")
        assert not phone.store.rejected()
    check(world.database)


async def test_F05_a_backup_of_a_phone_that_is_put_back_counts_everything_once(world: World) -> None:
    ann, ben = world.office(), world.phone("olga")
    ann.create(JOB, {"title": "Boiler", "cost_pence": 0})
    await heal(ann, ben)
    ann.edit(JOB, {"cost_pence": 10})
    old = ann.store.copy()
    await heal(ann)
    ann.edit(JOB, {"cost_pence": 30})
    await heal(ann, ben)
    ann.restart(old)
    ann.edit(JOB, {"cost_pence": 11})
    await heal(ann, ben)
    assert (ann.view(JOB)["cost_pence"], ben.view(JOB)["cost_pence"]) == (31, 31)
    assert not ann.store.rejected()
    check(world.database)


async def test_ids_that_two_phones_take_at_once_are_two(world: World) -> None:
    """Whoever enters an id second finds it entered, and whose it is."""
    office, other = world.office(), world.phone("olga")
    names = (f"name {number}" for number in count())
    for _ in range(5):
        name = next(names)
        answers = [
            await phone.post("/v1/sync", SyncRequest(1, 1, device_id=name)) for phone in (office, other)
        ]
        assert sorted(answer.status_code for answer in answers) == [200, 403]


async def test_F05_two_ids_of_one_replica_take_turns(world: World) -> None:
    """The same changes under both names, at once: whichever comes second finds the answers to the first."""
    office = world.office()
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    twin = Phone(world, office.identity)
    office.edit(JOB, {"title": "Boiler leaks"})
    office.edit(JOB, {"title": "Boiler leaks badly"})
    twin.restart(office.store.copy())
    twin.core.take_new_id()
    await twin.send(SyncRequest(1, 1, device_id=twin.device_id))
    async with anyio.create_task_group() as group:
        with feed_held(world.database):
            group.start_soon(office.round_trip)
            await until_waiting(world.database, 1)
            group.start_soon(twin.round_trip)
            await until_waiting(world.database, 2)
    await heal(office, twin)
    answers = world.database.rows(
        "SELECT device_id = %s, status FROM app.changes WHERE op = 'edit' ORDER BY commit_seq, ordinal",
        (office.identity.device_id,),
    )
    assert answers == [(True, "applied"), (True, "applied"), (False, "duplicate"), (False, "duplicate")]
    assert not twin.store.rejected()
    check(world.database)
