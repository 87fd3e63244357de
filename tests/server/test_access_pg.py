"""Who receives what: grants given, taken and moved; audience that follows neighbours; a set pulled
equals the set visible."""

from random import Random

import msgspec
import psycopg
import pytest

from rightfit_server.postgres import administration
from rightfit_sync.audience import own_tags
from rightfit_sync.feed import chained
from rightfit_sync.references import references
from rightfit_sync.wire.messages import SyncRequest
from tests.server.world import FailedError, Phone, World

pytestmark = pytest.mark.anyio
SITE, JOB, NOTE = ("site", "s1"), ("job", "j1"), ("note", "n1")


async def people(world: World) -> tuple[Phone, Phone, Phone]:
    """The office and two contractors."""
    office = world.office()
    world.subject("carl", ["contractor:carl"])
    world.subject("cora", ["contractor:cora"])
    return office, world.phone("carl"), world.phone("cora")


async def test_F11_a_job_given_to_another_contractor_is_evicted_with_what_it_lent(world: World) -> None:
    office, carl, cora = await people(world)
    office.create(SITE, {"name": "Mill"})
    office.create(JOB, {"title": "Boiler", "site_id": "s1", "contractor": "carl"})
    office.create(NOTE, {"body": "the key is under the mat", "job_id": "j1"})
    await office.settle()
    await carl.settle()
    await cora.settle()
    assert (carl.held(), cora.held()) == ({SITE, JOB, NOTE}, set())
    office.edit(JOB, {"contractor": "cora"})
    await office.settle()
    page = (await carl.round_trip()).page
    assert page is not None
    assert {(one.kind, one.entity_id) for one in page.evicted} == {SITE, JOB, NOTE}
    assert page.rows == []
    await cora.settle()
    assert (carl.held(), cora.held()) == (set(), {SITE, JOB, NOTE})
    assert cora.view(JOB)["title"] == "Boiler"
    assert world.database.rows("SELECT count(*) FROM app.entities WHERE deleted_at IS NOT NULL") == [(0,)]


async def test_F11_a_deleted_job_lends_nothing_and_a_restored_one_does(world: World) -> None:
    office, carl, _ = await people(world)
    office.create(SITE, {"name": "Mill"})
    office.create(JOB, {"title": "Boiler", "site_id": "s1", "contractor": "carl"})
    await office.settle()
    await carl.settle()
    office.delete(JOB)
    await office.settle()
    await carl.settle()
    assert carl.held() == {JOB}
    assert carl.view(JOB) == {}
    office.restore(JOB)
    await office.settle()
    await carl.settle()
    assert carl.held() == {SITE, JOB}


async def test_F11_a_row_seen_through_two_tags_stays_until_both_are_gone(world: World) -> None:
    office, carl, _ = await people(world)
    office.create(JOB, {"title": "Boiler", "contractor": "carl"})
    await office.settle()
    world.grant("carl", ["contractor:carl", "office"])
    await carl.settle()
    world.grant("carl", ["office"])
    await carl.settle()
    assert carl.held() == {JOB}
    world.grant("carl", [])
    await carl.settle()
    assert carl.held() == set()


async def test_F11_a_grant_brings_rows_from_below_the_cursor_in_pages(world: World) -> None:
    office, carl, cora = await people(world)
    for number in range(57):
        office.create(("job", f"j{number}"), {"title": "x", "contractor": "cora"})
        await office.settle()
    await carl.settle()
    world.grant("carl", ["contractor:carl", "contractor:cora"])
    pages = 0
    while True:
        page = (await carl.round_trip(rows_max=10)).page
        assert page is not None
        assert len(page.rows) <= 10
        pages += 1
        if not page.more:
            break
        if pages == 2:
            office.create(("job", "late"), {"title": "late", "contractor": "cora"})
            await office.settle()
    await cora.settle()
    assert carl.held() == cora.held()
    assert len(carl.held()) == 58


async def test_F11_a_grant_taken_back_during_its_backfill_leaves_no_hole_for_the_next(world: World) -> None:
    office, carl, _ = await people(world)
    for number in range(30):
        office.create(("job", f"a{number}"), {"title": "x", "contractor": "a"})
        office.create(("job", f"b{number}"), {"title": "x", "contractor": "b"})
        await office.settle()
    await carl.settle()
    world.grant("carl", ["contractor:a"])
    await carl.round_trip(rows_max=20)
    world.grant("carl", ["contractor:b"])
    await carl.settle(rows_max=7)
    assert carl.held() == {("job", f"b{number}") for number in range(30)}
    world.grant("carl", ["contractor:b", "contractor:a"])
    await carl.settle(rows_max=7)
    assert len(carl.held()) == 60


async def test_F11_a_tag_taken_and_given_again_between_two_pulls(world: World) -> None:
    office, carl, _ = await people(world)
    office.create(JOB, {"title": "Boiler", "contractor": "carl"})
    office.create(("job", "j2"), {"title": "Tap", "contractor": "carl"})
    await office.settle()
    await carl.settle()
    world.grant("carl", [])
    office.edit(("job", "j2"), {"contractor": "cora"})
    await office.settle()
    world.grant("carl", ["contractor:carl"])
    await carl.settle()
    assert carl.held() == {JOB}


