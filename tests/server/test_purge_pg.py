"""Collecting tombstones: which go, which stay and for whom."""

import psycopg
import pytest
from msgspec.structs import replace

from rightfit_server.audit.audit import audit
from rightfit_server.postgres import administration
from rightfit_server.postgres import purge as module
from rightfit_sync.errors import LocalError
from rightfit_sync.schema.spec import Schema
from tests.server.application import SCHEMA, TestApplication
from tests.server.collecting import (
    BOILER,
    MILL,
    QUAY,
    RETENTION_DAYS,
    ROOF,
    TAP,
    boiler_deleted,
    check,
    purged,
    settle,
    silence,
    stored,
)
from tests.server.world import TENANT, Database, Phone, World, serving

pytestmark = pytest.mark.anyio


async def test_what_everybody_has_read_goes_and_its_history_stays(world: World) -> None:
    office, other = await boiler_deleted(world)
    head = world.database.rows("SELECT head FROM app.tenants")[0][0]
    done = purged(world.database)
    assert (done.collected, done.unread, done.named, done.disputed, done.unknown) == (1, 0, 0, 0, 0)
    assert (done.horizon, done.head) == (head, head)
    assert stored(world.database) == {TAP}
    history = world.database.rows("SELECT op FROM app.changes WHERE entity_id = 'boiler' ORDER BY counter")
    assert history == [("create",), ("delete",)]
    check(world.database)
    # Who has read it goes on as if nothing had happened, and who comes new hears nothing of it.
    office.edit(TAP, {"title": "Tap drips"})
    new = world.phone("olga")
    await settle(office, other, new)
    assert new.held() == {TAP}
    assert other.view(TAP)["title"] == "Tap drips"
    again = purged(world.database)
    assert (again.collected, again.horizon) == (0, head)


async def test_a_dry_run_counts_and_changes_nothing(world: World) -> None:
    await boiler_deleted(world)
    done = purged(world.database, is_dry=True)
    assert (done.collected, done.horizon) == (1, 0)
    assert stored(world.database) == {BOILER, TAP}
    assert world.database.rows("SELECT 1 FROM app.purged") == []
    assert purged(world.database).collected == 1


async def test_the_conflicts_and_references_of_what_goes_go_with_it(world: World) -> None:
    office, other = world.office(), world.phone("olga")
    office.create(QUAY, {"name": "Quay Road"})
    office.create(BOILER, {"title": "x", "site_id": "quay"})
    await settle(office, other)
    office.edit(BOILER, {"title": "Boiler leaks"})
    other.edit(BOILER, {"title": "Boiler drips"})
    await settle(office, other, office)
    office.delete(BOILER)
    await settle(office, other)
    assert purged(world.database).collected == 1
    assert world.database.rows("SELECT 1 FROM app.conflicts") == []
    assert world.database.rows("SELECT 1 FROM app.entity_references") == []
    check(world.database)


async def test_a_slow_device_holds_it_back_and_a_silent_one_does_not(world: World) -> None:
    office, slow = world.office(), world.phone("olga")
    office.create(BOILER, {"title": "x"})
    await settle(office, slow)
    office.delete(BOILER)
    await settle(office)
    silence(slow, RETENTION_DAYS - 1)
    held = purged(world.database)
    assert (held.collected, held.unread) == (0, 1)
    assert held.slowest is not None
    assert (held.slowest.device_id, held.slowest.subject_id) == (slow.device_id, "olga")
    assert held.slowest.acknowledged_seq < held.head
    silence(slow)
    assert purged(world.database).collected == 1
    check(world.database)


async def test_a_device_that_was_never_here_is_waited_for_until_it_is_silent_for_too_long(
    world: World,
) -> None:
    office = world.office()
    unused = world.phone("olga")
    office.create(BOILER, {"title": "x"})
    office.delete(BOILER)
    await settle(office)
    assert purged(world.database).unread == 1
    silence(unused)
    assert purged(world.database).collected == 1


async def test_a_device_that_was_signed_out_is_not_waited_for(world: World) -> None:
    office, lost = world.office(), world.phone("olga")
    office.create(BOILER, {"title": "x"})
    await settle(office, lost)
    office.delete(BOILER)
    await settle(office)
    assert purged(world.database).collected == 0
    with psycopg.connect(world.database.owner_url) as connection:
        administration.revoke_device(connection, TENANT, lost.device_id)
    assert purged(world.database).collected == 1


