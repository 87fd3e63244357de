"""A push: receipts that repeat exactly, history, conflicts, effects, and what consequences reach."""

import anyio
import pytest

from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.records import Alias, digest
from rightfit_sync.wire.messages import SyncRequest
from tests.server.world import FailedError, World

pytestmark = pytest.mark.anyio
SITE, JOB, NOTE = ("site", "s1"), ("job", "j1"), ("note", "n1")


async def test_F02_the_retry_gets_the_same_receipt_and_nothing_happens_twice(world: World) -> None:
    phone = world.office()
    phone.create(JOB, {"title": "Boiler", "cost_pence": 500})
    phone.edit(JOB, {"cost_pence": 750})
    lost = phone.request()
    first = await phone.send(lost)
    again = await phone.send(lost)
    assert first.receipts == again.receipts
    assert [receipt.outcome.status for receipt in first.receipts] == ["applied", "applied"]
    assert world.database.rows("SELECT count(*) FROM app.effects") == [(1,)]
    assert world.database.rows("SELECT count(*) FROM app.changes") == [(2,)]
    await phone.settle()
    assert phone.view(JOB)["cost_pence"] == 750
    assert not phone.store.entries([JOB])


async def test_F02_a_push_that_overlaps_the_lost_one_goes_on_behind_it(world: World) -> None:
    phone = world.office()
    phone.create(JOB, {"title": "Boiler"})
    await phone.send(phone.request())
    phone.edit(JOB, {"title": "Boiler leaks"})
    receipts = await phone.settle()
    assert [receipt.outcome.status for receipt in receipts] == ["applied", "applied"]


async def test_a_conflict_is_opened_listed_and_closed_by_an_edit_that_saw_both(world: World) -> None:
    ann = world.office()
    ben = world.phone("olga")
    ann.create(JOB, {"title": "Boiler"})
    await ann.settle()
    await ben.settle()
    ann.edit(JOB, {"title": "Boiler leaks"})
    ben.edit(JOB, {"title": "Boiler drips"})
    await ann.settle()
    receipts = await ben.settle()
    assert receipts[0].outcome.status == "conflicted"
    opened = world.database.rows("SELECT path, reason, opened_by_device_id, closed_at FROM app.conflicts")
    assert opened == [("title", "siblings", ben.device_id, None)]
    await ann.settle()
    assert [one.conflict_id for one in ann.conflicts(JOB)] == [one.conflict_id for one in ben.conflicts(JOB)]
    ann.resolve(JOB, "title", "Boiler drips")
    await ann.settle()
    closed = world.database.rows("SELECT closed_by_subject_id, closed_by_device_id FROM app.conflicts")
    assert closed == [("olga", ann.device_id)]


async def test_two_texts_that_clash_offer_a_merged_one(world: World) -> None:
    ann = world.office()
    ben = world.phone("olga")
    ann.create(JOB, {"title": "Boiler", "notes": "the tap drips"})
    await ann.settle()
    await ben.settle()
    ann.edit(JOB, {"notes": "the tap leaks"})
    ben.edit(JOB, {"notes": "the tap pours"})
    await ann.settle()
    await ben.settle()
    await ann.settle()
    (offered,) = (row.suggestions for row in ann.store.trunks([JOB]).values())
    stored = world.database.rows("SELECT suggestion FROM app.conflicts")
    assert set(offered) == {"notes"}
    assert stored == [(offered["notes"],)]
    listed = (await ann.get("/v1/conflicts")).json()["conflicts"]
    assert [one["conflict"]["suggestion"] for one in listed] == [offered["notes"]]


async def test_history_keeps_every_change_with_its_outcome_and_whose_it_was(world: World) -> None:
    ann = world.office()
    ann.create(JOB, {"title": "Boiler"})
    ann.edit(JOB, {"title": "Boiler leaks"})
    await ann.settle()
    entries = (await ann.get("/v1/entities/job/j1/history")).json()["history"]
    assert [(one["change"]["op"], one["outcome"]["status"], one["subject_id"]) for one in entries] == [
        ("create", "applied", "olga"),
        ("edit", "applied", "olga"),
    ]
    first = (await ann.get("/v1/entities/job/j1/history", limit=1)).json()
    second = (await ann.get("/v1/entities/job/j1/history", limit=1, after=first["next"])).json()
    assert first["history"] + second["history"] == entries
    assert "next" not in second


