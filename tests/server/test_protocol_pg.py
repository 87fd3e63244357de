"""Two versions of the protocol and of the schema live together; unknown fields survive."""

from typing import Any

import msgspec
import pytest
import zstandard

from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.schema.spec import FieldSpec, Schema
from rightfit_sync.wire.codec import JSON, MSGPACK
from rightfit_sync.wire.messages import SyncRequest
from tests.server.application import SCHEMA, TestApplication
from tests.server.world import Database, Phone, World, answered, serving

pytestmark = pytest.mark.anyio
JOB = ("job", "j1")


def newer_schema() -> Schema:
    """The schema after a field and a kind were added."""
    kinds = dict(SCHEMA.kinds)
    kinds["job"] = msgspec.structs.replace(
        kinds["job"], fields={**kinds["job"].fields, "colour": FieldSpec(type="str")}
    )
    kinds["invoice"] = msgspec.structs.replace(kinds["contact"], references={})
    return Schema(2, kinds)


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
async def test_F12_messages_of_a_newer_peer_are_understood(world: World, content_type: str) -> None:
    phone = world.office()
    change = phone.made(phone.create(JOB, {"title": "Boiler"}))
    message: dict[str, Any] = {
        "protocol_version": 2,
        "schema_version": 7,
        "shoe_size": 44,
        "changes": [
            {
                "change": {**msgspec.to_builtins(change), "mood": "good"},
                "digest": "0" * 32,
                "signature": [1, {"a": None}],
            }
        ],
    }
    body = msgspec.json.encode(message) if content_type == JSON else msgspec.msgpack.encode(message)
    answer = answered(await phone.post("/v1/sync", body, content_type))
    assert answer.protocol_version == 1
    assert [receipt.outcome.status for receipt in answer.receipts] == ["applied"]


async def test_F12_a_peer_that_is_too_old_is_told_so(world: World) -> None:
    response = await world.office().post("/v1/sync", SyncRequest(0, 1))
    assert (response.status_code, response.json()["code"]) == (400, "protocol_too_old")
    assert response.json()["remedy"] == "update the app"


async def test_F12_apps_of_an_older_and_a_newer_schema_share_records(database: Database) -> None:
    async with serving(database) as before:
        older = before.office()
        older.create(JOB, {"title": "Boiler"})
        await older.settle()
        held_back = before.phone("olga")
        held_back.core.schema = newer_schema()
        held_back.create(("invoice", "i1"), {"name": "x"})
        held_back.create(("job", "j2"), {"title": "Tap", "colour": "red"})
        response = await held_back.round_trip()
        assert [one.code for one in response.deferred] == ["schema_ahead"]
        assert [receipt.outcome.status for receipt in response.receipts] == ["applied"]
    async with serving(database, TestApplication(newer_schema())) as after:
        newer = after.phone("olga")
        await newer.settle()
        assert newer.view(("job", "j2"))["colour"] == "red"
        newer.edit(JOB, {"colour": "blue"})
        await newer.settle()
        older.world = held_back.world = after
        older.edit(JOB, {"title": "Boiler leaks"})
        await older.settle()
        assert "colour" not in older.view(JOB)
        await newer.settle()
        assert (newer.view(JOB)["title"], newer.view(JOB)["colour"]) == ("Boiler leaks", "blue")
        deferred = SyncRequest(1, 2, _pending(held_back), rows_max=0)
        answer = await held_back.send(deferred)
        assert [receipt.outcome.status for receipt in answer.receipts] == ["applied"]


def _pending(phone: Phone) -> list[Pushed]:
    return [Pushed(entry.change, entry.digest) for entry in phone.store.pending()]


async def test_json_and_messagepack_plain_and_compressed_say_the_same(world: World) -> None:
    phone = world.office()
    for number in range(50):
        phone.create(("job", f"j{number}"), {"title": "Boiler"})
    await phone.settle()
    plain = {"Authorization": f"Bearer {phone.token}"}
    request = SyncRequest(1, 1)
    bodies = {
        JSON: msgspec.json.encode(request),
        MSGPACK: msgspec.msgpack.encode(request),
    }
    pages = []
    for content_type, body in bodies.items():
        for is_compressed in (False, True):
            sent = zstandard.compress(body) if is_compressed else body
            headers = {
                **plain,
                "Content-Type": content_type,
                "Accept-Encoding": "zstd" if is_compressed else "",
            }
            headers |= {"Content-Encoding": "zstd"} if is_compressed else {}
            response = await world.http.post("/v1/pull", content=sent, headers=headers)
            assert response.headers.get("content-encoding") == ("zstd" if is_compressed else None)
            assert response.headers["content-type"].startswith(content_type)
            pages.append(answered(response).page)
    assert all(page == pages[0] for page in pages)
    asked = {**plain, "Content-Type": MSGPACK, "Accept": JSON}
    response = await world.http.post("/v1/pull", content=bodies[MSGPACK], headers=asked)
    assert response.headers["content-type"].startswith(JSON)


async def test_halves_of_the_exchange(world: World) -> None:
    phone = world.office()
    phone.create(JOB, {"title": "Boiler"})
    pushed = await phone.send(phone.request(), "/v1/push")
    assert pushed.page is None
    assert len(pushed.receipts) == 1
    response = await phone.post("/v1/pull", phone.request())
    assert (response.status_code, response.json()["field"]) == (400, "changes")
    pulled = await phone.send(SyncRequest(1, 1), "/v1/pull")
    assert pulled.page is not None
    nothing = await phone.send(SyncRequest(1, 1), "/v1/push")
    assert (nothing.epoch, nothing.page) == (pulled.epoch, None)


async def test_a_page_of_no_rows_stays_where_it_is_and_says_that_there_is_more(world: World) -> None:
    phone, other = world.office(), world.phone("olga")
    await phone.settle()
    cursor = phone.store.state().cursor
    other.create(JOB, {"title": "Boiler"})
    await other.settle()
    for path in ("/v1/sync", "/v1/pull"):
        page = (await phone.send(SyncRequest(1, 1, cursor=cursor, rows_max=0), path)).page
        assert page is not None
        assert (len(page.rows), len(page.evicted), page.more, list(page.tags)) == (0, 0, True, ["office"])
        later = (await phone.send(SyncRequest(1, 1, cursor=page.cursor), path)).page
        assert later is not None
        assert [row.entity.entity_id for row in later.rows] == ["j1"]
        assert later.rows[0].seal


async def test_the_schema_has_an_etag(world: World) -> None:
    phone = world.office()
    first = await phone.get("/v1/schema")
    told = msgspec.json.decode(first.content, type=Schema)
    assert msgspec.json.encode(told, order="sorted") == msgspec.json.encode(SCHEMA, order="sorted")
    headers = {**phone.headers, "If-None-Match": first.headers["etag"]}
    again = await world.http.get("/v1/schema", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert (await world.http.get("/v1/schema")).status_code == 401