async def test_a_former_id_is_not_waited_for_unless_a_clone_goes_on_with_it(world: World) -> None:
    office, former = world.office(), world.phone("olga")
    office.create(BOILER, {"title": "x"})
    await settle(office, former)
    world.database.rows(
        "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, former_device_id,"
        " acknowledged_seq) SELECT tenant_id, 'new', subject_id, replica_id, device_id, 1000"
        " FROM app.devices WHERE device_id = %s RETURNING 1",
        (former.device_id,),
    )
    office.delete(BOILER)
    await settle(office)
    assert purged(world.database, is_dry=True).collected == 1
    world.database.rows(
        "UPDATE app.devices SET last_seen_at = now() WHERE device_id = %s RETURNING 1", (former.device_id,)
    )
    assert purged(world.database).unread == 1


async def test_what_is_alive_or_in_dispute_stays(world: World) -> None:
    office, other = world.office(), world.phone("olga")
    for key in (BOILER, TAP, ROOF):
        office.create(key, {"title": "x"})
    await settle(office, other)
    office.delete(BOILER)
    other.edit(BOILER, {"title": "Not yet!"})
    office.delete(TAP)
    await settle(office, other, office)
    office.restore(TAP)
    await settle(office, other)
    assert purged(world.database).collected == 0
    assert stored(world.database) == {BOILER, TAP, ROOF}


async def test_an_edit_that_no_delete_had_seen_keeps_the_record(database: Database) -> None:
    """With `on_delete_conflict="delete"` the record is deleted, and the edit is kept in it, to be restored."""
    kinds = {**SCHEMA.kinds, "job": replace(SCHEMA.kinds["job"], on_delete_conflict="delete")}
    schema = Schema(1, kinds)
    async with serving(database, TestApplication(schema)) as world:
        office, other = world.office(), world.phone("olga")
        office.create(BOILER, {"title": "x"})
        await settle(office, other)
        office.delete(BOILER)
        other.edit(BOILER, {"title": "Not yet!"})
        await settle(office, other, office)
        assert office.view(BOILER) == {}
        done = purged(database, schema)
        assert (done.collected, done.disputed) == (0, 1)
        office.delete(BOILER)
        await settle(office, other)
        assert purged(database, schema).collected == 1
        check(database, schema)


async def test_a_record_of_a_kind_that_nobody_knows_any_more_stays(world: World) -> None:
    await boiler_deleted(world)
    without = Schema(2, {name: kind for name, kind in SCHEMA.kinds.items() if name in ("site", "contact")})
    done = purged(world.database, without)
    assert (done.collected, done.unknown) == (0, 1)


async def orphaned(world: World) -> tuple[Phone, Phone]:
    """The boiler's site is deleted by one while the other gives the boiler to it."""
    office, other = world.office(), world.phone("olga")
    office.create(QUAY, {"name": "Quay Road"})
    office.create(MILL, {"name": "Mill Lane"})
    office.create(BOILER, {"title": "x"})
    await settle(office, other)
    office.delete(QUAY)
    other.edit(BOILER, {"site_id": "quay"})
    await settle(office, other)
    return office, other


async def test_what_a_living_record_names_stays_until_that_is_mended(world: World) -> None:
    office, other = await orphaned(world)
    await settle(office, other)
    done = purged(world.database)
    assert (done.collected, done.named) == (0, 1)
    office.edit(BOILER, {"site_id": "mill"})
    await settle(office, other)
    assert purged(world.database).collected == 1
    assert office.conflicts(BOILER) == []
    check(world.database)


async def two_sites(world: World) -> tuple[Phone, Phone]:
    """The boiler is given to Quay Road by one and to Mill Lane, which is shown, by the other."""
    office, other = world.office(), world.phone("olga")
    office.create(QUAY, {"name": "Quay Road"})
    office.create(MILL, {"name": "Mill Lane"})
    office.create(BOILER, {"title": "x"})
    await settle(office, other)
    other.edit(BOILER, {"site_id": "quay"})
    office.edit(BOILER, {"site_id": "mill"})
    await settle(other, office)
    assert office.view(BOILER)["site_id"] == "mill"
    return office, other


async def test_what_a_value_beside_the_shown_one_names_stays(world: World) -> None:
    """The site that is not shown was deleted: it may still be chosen."""
    office, other = await two_sites(world)
    office.delete(QUAY)
    await settle(office, other)
    done = purged(world.database)
    assert (done.collected, done.named) == (0, 1)
    office.resolve(BOILER, "site_id", "quay")
    await settle(office, other)
    assert not office.store.rejected()
    office.edit(BOILER, {"site_id": "mill"})
    await settle(office, other)
    assert purged(world.database).collected == 1
    check(world.database)


async def job_and_note_deleted(world: World) -> None:
    office, other = world.office(), world.phone("olga")
    office.create(BOILER, {"title": "x"})
    office.create(("note", "n1"), {"body": "Soon.", "job_id": "boiler"})
    await settle(office, other)
    office.delete(BOILER)
    await settle(office, other)