async def test_a_delete_is_restricted_cascades_or_sets_null(world: World) -> None:
    ann = world.office()
    ann.create(SITE, {"name": "Mill"})
    ann.create(JOB, {"title": "Boiler", "site_id": "s1"})
    ann.create(NOTE, {"body": "look", "job_id": "j1"})
    ann.create(("contact", "c1"), {"name": "Eve", "site_id": "s1"})
    ann.delete(SITE)
    receipts = await ann.settle()
    assert (receipts[-1].outcome.status, receipts[-1].outcome.code) == ("rejected", "restricted")
    ann.delete(JOB)
    await ann.settle()
    rows = world.database.rows(
        "SELECT kind, deleted_by_device_id FROM app.entities WHERE deleted_at IS NOT NULL"
    )
    assert {kind for kind, _ in rows} == {"job", "note"}
    assert {by for kind, by in rows if kind == "note"} == {f"server:{ann.store.state().epoch}"}
    ann.delete(SITE)
    await ann.settle()
    assert ann.view(("contact", "c1"))["site_id"] is None
    by_authority = world.database.rows("SELECT count(*) FROM app.changes WHERE subject_id IS NULL")
    assert by_authority == [(2,)]


async def test_a_thousand_records_that_hang_on_one_go_with_it(world: World) -> None:
    ann = world.office()
    ann.create(JOB, {"title": "Boiler"})
    for number in range(400):
        ann.create(("note", f"n{number}"), {"body": "x", "job_id": "j1"})
    await ann.settle()
    ann.delete(JOB)
    await ann.settle()
    assert world.database.rows("SELECT count(*) FROM app.entities WHERE deleted_at IS NULL") == [(0,)]
    assert all(not ann.view(key) for key in ann.held())


async def test_an_orphan_is_a_conflict_and_is_mended_by_the_return_of_its_target(world: World) -> None:
    ann = world.office()
    ben = world.phone("olga")
    ann.create(SITE, {"name": "Mill"})
    await ann.settle()
    await ben.settle()
    ben.delete(SITE)
    await ben.settle()
    ann.create(JOB, {"title": "Boiler", "site_id": "s1"})
    await ann.settle()
    assert [one.reason for one in ann.conflicts(JOB)] == ["orphan"]
    assert world.database.rows("SELECT reason, closed_at FROM app.conflicts") == [("orphan", None)]
    ben.restore(SITE)
    await ben.settle()
    await ann.settle()
    assert ann.conflicts(JOB) == []
    ((reason, closed_at),) = world.database.rows("SELECT reason, closed_at FROM app.conflicts")
    assert (reason, closed_at is not None) == ("orphan", True)


async def test_a_change_under_its_new_name_is_a_duplicate_of_itself(world: World) -> None:
    ann = world.office()
    made = ann.made(ann.create(JOB, {"title": "Boiler", "cost_pence": 5}))
    await ann.settle()
    response = await ann.get("/v1/schema")
    assert response.status_code == 200
    renamed = type(made)(
        dot=Dot("olga-again", 1),
        kind=made.kind,
        entity_id=made.entity_id,
        op=made.op,
        patches=made.patches,
        written_at=made.written_at,
        was=Alias(made.dot, digest(made)),
    )
    pushed = [Pushed(renamed, digest(renamed))]
    answer = await ann.send(SyncRequest(1, 1, pushed, rows_max=0, device_id="olga-again"))
    (receipt,) = answer.receipts
    assert receipt.outcome.status == "duplicate"
    assert receipt.outcome.first is not None
    assert receipt.outcome.first.status == "applied"
    assert world.database.rows("SELECT count(*) FROM app.effects") == [(1,)]
    replica = world.database.rows(
        "SELECT count(DISTINCT replica_id) FROM app.devices WHERE subject_id = 'olga'"
    )
    assert replica == [(1,)]


