"""Comparing a copy with the server: sums and lists as the core makes them, bounds, and offers that are refused."""

import hmac
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from rightfit_server.feed.cursors import Seals
from rightfit_server.settings import signing_keys
from rightfit_sync.digests import Listed, bucket, canonical_state, digest_of, place
from rightfit_sync.feed import Row
from rightfit_sync.limits import (
    BUCKETS_PER_REQUEST_MAX,
    KEYS_PER_REQUEST_MAX,
    LISTINGS_PER_REQUEST_MAX,
    OFFERS_PER_REQUEST_MAX,
)
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import state_of_before
from rightfit_sync.store import Key
from rightfit_sync.wire.codec import JSON, MSGPACK, decode
from rightfit_sync.wire.messages import Offer, ReconcileRequest, ReconcileResponse, SyncRequest
from rightfit_sync.wire.seal import seal
from tests.server.application import SCHEMA, TestApplication
from tests.server.collecting import BOILER, TAP, purged, silence
from tests.server.restoring import check, heal
from tests.server.world import KEYS, TENANT, Database, Phone, World, serving

pytestmark = pytest.mark.anyio
JOB = ("job", "j1")
NAMES = ["carl", "ünal", "zoë", "ann:lee", "李雷", "a\u0301", "Ω mega", "\U0001d54f", "\ue000", "~", "Z", "a"]
"""Names that sort differently by code points, by UTF-16 and by any language's rules."""


async def ask(phone: Phone, **asked: object) -> ReconcileResponse:
    request = msgspec.convert({"protocol_version": 1, "schema_version": 1, **asked}, ReconcileRequest)
    response = await phone.post("/v1/reconcile", request)
    assert response.status_code == 200, response.content
    return decode(response.content, MSGPACK, ReconcileResponse)


async def offer(phone: Phone, *offers: Offer) -> ReconcileResponse:
    return await ask(phone, offers=offers, cursor=phone.store.state().cursor)


def rows_of(phone: Phone) -> dict[Key, Row]:
    return dict(phone.store.trunks([key for key, _ in phone.store.trunk_tags()]))


def held(phone: Phone, key: Key) -> Row:
    return phone.store.trunks([key])[key]


def changed(entity: Entity, title: object) -> Entity:
    (sibling,) = entity.fields["title"]
    return replace(entity, fields={**entity.fields, "title": [replace(sibling, value=title)]})


async def test_sums_and_lists_are_those_of_the_core(world: World) -> None:
    """Each subject's rows as it was told them, digested here, against what PostgreSQL makes of its own."""
    random = Random(8)
    office = world.office()
    crew = []
    for number in range(6):
        name = f"subject {number}"
        world.subject(name, [f"contractor:{one}" for one in random.sample(NAMES, 4)])
        crew.append(world.phone(name))
    for number in range(3):
        office.create(("site", f"s{number}"), {"name": "x"})
    for number in range(120):
        wanted = {"title": "x", "contractor": random.choice(NAMES), "site_id": f"s{number % 3}"}
        office.create(("job", f"Jöb {number}"), wanted)
    office.delete(("job", "Jöb 7"))
    await heal(office)
    for phone in [office, *crew]:
        await phone.settle()
        rows = rows_of(phone)
        assert len({len(row.tags) for row in rows.values()}) > 1 or phone is office
        places = {key: place(*key) for key in rows}
        prefixes = ["", *"0123456789abcdef", *sorted({one[:2] for one in places.values()})[:40], "ffff0000"]
        answer = await ask(phone, prefixes=prefixes)
        expected = [
            bucket(prefix, [digest_of(rows[key]) for key, one in places.items() if one.startswith(prefix)])
            for prefix in prefixes
        ]
        assert list(answer.buckets) == expected
        listed = (await ask(phone, listings=["", "a"])).listed
        assert len(listed) == len(rows)
        assert set(listed) == {Listed(*key, digest_of(row)) for key, row in rows.items()}
        again = await ask(phone, keys=sorted(rows))
        assert {(row.entity.kind, row.entity.entity_id): row for row in again.rows} == rows
        assert (again.tags, again.epoch) == (
            phone.store.state().tags,
            phone.store.state().epoch or again.epoch,
        )


