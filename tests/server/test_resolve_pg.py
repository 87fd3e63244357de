"""Conflicts settled through the API: by the authority's device, on behalf of the subject."""

import anyio
import pytest

from tests.server.world import Phone, World

pytestmark = pytest.mark.anyio
JOB = ("job", "j1")
JSON = "application/json"


async def in_conflict(world: World) -> tuple[Phone, Phone, str]:
    ann = world.office()
    ben = world.phone("olga")
    ann.create(JOB, {"title": "Boiler", "contractor": "carl"})
    await ann.settle()
    await ben.settle()
    ann.edit(JOB, {"title": "Boiler leaks"})
    ben.edit(JOB, {"title": "Boiler drips"})
    await ann.settle()
    await ben.settle()
    (one,) = (await ann.get("/v1/conflicts")).json()["conflicts"]
    assert one["opened_by_device_id"] == ben.device_id
    return ann, ben, one["conflict"]["conflict_id"]


async def test_a_choice_settles_it_everywhere_and_says_whose_it_was(world: World) -> None:
    ann, ben, conflict_id = await in_conflict(world)
    response = await ann.post(f"/v1/conflicts/{conflict_id}/resolve", b'{"choice": "Boiler drips"}', JSON)
    assert response.status_code == 200
    assert response.json()["outcome"]["status"] == "applied"
    await ann.settle()
    await ben.settle()
    assert ann.view(JOB)["title"] == ben.view(JOB)["title"] == "Boiler drips"
    assert ann.conflicts(JOB) == ben.conflicts(JOB) == []
    assert (await ann.get("/v1/conflicts")).json() == {"conflicts": []}
    closed = world.database.rows("SELECT closed_by_subject_id, closed_by_device_id FROM app.conflicts")
    assert closed == [("olga", f"server:{ann.store.state().epoch}")]
    assert world.database.rows("SELECT subject_id FROM app.changes WHERE op = 'resolve'") == [("olga",)]
    again = await ann.post(f"/v1/conflicts/{conflict_id}/resolve", b'{"choice": "Boiler leaks"}', JSON)
    assert (again.status_code, again.json()["code"]) == (409, "conflict_closed")


async def test_delete_against_edit_is_decided_by_word(world: World) -> None:
    ann = world.office()
    ben = world.phone("olga")
    ann.create(JOB, {"title": "Boiler"})
    ann.create(("note", "n1"), {"body": "x", "job_id": "j1"})
    await ann.settle()
    await ben.settle()
    ben.edit(JOB, {"title": "Boiler leaks"})
    ann.delete(JOB)
    await ann.settle()
    await ben.settle()
    listed = (await ann.get("/v1/conflicts")).json()["conflicts"]
    conflict = next(one["conflict"] for one in listed if one["conflict"]["reason"] == "delete_edit")
    path = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
    wrong = await ann.post(path, b'{"choice": "maybe"}', JSON)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (
        422,
        "invalid_choice",
        "choice",
    )
    deep = await ann.post(path, b'{"choice": "\\u0000"}', JSON)
    assert (deep.status_code, deep.json()["code"]) == (422, "invalid_text")
    assert (await ann.post(path, b'{"choice": "delete"}', JSON)).status_code == 200
    record = (await ann.get("/v1/entities/job/j1")).json()
    assert record["tombstone"]["deleted_by_device_id"] == f"server:{ann.store.state().epoch}"
    assert record["view"] == {}
    numbers = world.database.rows(
        "SELECT counter FROM app.changes WHERE device_id LIKE 'server:%' ORDER BY 1"
    )
    assert len(set(numbers)) == 2
    assert world.database.rows("SELECT authority_counter FROM app.tenants") == numbers[-1:]


async def test_a_choice_of_the_wrong_type_leaves_no_trace(world: World) -> None:
    ann, _, conflict_id = await in_conflict(world)
    before = world.database.rows("SELECT count(*) FROM app.changes")
    response = await ann.post(f"/v1/conflicts/{conflict_id}/resolve", b'{"choice": 5}', JSON)
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (
        422,
        "invalid_type",
        "title",
    )
    assert world.database.rows("SELECT count(*) FROM app.changes") == before


async def test_many_who_decide_at_once_do_not_lose_a_choice(world: World) -> None:
    ann, _, conflict_id = await in_conflict(world)
    answers = []

    async def choose(choice: str) -> None:
        body = f'{{"choice": "{choice}"}}'.encode()
        answers.append((await ann.post(f"/v1/conflicts/{conflict_id}/resolve", body, JSON)).status_code)

    async with anyio.create_task_group() as group:
        for choice in ("one", "two", "three", "four"):
            group.start_soon(choose, choice)
    assert set(answers) <= {200, 409}
    assert 200 in answers
    accepted = world.database.rows("SELECT counter FROM app.changes WHERE op = 'resolve' ORDER BY 1")
    assert len(accepted) == answers.count(200)
    assert world.database.rows("SELECT authority_counter FROM app.tenants") == accepted[-1:]