async def test_B06_a_gap_says_what_was_expected_and_a_void_fills_it(world: World) -> None:
    ann = world.office()
    first = ann.made(ann.create(JOB, {"title": "Boiler"}))
    second = ann.made(ann.edit(JOB, {"title": "Boiler leaks"}))
    third = ann.made(ann.create(("job", "j2"), {"title": "Tap"}))
    await ann.send(SyncRequest(1, 1, [Pushed(first, digest(first))], rows_max=0))
    with pytest.raises(FailedError) as failed:
        await ann.send(SyncRequest(1, 1, [Pushed(third, digest(third))], rows_max=0))
    assert (failed.value.problem.status, failed.value.problem.code) == (409, "counter_gap")
    assert failed.value.problem.expected == 2
    assert failed.value.problem.remedy
    void = type(second)(
        second.dot, second.kind, second.entity_id, "void", digest=digest(second), reason="too_large"
    )
    pushed = [Pushed(void, digest(second)), Pushed(third, digest(third))]
    answer = await ann.send(SyncRequest(1, 1, pushed, rows_max=0))
    assert [receipt.outcome.status for receipt in answer.receipts] == ["void", "applied"]


async def test_B06_a_counter_used_again_with_other_content_gives_a_clone_away(world: World) -> None:
    ann = world.office()
    first = ann.made(ann.create(JOB, {"title": "Boiler"}))
    await ann.settle()
    other = type(first)(first.dot, "job", "j2", "create", patches=first.patches)
    with pytest.raises(FailedError) as failed:
        await ann.send(SyncRequest(1, 1, [Pushed(other, digest(other))], rows_max=0))
    assert (failed.value.problem.status, failed.value.problem.code) == (409, "device_cloned")
    assert world.database.rows("SELECT count(*) FROM app.entities") == [(1,)]


async def test_devices_that_create_the_same_record_at_once_both_get_through(world: World) -> None:
    phones = [world.office(), *(world.phone("olga") for _ in range(5))]
    for number, phone in enumerate(phones):
        for record in range(20):
            phone.create(("job", f"j{record}"), {"title": f"by {number}", "cost_pence": 1})
    async with anyio.create_task_group() as group:
        for phone in phones:
            group.start_soon(phone.round_trip)
    counted = world.database.rows("SELECT status, count(*) FROM app.changes GROUP BY 1 ORDER BY 1")
    assert counted == [("applied", 20), ("conflicted", 100)]
    seqs = [seq for (seq,) in world.database.rows("SELECT seq FROM app.entities")]
    assert len(set(seqs)) == len(seqs)


async def test_cascades_at_once_never_share_a_number_of_the_authority(world: World) -> None:
    ann = world.office()
    phones = [ann, *(world.phone("olga") for _ in range(3))]
    for number in range(len(phones)):
        ann.create(("job", f"j{number}"), {"title": "x"})
        ann.create(("note", f"n{number}"), {"body": "x", "job_id": f"j{number}"})
    await ann.settle()
    for number, phone in enumerate(phones):
        await phone.settle()
        phone.delete(("job", f"j{number}"))
    async with anyio.create_task_group() as group:
        for phone in phones:
            group.start_soon(phone.round_trip)
    assert world.database.rows("SELECT count(*) FROM app.entities WHERE deleted_at IS NULL") == [(0,)]
    spent = world.database.rows("SELECT counter FROM app.changes WHERE device_id LIKE 'server:%' ORDER BY 1")
    assert len(set(spent)) == 4
    assert world.database.rows("SELECT authority_counter FROM app.tenants") == spent[-1:]


async def test_a_transaction_is_taken_whole_or_not_at_all(world: World) -> None:
    ann = world.office()
    ann.create(("job", "j1"), {"title": "one"}, "tx1")
    ann.create(("job", "j2"), {"title": "two", "site_id": "nowhere"}, "tx1")
    ann.create(("job", "j3"), {"title": "three"})
    receipts = await ann.settle()
    assert [receipt.outcome.code for receipt in receipts] == ["transaction_rejected", "unknown_reference", ""]
    assert world.database.rows("SELECT entity_id FROM app.entities") == [("j3",)]
    assert world.database.rows("SELECT count(*) FROM app.changes WHERE status = 'rejected'") == [(2,)]