async def test_nothing_is_compared_or_told_that_the_subject_may_not_see(world: World) -> None:
    """T09 on the new route: an invisible record and one that is not there are answered alike."""
    office = world.office()
    office.create(JOB, {"title": "Secret", "contractor": "carl"})
    await office.settle()
    world.subject("carl", ["contractor:carl"])
    world.subject("dora", ["contractor:dora"])
    carl, dora = world.phone("carl"), world.phone("dora")
    await carl.settle()
    everything = {"prefixes": ["", place(*JOB)], "listings": ["", place(*JOB)]}
    seen, blank = await ask(carl, **everything, keys=[JOB]), await ask(dora, **everything, keys=[JOB])
    missing = await ask(dora, **everything, keys=[("job", "j0")])
    assert [one.count for one in seen.buckets] == [1, 1]
    assert replace(blank, cursor="") == replace(missing, cursor="")
    assert (blank.rows, blank.listed, [one.count for one in blank.buckets]) == ([], [], [0, 0])
    # Offering it back, with a genuine seal, tells nothing either.
    row = held(carl, JOB)
    offered = await offer(dora, Offer(row.entity, row.seal))
    assert (offered.rows, offered.refused) == ([], [])
    assert "Secret" not in str(offered)


async def test_F08_only_what_this_server_had_sealed_comes_back(world: World) -> None:
    office, stranger = world.office(), world.office("sam", "other")
    for phone in (office, stranger):
        phone.create(JOB, {"title": "Boiler"})
        await phone.settle()
    row, foreign = held(office, JOB), held(stranger, JOB)
    forger = Seals(signing_keys("mine=" + "11" * 32))
    state = canonical_state(changed(row.entity, "Forged"))
    elsewhere = replace(row.entity, entity_id="j2")
    newer = replace(row.entity, version_vector={**row.entity.version_vector, "x": 5})
    bad: Sequence[Offer] = [
        Offer(changed(row.entity, "Altered"), row.seal),
        Offer(changed(row.entity, "Forged"), forger.sealing(TENANT)(state)),
        Offer(changed(row.entity, "Forged"), seal(changed(row.entity, "Forged"), b"", TENANT)),
        Offer(row.entity, row.seal[:8]),
        Offer(row.entity, b""),
        Offer(elsewhere, row.seal),
        Offer(newer, row.seal),
        Offer(foreign.entity, foreign.seal),
        Offer(replace(row.entity, entity_id="\x00"), row.seal),
        Offer(replace(row.entity, kind=""), row.seal),
        Offer(
            replace(
                row.entity, fields={"title": [replace(row.entity.fields["title"][0], value={1: 2, "x": 1})]}
            ),
            b"",
        ),
    ]
    before = world.database.rows("SELECT head, state FROM app.tenants JOIN app.entities USING (tenant_id)")
    for one in bad:
        answer = await offer(office, one)
        assert [refused.code for refused in answer.refused] == ["seal_invalid"], one
    together = await offer(office, *bad, Offer(row.entity, row.seal))
    assert [refused.code for refused in together.refused] == ["seal_invalid"] * len(bad)
    assert [one.entity for one in together.rows] == [row.entity]
    after = world.database.rows("SELECT head, state FROM app.tenants JOIN app.entities USING (tenant_id)")
    assert after == before
    assert world.database.rows("SELECT 1 FROM app.joins") == []


async def test_F08_a_seal_of_an_older_release_proves_as_much(world: World) -> None:
    office = world.office()
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    row = held(office, JOB)
    key, drawn_for_cursors = next(iter(signing_keys(KEYS).values())), b"rightfit cursor"
    tenant = len(TENANT).to_bytes(4) + TENANT.encode()
    for state in (canonical_state(row.entity), state_of_before(row.entity)):
        codes = []
        for purpose in (b"rightfit seal", drawn_for_cursors):
            drawn = hmac.digest(key, purpose, "sha256")
            old = hmac.digest(drawn, tenant + state, "sha256")[:16]
            answer = await offer(office, Offer(row.entity, old))
            codes.append([refused.code for refused in answer.refused])
        assert codes == [[], ["seal_invalid"]]


async def test_F08_half_a_character_in_an_offer_is_a_forgery_like_any_other(world: World) -> None:
    office = world.office()
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    entity = msgspec.to_builtins(held(office, JOB).entity)
    entity["fields"]["title"][0]["value"] = "HALF"
    message = {"protocol_version": 1, "schema_version": 1, "offers": [{"entity": entity, "seal": "WlpaWg=="}]}
    body = msgspec.json.encode(message).replace(b"HALF", rb"\ud800")
    response = await office.post("/v1/reconcile", body, JSON)
    assert (response.status_code, response.json()["refused"][0]["code"]) == (200, "seal_invalid")


