"""Bad input: a clear answer that names the field; nothing is lost, and the rest of the batch goes on."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import msgspec
import pytest
import zstandard

from rightfit_server.feed.cursors import Cursors
from rightfit_server.settings import signing_keys
from rightfit_sync.causality.dot import Dot
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX, DEVICES_PER_VECTOR_MAX, PUSH_BYTES_MAX
from rightfit_sync.records import Change, Patch
from rightfit_sync.wire.codec import JSON, MSGPACK
from rightfit_sync.wire.messages import SyncRequest, SyncResponse
from tests.server.world import KEYS, TENANT, Phone, World, answered, tokens_of

pytestmark = pytest.mark.anyio
JOB = ("job", "j1")


def asked(**changed: object) -> dict[str, Any]:
    return {"protocol_version": 1, "schema_version": 1, **changed}


def create(phone: Phone, counter: int, patches: dict[str, Any], **changed: object) -> Change:
    facts: dict[str, Any] = {"kind": "job", "entity_id": f"j{counter}", "op": "create", **changed}
    return Change(
        dot=Dot(phone.device_id, counter),
        patches={path: Patch(value=value) for path, value in patches.items()},
        **facts,
    )


async def push(phone: Phone, *changes: Change) -> SyncResponse:
    return await phone.send(SyncRequest(1, 1, [Pushed(one, "0" * 32) for one in changes], rows_max=0))


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == response.status_code
    assert found["title"]
    assert found["type"] == f"urn:rightfit:problem:{found['code']}"
    return found


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9007199254740992", "-" + "9" * 400]
)
async def test_B01_numbers_that_no_reader_keeps(world: World, number: str) -> None:
    phone = world.office()
    body = json.dumps(asked(rows_max=1)).replace('"rows_max": 1', f'"rows_max": {number}')
    response = await phone.post("/v1/sync", body.encode(), JSON)
    assert (response.status_code, problem(response)["code"]) == (400, "invalid_number")


async def test_B01_in_messagepack_only_the_change_that_holds_it_is_refused(world: World) -> None:
    phone = world.office()
    answer = await push(
        phone,
        create(phone, 1, {"price": float("nan")}),
        create(phone, 2, {"price": 1.5}),
        create(phone, 3, {"cost_pence": 2**53}),
    )
    codes = [receipt.outcome.code or receipt.outcome.status for receipt in answer.receipts]
    assert codes == ["invalid_number", "applied", "invalid_number"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"protocol_version":1,"protocol_version":1,"schema_version":1}', JSON, 400, "duplicate_key"),
        (b'{"protocol_version":1,', JSON, 400, "malformed_body"),
        (b'{"protocol_version":"\xff"}', JSON, 400, "malformed_body"),
        (b"[" * 200 + b"]" * 200, JSON, 400, "too_deep"),
        (b"\x81\xa1x" + b"\x91" * 5000 + b"\x01", MSGPACK, 400, "too_deep"),
        (b"\xc1", MSGPACK, 400, "malformed_body"),
        (b"", MSGPACK, 400, "malformed_body"),
        (b"{}", JSON, 400, "invalid_message"),
        (b'{"protocol_version":1,"schema_version":1,"rows_max":-1}', JSON, 400, "invalid_message"),
        (b"<xml/>", "text/xml", 415, "unsupported_media_type"),
    ],
)
async def test_B02_bodies_that_are_none(
    world: World, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = await world.office().post("/v1/sync", body, content_type)
    assert (response.status_code, problem(response)["code"]) == (status, code)


async def test_B02_a_wrong_type_names_the_place(world: World) -> None:
    body = msgspec.json.encode(asked(changes=[{"change": {}, "digest": 5}]))
    found = problem(await world.office().post("/v1/sync", body, JSON))
    assert found["field"].startswith("$.changes[0]")


async def test_B02_values_nested_too_deep_are_refused_by_name(world: World) -> None:
    phone = world.office()
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    answer = await push(phone, create(phone, 1, {"unheard_of": deep}), create(phone, 2, {"title": "x"}))
    assert [receipt.outcome.code for receipt in answer.receipts] == ["too_deep", ""]


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
async def test_B03_text_that_databases_refuse(world: World, text: str) -> None:
    phone = world.office()
    changes = [
        create(phone, 1, {"title": text}),
        create(phone, 2, {"title": "x"}, entity_id=text),
        create(phone, 3, {text: "x"}),
        create(phone, 4, {"title": "x"}, transaction_id=text),
        create(phone, 5, {"title": "fine"}),
    ]
    body = json.dumps(
        asked(
            rows_max=0,
            changes=[{"change": msgspec.to_builtins(one), "digest": "0" * 32} for one in changes],
        )
    )
    answer = answered(await phone.post("/v1/sync", body.encode(), JSON))
    codes = [receipt.outcome.code for receipt in answer.receipts]
    assert codes == ["invalid_text"] * 4 + [""]
    kept = world.database.rows("SELECT change::text FROM app.changes WHERE counter = 1")
    assert json.loads(kept[0][0])["patches"]["title"]["value"] == text


async def test_B03_a_kind_that_is_no_text_is_only_unknown(world: World) -> None:
    phone = world.office()
    answer = await push(
        phone, create(phone, 1, {"title": "x"}, kind="jo\x00b"), create(phone, 2, {"title": "x"})
    )
    assert [deferred.dot.counter for deferred in answer.deferred] == [1]
    assert [receipt.outcome.status for receipt in answer.receipts] == ["applied"]


async def test_B03_names_too_long_for_a_key_are_refused_by_name(world: World) -> None:
    phone = world.office()
    answer = await push(phone, create(phone, 1, {"title": "x"}, entity_id="x" * 5000), create(phone, 2, {}))
    assert [receipt.outcome.code for receipt in answer.receipts] == ["invalid_name", ""]


async def test_B04_a_body_over_the_limit_is_refused_before_it_is_read(world: World) -> None:
    phone = world.office()
    response = await phone.post("/v1/sync", b" " * (PUSH_BYTES_MAX + 1), JSON)
    assert (response.status_code, problem(response)["code"]) == (413, "too_large")


async def test_B04_a_body_without_a_length_is_counted_while_it_comes(world: World) -> None:
    phone = world.office()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000_000
            yield b" " * 1_000_000

    headers = {**phone.headers, "Content-Type": JSON}
    response = await world.http.post("/v1/sync", content=endless(), headers=headers)
    assert (response.status_code, problem(response)["code"]) == (413, "too_large")


async def test_B04_a_compressed_bomb_is_not_inflated(world: World) -> None:
    phone = world.office()
    bomb = zstandard.ZstdCompressor().compress(b" " * 500_000_000)
    headers = {**phone.headers, "Content-Type": JSON, "Content-Encoding": "zstd"}
    tracemalloc.start()
    response = await world.http.post("/v1/sync", content=bomb, headers=headers)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (response.status_code, problem(response)["code"]) == (413, "too_large")
    assert peak_bytes < 5 * PUSH_BYTES_MAX


async def test_B04_too_many_changes_at_once(world: World) -> None:
    phone = world.office()
    changes = [Pushed(create(phone, counter, {}), "0" * 32) for counter in range(1, CHANGES_PER_PUSH_MAX + 2)]
    response = await phone.post("/v1/push", SyncRequest(1, 1, changes))
    assert (response.status_code, problem(response)["code"]) == (413, "too_large")


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, zstd"])
async def test_B04_an_encoding_that_is_not_understood(world: World, encoding: str) -> None:
    phone = world.office()
    headers = {**phone.headers, "Content-Type": JSON, "Content-Encoding": encoding}
    response = await world.http.post("/v1/sync", content=b"{}", headers=headers)
    assert (response.status_code, problem(response)["code"]) == (415, "unsupported_media_type")


async def test_B05_what_a_newer_schema_sends(world: World) -> None:
    phone = world.office()
    answer = await push(
        phone,
        create(phone, 1, {"title": "x"}, kind="invoice"),
        create(phone, 2, {"title": "x", "colour": "red"}),
        create(phone, 3, {"title": 5}),
        create(phone, 4, {"analysis": "rust"}),
        create(phone, 5, {"title": "fine"}),
    )
    assert [(one.dot.counter, one.code) for one in answer.deferred] == [(1, "schema_ahead")]
    codes = {receipt.dot.counter: receipt.outcome.code for receipt in answer.receipts}
    assert codes == {2: "", 3: "invalid_type", 4: "server_field", 5: ""}
    kept = (await phone.get("/v1/entities/job/j2")).json()["entity"]["fields"]
    assert kept["colour"][0]["value"] == "red"
    again = await push(phone, create(phone, 1, {"title": "x"}, kind="invoice"), create(phone, 6, {}))
    assert [one.dot.counter for one in again.deferred] == [1]


async def test_B05_changes_deferred_alone_leave_no_gap_behind_them(world: World) -> None:
    phone = world.office()
    await push(phone, create(phone, 1, {"title": "x"}, kind="invoice"))
    answer = await push(phone, create(phone, 2, {"title": "x"}))
    assert [receipt.outcome.status for receipt in answer.receipts] == ["applied"]


async def test_B07_a_base_that_nobody_knows_gets_a_receipt_and_blocks_nothing(world: World) -> None:
    phone = world.office()
    await push(phone, create(phone, 1, {"title": "x"}, entity_id="j1"))
    edit = {"entity_id": "j1", "op": "edit"}
    unknown = create(phone, 2, {"title": "y"}, base={"stranger": 5}, **edit)
    unseen = msgspec.structs.replace(
        create(phone, 3, {}, **edit), patches={"title": Patch(value="z", replaces=[Dot("stranger", 1)])}
    )
    crowd = create(
        phone, 4, {"title": "y"}, base={f"d{n}": 1 for n in range(DEVICES_PER_VECTOR_MAX + 1)}, **edit
    )
    answer = await push(phone, unknown, unseen, crowd, create(phone, 5, {"title": "fine"}))
    codes = [receipt.outcome.code for receipt in answer.receipts]
    assert codes == ["base_unknown", "base_unknown", "too_many_devices", ""]


async def test_B07_the_sixty_fifth_device_to_edit_a_record_edits_it(world: World) -> None:
    first = world.office()
    first.create(JOB, {"title": "x", "cost_pence": 0})
    await first.settle()
    for _ in range(70):
        phone = world.phone("olga")
        await phone.settle()
        phone.edit(JOB, {"cost_pence": phone.view(JOB)["cost_pence"] + 1})  # type: ignore[operator]
        (receipt,) = await phone.settle()
        assert receipt.outcome.status == "applied"
    await first.settle()
    assert first.view(JOB)["cost_pence"] == 70


async def test_B08_cursors(world: World) -> None:
    phone, other = world.office(), world.phone("olga")
    foreigner = world.office(tenant_id="other")
    phone.create(JOB, {"title": "x"})
    await phone.settle()
    mine = phone.store.state().cursor
    assert mine is not None

    async def pulled(who: Phone, cursor: str) -> tuple[int, str]:
        response = await who.post("/v1/pull", SyncRequest(1, 1, cursor=cursor))
        return response.status_code, "" if response.status_code == 200 else problem(response)["code"]

    signer = world.services.feed._cursors
    facts = signer.verify(mine, TENANT, [phone.device_id])

    def forged(**changed: object) -> str:
        return signer.sign(msgspec.structs.replace(facts, **changed))

    assert await pulled(phone, mine) == (200, "")
    assert await pulled(phone, mine[:-2] + "xx") == (400, "cursor_invalid")
    assert await pulled(phone, "") == (400, "cursor_invalid")
    assert await pulled(phone, "é.ü") == (400, "cursor_invalid")
    assert await pulled(other, mine) == (403, "cursor_foreign")
    assert await pulled(foreigner, mine) == (403, "cursor_foreign")
    assert await pulled(phone, forged(epoch="e0")) == (409, "epoch_changed")
    assert await pulled(phone, forged(head=facts.seq, head_chain=facts.chain, seq=0, chain=GENESIS)) == (
        200,
        "",
    )
    world.database.rows("UPDATE app.tenants SET purge_horizon = head + 1 RETURNING 1")
    assert await pulled(phone, mine) == (410, "cursor_expired")
    world.database.rows("UPDATE app.tenants SET purge_horizon = 0 RETURNING 1")
    for impossible in (
        {"seq": facts.seq + 1000},
        {"chain": "0" * 32},
        {"seq": facts.seq - 1},
        {"head": facts.seq + 1, "head_chain": facts.chain},
    ):
        # What only a server that was restored can have signed begins a new epoch.
        ((before,),) = world.database.rows("SELECT epoch FROM app.tenants WHERE tenant_id = 'acme'")
        assert await pulled(phone, forged(epoch=before, **impossible)) == (409, "epoch_changed")
        ((after,),) = world.database.rows("SELECT epoch FROM app.tenants WHERE tenant_id = 'acme'")
        assert after != before
    assert await pulled(phone, mine) == (409, "epoch_changed")


async def test_B08_a_cursor_signed_with_the_former_key_is_still_good(world: World) -> None:
    phone = world.office()
    await phone.settle()
    cursor = phone.store.state().cursor
    assert cursor is not None
    rotated = Cursors(signing_keys("new=" + "7b" * 32 + "," + KEYS))
    assert rotated.verify(cursor, TENANT, [phone.device_id]).tenant_id == TENANT
    with pytest.raises(RemoteError) as refused:
        Cursors(signing_keys("new=" + "7b" * 32)).verify(cursor, TENANT, [phone.device_id])
    assert refused.value.code == "cursor_invalid"


async def test_B09_a_text_operation_that_does_not_fit_its_base(world: World) -> None:
    phone = world.office()
    await push(phone, create(phone, 1, {"title": "x", "notes": "short"}, entity_id="j1"))
    seen = [Dot(phone.device_id, 1)]
    edits = [
        msgspec.structs.replace(
            create(phone, counter, {}, entity_id="j1", op="edit", base={phone.device_id: 1}),
            patches={"notes": Patch(base="short", replaces=seen, ops=ops)},
        )
        for counter, ops in enumerate([[99, "x"], [-99], [{"x": 1}], "x"], 2)
    ]
    body = msgspec.msgpack.encode(asked(rows_max=0, changes=[Pushed(one, "0" * 32) for one in edits[:3]]))
    answer = answered(await phone.post("/v1/sync", body))
    assert [receipt.outcome.code for receipt in answer.receipts] == ["invalid_operation"] * 3


def signed(claims: dict[str, Any], key: bytes | None, algorithm: str = "HS256", kid: str = "test") -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})


async def test_B10_tokens_that_are_none(world: World) -> None:
    phone = world.office()
    key = bytes.fromhex("5a" * 32)
    good = jwt.decode(phone.token, key, ["HS256"], audience="rightfit-sync")
    less = {name: value for name, value in good.items() if name != "exp"}
    bad = {
        "none": signed(good, None, "none"),
        "another algorithm": signed(good, key + key, "HS512"),
        "no end": signed(less, key),
        "over": signed({**good, "exp": 1}, key),
        "another audience": signed({**good, "aud": "rightfit-web"}, key),
        "another key": signed(good, b"x" * 32),
        "unknown key name": signed(good, key, kid="../../dev/null"),
        "no key name": signed(good, key, kid=""),
        "the authority's device": signed({**good, "device": "server:e1"}, key),
        "no device": signed({**good, "device": ""}, key),
        "a number for a tenant": signed({**good, "tenant": 5}, key),
        "a list for a device": signed({**good, "device": ["a"]}, key),
        "another tenant": signed({**good, "tenant": "other"}, key),
        "another subject": signed({**good, "sub": "eve"}, key),
        "unknown device of an unknown subject": signed({**good, "device": "nobody", "sub": "eve"}, key),
        "nonsense": "a.b.c",
    }
    for name, token in bad.items():
        phone.token = token
        response = await phone.post("/v1/sync", SyncRequest(1, 1))
        assert (response.status_code, problem(response)["code"]) == (401, "unauthorized"), name
        assert response.headers["www-authenticate"] == "Bearer"
    response = await world.http.post("/v1/sync", headers={"Authorization": "Basic eDp5"})
    assert response.status_code == 401
    assert tokens_of().verify(signed(good, key)).device_id == good["device"]


async def test_an_unknown_route_and_a_wrong_verb_are_problems_too(world: World) -> None:
    phone = world.office()
    assert problem(await phone.get("/v1/nothing"))["status"] == 404
    assert problem(await phone.get("/v1/sync"))["status"] == 405


@pytest.mark.parametrize("wait", ["-1", "56", "soon", "nan", "inf"])
async def test_a_waiting_time_is_bounded(world: World, wait: str) -> None:
    phone = world.office()
    response = await phone.post(f"/v1/sync?wait={wait}", SyncRequest(1, 1))
    assert (response.status_code, problem(response)["field"]) == (400, "wait")


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"after": "x"}, {"after": "1"}]
)
async def test_places_in_lists_are_checked(world: World, query: dict[str, str]) -> None:
    phone = world.office()
    response = await phone.get("/v1/conflicts", **query)
    assert response.status_code == 400
    assert problem(response)["field"] in query