async def test_pages_end_with_a_commit_even_where_its_last_row_is_out_of_sight(world: World) -> None:
    office, carl, _ = await people(world)
    for number in range(6):
        office.create(("job", f"a{number}"), {"title": "x", "contractor": "carl"})
        office.create(("job", f"b{number}"), {"title": "x", "contractor": "cora"})
        await office.settle()
    await carl.settle(rows_max=1)
    assert carl.held() == {("job", f"a{number}") for number in range(6)}


async def test_F11_edits_that_wait_when_access_ends_come_back_with_their_payload(world: World) -> None:
    office, carl, _ = await people(world)
    office.create(JOB, {"title": "Boiler", "contractor": "carl"})
    await office.settle()
    await carl.settle()
    carl.edit(JOB, {"title": "Boiler, second floor"})
    office.edit(JOB, {"contractor": "cora"})
    await office.settle()
    await carl.settle()
    (refused,) = carl.store.rejected()
    assert refused.outcome.code == "unknown_entity"
    assert refused.change.patches["title"].value == "Boiler, second floor"
    assert carl.held() == set()
    kept = world.database.rows(
        "SELECT change -> 'patches' -> 'title' ->> 'value' FROM app.changes WHERE status = 'rejected'"
    )
    assert kept == [("Boiler, second floor",)]


async def test_F11_a_contractor_who_gives_his_job_away_sees_it_no_more(world: World) -> None:
    office, carl, cora = await people(world)
    office.create(JOB, {"title": "Boiler", "contractor": "carl"})
    await office.settle()
    await carl.settle()
    carl.edit(JOB, {"contractor": "cora"})
    carl.edit(JOB, {"title": "not mine any more"})
    receipts = await carl.settle()
    assert [receipt.outcome.code for receipt in receipts] == ["", "unknown_entity"]
    assert carl.held() == set()
    assert not carl.store.entries([JOB])
    await cora.settle()
    assert cora.view(JOB)["title"] == "Boiler"


async def test_F11_who_makes_a_record_for_others_alone_lets_go_of_it(world: World) -> None:
    _, carl, cora = await people(world)
    carl.create(JOB, {"title": "Boiler", "contractor": "cora"})
    await carl.settle()
    assert carl.held() == set()
    assert not carl.store.entries([JOB])
    await cora.settle()
    assert cora.held() == {JOB}


async def test_T09_what_is_out_of_sight_is_answered_like_what_is_missing(world: World) -> None:
    office, carl, cora = await people(world)
    office.create(SITE, {"name": "Mill"})
    office.create(JOB, {"title": "Boiler", "contractor": "cora", "site_id": "s1"})
    await office.settle()
    await cora.settle()
    office.edit(JOB, {"title": "Boiler leaks"})
    cora.edit(JOB, {"title": "Boiler drips"})
    await office.settle()
    await cora.settle()
    (conflict,) = (await cora.get("/v1/conflicts")).json()["conflicts"]
    conflict_id = conflict["conflict"]["conflict_id"]
    assert (await carl.get("/v1/conflicts")).json() == {"conflicts": []}
    for there, missing in [
        ("/v1/entities/job/j1", "/v1/entities/job/j0"),
        ("/v1/entities/job/j1/history", "/v1/entities/job/j0/history"),
        ("/v1/entities/site/s1", "/v1/entities/site/s0"),
    ]:
        shown, unknown = await carl.get(there), await carl.get(missing)
        assert (shown.status_code, shown.content) == (404, unknown.content)
    choice = b'{"choice": "mine"}'
    one = await carl.post(f"/v1/conflicts/{conflict_id}/resolve", choice, "application/json")
    none = await carl.post(f"/v1/conflicts/{'0' * 32}/resolve", choice, "application/json")
    assert (one.status_code, one.content) == (404, none.content)
    assert (await cora.get("/v1/entities/site/s1")).status_code == 200


async def test_T09_changes_of_what_is_out_of_sight_are_answered_like_changes_of_nothing(world: World) -> None:
    office, carl, cora = await people(world)
    office.create(SITE, {"name": "Mill"})
    office.create(JOB, {"title": "Boiler", "contractor": "cora", "site_id": "s1"})
    await office.settle()
    await cora.settle()
    spy = world.phone("carl")
    spy.store.put_trunks(cora.store.trunks([JOB]).values())
    spy.edit(JOB, {"title": "mine"})
    (receipt,) = (await spy.send(spy.request())).receipts
    carl.store.put_trunks(cora.store.trunks([JOB]).values())
    carl.edit(JOB, {"title": "mine"})
    request = carl.request()
    text = SyncRequest(1, 1, request.changes, rows_max=0)
    (seen,) = (await carl.send(text)).receipts
    assert receipt.outcome.message.replace("j1", "j0") == "job j0 does not exist here: create it first"
    assert seen.outcome == receipt.outcome
    prober = world.phone("carl")
    prober.create(("job", "p1"), {"title": "probe", "contractor": "carl", "site_id": "s1"})
    prober.create(("job", "p2"), {"title": "probe", "contractor": "carl", "site_id": "s0"})
    outcomes = [one.outcome for one in (await prober.send(prober.request())).receipts]
    assert outcomes[0].code == "unknown_reference"
    assert outcomes[0].message.replace("s1", "s0") == outcomes[1].message