async def test_a_seal_of_the_former_key_is_still_genuine(database: Database) -> None:
    async with serving(database) as world:
        office = world.office()
        office.create(JOB, {"title": "Boiler"})
        await office.settle()
        row = held(office, JOB)
    async with serving(database, signing_keys="new=" + "7b" * 32 + "," + KEYS) as world:
        office.world = world
        answer = await offer(office, Offer(row.entity, row.seal))
        assert answer.refused == []
        assert answer.rows[0].seal != row.seal
    async with serving(database, signing_keys="new=" + "7b" * 32) as world:
        office.world, office.token = world, world.tokens.mint(office.identity).token
        answer = await ask(office, offers=[Offer(row.entity, row.seal)])
        assert [refused.code for refused in answer.refused] == ["seal_invalid"]


async def test_F08_a_seal_raises_nobody_whose_tombstone_was_collected(world: World) -> None:
    office = world.office()
    office.create(BOILER, {"title": "x"})
    await office.settle()
    row = held(office, BOILER)
    office.delete(BOILER)
    await office.settle()
    await office.settle()
    grave = held(office, BOILER)
    assert purged(world.database).collected == 1
    for one in (row, grave):
        answer = await ask(office, offers=[Offer(one.entity, one.seal)])
        assert (answer.rows, answer.refused) == ([], [])
    assert world.database.rows("SELECT 1 FROM app.entities WHERE entity_id = 'boiler'") == []
    check(world.database)


async def test_a_device_beyond_the_horizon_compares_and_forgets(world: World) -> None:
    """F10 with the new exchange: what it had pending is pushed, what was collected goes, and nothing comes back."""
    office, silent = world.office(), world.phone("olga")
    for key in (BOILER, TAP):
        office.create(key, {"title": "x"})
    await heal(office, silent)
    office.delete(BOILER)
    await heal(office)
    silence(silent)
    await heal(office)
    assert purged(world.database).collected == 1
    silent.create(("job", "late"), {"title": "Late"})
    silent.edit(BOILER, {"title": "still there"})
    await silent.heal()
    assert [response.status_code for response in silent.asked if response.status_code != 200] == [410]
    assert silent.held() == {TAP, ("job", "late")}
    assert [one.outcome.code for one in silent.store.rejected()] == ["unknown_entity"]
    await heal(office)
    assert office.view(("job", "late"))["title"] == "Late"
    check(world.database)


async def test_F10_a_record_that_was_collected_is_not_born_again(world: World) -> None:
    office = world.office()
    office.create(BOILER, {"title": "x"})
    await heal(office)
    office.delete(BOILER)
    await heal(office, office)
    assert purged(world.database).collected == 1
    new = world.phone("olga")
    new.create(BOILER, {"title": "again"})
    new.create(TAP, {"title": "Tap"})
    await new.heal()
    assert [one.outcome.code for one in new.store.rejected()] == ["collected"]
    assert new.held() == {TAP}
    check(world.database)


async def test_a_device_that_begins_after_a_purge_reads_on_page_by_page(world: World) -> None:
    office = world.office()
    for number in range(6):
        office.create(("job", f"j{number}"), {"title": "x"})
        await office.settle()
    office.delete(("job", "j0"))
    await heal(office, office)
    assert purged(world.database).collected == 1
    new, old = world.phone("olga"), SyncRequest(1, 1, cursor=office.store.state().cursor, rows_max=2)
    await new.settle(rows_max=2)
    assert new.held() == {("job", f"j{number}") for number in range(1, 6)}
    assert (await office.send(old)).page is not None


async def test_a_comparison_of_many_requests_goes_on_from_where_it_began(world: World) -> None:
    """Rows that move meanwhile are told by the feed, from the place of the first answer on."""
    office, other = world.office(), world.phone("olga")
    office.create(JOB, {"title": "Boiler"})
    await heal(office, other)
    first = await ask(other, prefixes=[""])
    office.edit(JOB, {"title": "Boiler leaks"})
    await office.settle()
    second = await ask(other, prefixes=[""], cursor=first.cursor, goes_on=True)
    third = await ask(other, prefixes=[""], cursor=second.cursor)
    pages = [(await other.send(SyncRequest(1, 1, cursor=one.cursor))).page for one in (first, second, third)]
    assert [len(page.rows) for page in pages if page is not None] == [1, 1, 0]
    # What it was told is proven: the second answer names the newer commit.
    verify = world.services.feed._cursors.verify
    told = [verify(one.cursor, TENANT, [other.device_id]) for one in (first, second)]
    assert told[0].seq == told[1].seq
    assert (told[0].head, told[1].head) == (0, told[1].seq + 1)