async def test_dead_records_that_name_each_other_go_together(world: World) -> None:
    await job_and_note_deleted(world)
    assert purged(world.database).collected == 2
    assert stored(world.database) == set()
    check(world.database)


async def test_a_dead_record_that_stays_keeps_what_it_names_since_it_may_be_restored(world: World) -> None:
    await job_and_note_deleted(world)
    ((deleted_seq,),) = world.database.rows("SELECT commit_seq FROM app.entities WHERE entity_id = 'boiler'")
    world.grant("olga", ["office", "other"])
    world.database.rows(
        "UPDATE app.entities SET commit_seq = (SELECT head FROM app.tenants) WHERE kind = 'note' RETURNING 1"
    )
    world.database.rows("UPDATE app.devices SET acknowledged_seq = %s RETURNING 1", (deleted_seq,))
    done = purged(world.database)
    assert (done.collected, done.named, done.unread) == (0, 1, 1)


async def test_a_dead_record_keeps_what_a_value_beside_the_shown_one_names(world: World) -> None:
    office, other = await two_sites(world)
    office.delete(QUAY)
    await settle(office, other)
    ((deleted_seq,),) = world.database.rows("SELECT commit_seq FROM app.entities WHERE entity_id = 'quay'")
    office.delete(BOILER)
    await settle(office, other)
    world.database.rows("UPDATE app.devices SET acknowledged_seq = %s RETURNING 1", (deleted_seq,))
    done = purged(world.database)
    assert (done.collected, done.named, done.unread) == (0, 1, 1)


async def test_more_than_one_transaction_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOMBSTONES_PER_TRANSACTION_MAX", 3)
    office = world.office()
    keys = [("job", f"j{number}") for number in range(10)]
    for key in keys:
        office.create(key, {"title": "x"})
        office.delete(key)
    office.create(TAP, {"title": "x"})
    await settle(office)
    assert purged(world.database, is_dry=True).collected == len(keys)
    done = purged(world.database)
    assert done.collected == len(keys)
    assert stored(world.database) == {TAP}
    ((newest,),) = world.database.rows("SELECT max(commit_seq) FROM app.purged")
    assert done.horizon == newest
    check(world.database)


TAMPERING = {
    "the grave is gone": ("missing", "DELETE FROM app.purged"),
    "devices were not told": ("purged", "UPDATE app.tenants SET purge_horizon = purge_horizon - 1"),
    "something else was buried": ("purged", "UPDATE app.purged SET version_vector = '{\"x\": 1}'"),
    "the history says that it lives": (
        "purged",
        (
            "WITH gone AS (DELETE FROM app.entities WHERE entity_id = 'tap' RETURNING *)"
            " INSERT INTO app.purged (tenant_id, kind, entity_id, commit_seq, version_vector, deleted_at,"
            " deleted_by_device_id) SELECT tenant_id, kind, entity_id, commit_seq, version_vector, now(), 'x'"
            " FROM gone"
        ),
    ),
    "something names it": (
        "purged",
        (
            "INSERT INTO app.entity_references (tenant_id, kind, entity_id, path, target_kind, target_id)"
            " SELECT tenant_id, kind, entity_id, 'job_id', 'job', 'boiler' FROM app.entities"
        ),
    ),
}


@pytest.mark.parametrize("case", sorted(TAMPERING))
async def test_the_audit_finds_what_should_not_have_been_collected(world: World, case: str) -> None:
    await boiler_deleted(world)
    assert purged(world.database).collected == 1
    check(world.database)
    expected, statement = TAMPERING[case]
    with psycopg.connect(world.database.superuser_url) as connection:
        assert connection.execute(statement.encode()).rowcount > 0
    found = audit(world.database.owner_url, TENANT, SCHEMA).findings
    assert {finding.check for finding in found} == {expected}


async def test_an_unknown_tenant_is_named(world: World) -> None:
    with pytest.raises(LocalError, match="no tenant 'acme'"):
        purged(world.database)


async def test_another_tenant_is_left_alone(world: World) -> None:
    office = world.office()
    stranger = world.office("stan", "other")
    for phone in (office, stranger):
        phone.create(BOILER, {"title": "x"})
        phone.delete(BOILER)
    await settle(office, stranger)
    assert purged(world.database).collected == 1
    assert world.database.rows("SELECT 1 FROM app.entities", tenant_id="other") == [(1,)]
    horizons = world.database.rows("SELECT purge_horizon FROM app.tenants ORDER BY tenant_id")
    assert horizons[1] == (0,)
    assert list(audit(world.database.owner_url, "other", SCHEMA).findings) == []