async def test_T09_the_set_pulled_is_the_set_visible_whatever_changes(world: World) -> None:
    """Random jobs, notes, moves, deletes and grants; after each the devices hold what SQL says they may
    see."""
    office, carl, cora = await people(world)
    random = Random(7)
    for number in range(4):
        office.create(("site", f"s{number}"), {"name": "x"})
    for step in range(120):
        something_happens(world, office, random)
        if step % 3 == 0:
            await office.settle()
            for phone in (carl, cora):
                if random.random() < 0.7:
                    await phone.settle(rows_max=random.choice([3, 50]))
                    visible = world.database.rows(
                        "SELECT kind, entity_id FROM app.entities WHERE audience && ARRAY("
                        "SELECT tag FROM app.subject_tags WHERE subject_id = %s)",
                        (phone.identity.subject_id,),
                    )
                    assert phone.held() == set(visible), step
    assert_audiences_are_what_a_fresh_look_says(world, office)


def something_happens(world: World, office: Phone, random: Random) -> None:
    """A job or note is made, moved, deleted or restored, or somebody's tags change."""
    job, note = ("job", f"j{random.randrange(12)}"), ("note", f"n{random.randrange(12)}")
    place = {"contractor": random.choice(["carl", "cora", None]), "site_id": f"s{random.randrange(4)}"}
    roll = random.random()
    if office.entity(job) is None:
        office.create(job, {"title": "x", **place})
    elif office.view(job) and roll < 0.45:
        office.edit(job, place)
    elif office.view(job) and roll < 0.6:
        if office.entity(note) is None:
            office.create(note, {"body": "x", "job_id": job[1]})
        elif office.view(note):
            office.edit(note, {"job_id": job[1]})
    elif office.view(job) and roll < 0.7:
        office.delete(job)
    elif roll < 0.8:
        office.restore(job)
    else:
        tags = [tag for tag in ("contractor:carl", "contractor:cora", "office") if random.random() < 0.4]
        world.grant(random.choice(["carl", "cora"]), tags)


def assert_audiences_are_what_a_fresh_look_says(world: World, office: Phone) -> None:
    """Compare each stored audience with one computed from all records at once."""

    schema = world.application.schema
    entities = {key: row.entity for key, row in office.store.trunks(list(office.held())).items()}
    expected = {key: set(own_tags(entity, schema)) for key, entity in entities.items()}
    own = {key: set(tags) for key, tags in expected.items()}
    alive = {
        row[:2]
        for row in world.database.rows("SELECT kind, entity_id FROM app.entities WHERE deleted_at IS NULL")
    }
    for key, entity in entities.items():
        for one in references(entity, schema):
            target = (one.kind, one.entity_id)
            if one.spec.inherits_audience:
                expected[key] |= own[target]
            if one.spec.lends_audience and key in alive:
                expected[target] |= own[key]
    stored = world.database.rows("SELECT kind, entity_id, audience FROM app.entities")
    assert {(kind, entity_id): set(tags) for kind, entity_id, tags in stored} == expected


async def test_a_revoked_device_may_not_speak(world: World) -> None:
    office = world.office()
    await office.settle()
    with psycopg.connect(world.database.owner_url) as connection:
        administration.revoke_device(connection, "acme", office.device_id)
    with pytest.raises(FailedError) as failed:
        await office.settle()
    assert failed.value.problem.status == 401
    office.create(JOB, {"title": "x"})
    with pytest.raises(FailedError) as failed:
        await office.send(office.request(), "/v1/push")
    assert failed.value.problem.status == 401
    assert (await office.post("/v1/token", b"")).status_code == 401
    another = msgspec.structs.replace(office.request(), device_id="another")
    assert (await office.post("/v1/sync", another)).status_code == 401
    assert (await office.get("/v1/schema")).status_code == 401


async def test_the_chain_says_what_every_row_of_the_commit_says(world: World) -> None:
    """Also of a row that only changed hands."""
    office = world.office()
    office.create(("site", "s1"), {"name": "Mill"})
    office.create(JOB, {"title": "Boiler", "contractor": "cora", "site_id": "s1"})
    await office.settle()
    ((before,),) = world.database.rows("SELECT chain FROM app.tenants")
    office.edit(JOB, {"contractor": "dora"})
    await office.settle()
    ((head, after),) = world.database.rows("SELECT head, chain FROM app.tenants")
    said = world.database.rows(
        "SELECT kind, entity_id, digest FROM app.entities WHERE commit_seq = %s", (head,)
    )
    assert {kind for kind, _, _ in said} == {"job", "site"}
    assert chained(before, head, said) == after