async def test_an_offer_of_a_newer_schema_waits(database: Database) -> None:
    async with serving(database) as world:
        office = world.office()
        office.create(("contact", "c1"), {"name": "Cleo"})
        await office.settle()
        row = held(office, ("contact", "c1"))
    kinds = {kind: spec for kind, spec in SCHEMA.kinds.items() if kind != "contact"}
    async with serving(database, TestApplication(Schema(1, kinds))) as world:
        office.world = world
        answer = await offer(office, Offer(row.entity, row.seal))
        assert [refused.code for refused in answer.refused] == ["schema_ahead"]


async def test_two_that_offer_the_same_at_once_join_once(world: World) -> None:
    """A repeated offer changes nothing: no commit, no row of history."""
    office = world.office()
    office.create(JOB, {"title": "Boiler"})
    await office.settle()
    row = held(office, JOB)
    head = world.database.rows("SELECT head FROM app.tenants")
    for _ in range(2):
        await offer(office, Offer(row.entity, row.seal), Offer(row.entity, row.seal))
    assert world.database.rows("SELECT head FROM app.tenants") == head


@pytest.mark.parametrize(
    ("asked", "status", "code", "field"),
    [
        ({"prefixes": ["0"] * (BUCKETS_PER_REQUEST_MAX + 1)}, 413, "too_large", "prefixes"),
        ({"listings": ["0"] * (LISTINGS_PER_REQUEST_MAX + 1)}, 413, "too_large", "listings"),
        ({"keys": [JOB] * (KEYS_PER_REQUEST_MAX + 1)}, 413, "too_large", "keys"),
        ({"prefixes": ["0", "G"]}, 400, "invalid_message", "prefixes[1]"),
        ({"prefixes": ["0A"]}, 400, "invalid_message", "prefixes[0]"),
        ({"prefixes": ["0\n"]}, 400, "invalid_message", "prefixes[0]"),
        ({"prefixes": ["%"]}, 400, "invalid_message", "prefixes[0]"),
        ({"prefixes": ["012345678"]}, 400, "invalid_message", "prefixes[0]"),
        ({"listings": ["x"]}, 400, "invalid_message", "listings[0]"),
        ({"prefixes": [7]}, 400, "invalid_message", "$.prefixes[0]"),
        ({"keys": [["job"]]}, 400, "invalid_message", "$.keys[0]"),
        ({"offers": [{"entity": {}, "seal": ""}]}, 400, "invalid_message", "$.offers[0].entity"),
        ({"protocol_version": 0}, 400, "protocol_too_old", "protocol_version"),
        ({"cursor": "x"}, 400, "cursor_invalid", "cursor"),
        ({"device_id": "\x00"}, 400, "invalid_message", "device_id"),
        ({"device_id": "d" * 201}, 400, "invalid_message", "device_id"),
    ],
)
async def test_B02_a_comparison_that_no_replica_asks_for_is_refused_by_name(
    world: World, asked: dict[str, Any], status: int, code: str, field: str
) -> None:
    office = world.office()
    body = msgspec.json.encode({"protocol_version": 1, "schema_version": 1, **asked})
    response = await office.post("/v1/reconcile", body, JSON)
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (status, code, field)


async def test_B04_too_many_or_too_large_offers_are_refused_whole(world: World) -> None:
    office = world.office()
    office.create(JOB, {"title": "Boiler", "notes": "x" * 50_000})
    await office.settle()
    row = held(office, JOB)
    request = ReconcileRequest(1, 1, offers=[Offer(row.entity, row.seal)] * (OFFERS_PER_REQUEST_MAX + 1))
    response = await office.post("/v1/reconcile", request)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    most = replace(request, offers=request.offers[:OFFERS_PER_REQUEST_MAX])
    response = await office.post("/v1/reconcile", most)
    assert response.status_code == 413


async def test_B03_keys_that_no_table_can_hold_are_not_there(world: World) -> None:
    office = world.office()
    answer = await ask(office, keys=[("job", "\x00"), ("", ""), ("x" * 5000, "y")])
    assert answer.rows == []


async def test_prefixes_are_ranges_of_an_index(world: World) -> None:
    """What a bucket costs follows from its size, not from the tenant's: row level security must not stand between."""
    office = world.office()
    for number in range(500):
        office.create(("job", f"j{number}"), {"title": "x"})
    await office.settle()
    with psycopg.connect(world.database.superuser_url, autocommit=True) as connection:
        connection.execute("ANALYZE app.entities")
    with psycopg.connect(world.database.url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'acme', true)")
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT 1 FROM unnest(ARRAY['ab']) AS p (prefix) JOIN LATERAL (SELECT 1 FROM app.entities e"
            " WHERE e.place >= p.prefix AND e.place < p.prefix || 'g' AND e.audience && ARRAY['office']) r ON true"
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "entities_by_place" in text
    assert "place >=" in text.split("Index Cond")[1].split("\n")[0]
