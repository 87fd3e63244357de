"""A database of the release before digests: `migrate` fills in what is missing, and nothing looks different."""

from pathlib import Path

import msgspec
import psycopg
import pytest
import yoyo

from rightfit_server.embedded.postgres import EmbeddedPostgres
from rightfit_server.postgres import administration, digesting, migrate
from rightfit_server.postgres.migrate import BOOKS_SCHEMA, MIGRATIONS, _yoyo_url
from rightfit_sync.digests import canonical_state, place, state_digest
from rightfit_sync.state import decode_state
from tests.server.application import SCHEMA
from tests.server.restoring import check, heal
from tests.server.world import TENANT, Database, Phone, World, create_database, serving

pytestmark = pytest.mark.anyio


def test_devices_are_of_the_present_epoch_and_a_former_restore_is_remembered(
    postgres_server: EmbeddedPostgres,
) -> None:
    create_database(postgres_server, "before_healing")
    database = Database(postgres_server, "before_healing")
    apply_before(database, "0006")
    with psycopg.connect(database.owner_url) as connection:
        for tenant_id, epochs in (("acme", ["e1"]), ("other", ["e1", "e2"])):
            with administration.tenant(connection, tenant_id):
                connection.execute(
                    "INSERT INTO app.tenants (tenant_id, epoch) VALUES (%s, %s)", (tenant_id, epochs[-1])
                )
                connection.execute(
                    "INSERT INTO app.subjects (tenant_id, subject_id) VALUES (%s, 'ann')", (tenant_id,)
                )
                for device_id in [f"server:{epoch}" for epoch in epochs] + ["phone"]:
                    subject_id = "ann" if device_id == "phone" else None
                    connection.execute(
                        "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id)"
                        " VALUES (%s, %s, %s, %s)",
                        (tenant_id, device_id, subject_id, device_id),
                    )
    assert migrate(database.owner_url, schema=SCHEMA)
    for tenant_id, epoch, is_restored in (("acme", "e1", False), ("other", "e2", True)):
        tenants = database.rows(
            "SELECT restored_at IS NOT NULL FROM app.tenants WHERE tenant_id = %s", (tenant_id,), tenant_id
        )
        assert tenants == [(is_restored,)]
        assert database.rows("SELECT DISTINCT epoch FROM app.devices", (), tenant_id) == [(epoch,)]


def apply_before(database: Database, number: str) -> None:
    """Apply the migrations that come before `number`."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(f"CREATE SCHEMA {BOOKS_SCHEMA}")
    backend = yoyo.get_backend(_yoyo_url(database.owner_url))
    found = yoyo.read_migrations(str(MIGRATIONS))
    backend.apply_migrations(found.filter(lambda one: Path(one.path).name < number))
    backend.connection.close()


async def test_records_get_their_digests_and_devices_notice_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digesting, "ROWS_AT_A_TIME", 3)
    async with serving(database) as world:
        office = world.office()
        await fill(world, office)
        before = rows(database)
        for state, *key in before:
            entity = decode_state(state)
            backwards = dict(reversed(entity.fields.items()))
            older = msgspec.msgpack.encode(msgspec.structs.replace(entity, fields=backwards))
            assert older != state
            assert decode_state(older) == entity
            database.rows(
                "UPDATE app.entities SET state = %s, digest = '', place = '' WHERE kind = %s AND entity_id = %s"
                " RETURNING 1",
                (older, *key),
            )
        assert migrate(database.owner_url, schema=SCHEMA) == []
        assert rows(database) == before
        found = database.rows("SELECT state, orphans, digest, place FROM app.entities")
        for state, orphans, digest, where in found:
            entity = decode_state(state)
            assert state == canonical_state(entity)
            assert digest == state_digest(entity, orphans)
            assert where == place(entity.kind, entity.entity_id)
        office.core.begin_reconciling()
        asked = len(office.asked)
        await office.heal()
        # One sum over everything agrees: no row is listed, and none is fetched.
        assert len(office.asked) == asked + 2
        check(database)


async def fill(world: World, office: Phone) -> None:
    for number in range(10):
        office.create(("job", f"j{number}"), {"title": "x", "notes": "y", "tags": ["b", "a"]})
    await heal(office, world.phone("olga"))


def rows(database: Database) -> list[tuple[bytes, str, str]]:
    return database.rows("SELECT state, kind, entity_id FROM app.entities ORDER BY 2, 3", (), TENANT)


async def test_an_audience_stays_what_it_was_and_is_all_tags(postgres_server: EmbeddedPostgres) -> None:
    create_database(postgres_server, "before_comparing")
    database = Database(postgres_server, "before_comparing")
    apply_before(database, "0009")
    with psycopg.connect(database.owner_url) as connection:
        administration.create_tenant(connection, TENANT)
        with administration.tenant(connection, TENANT):
            connection.execute(
                "INSERT INTO app.commits (tenant_id, seq, chain) VALUES (%s, 1, '')", (TENANT,)
            )
            connection.execute(
                "INSERT INTO app.entities (tenant_id, kind, entity_id, seq, commit_seq, state, version_vector,"
                " document, own_tags, neighbour_tags) VALUES (%s, 'job', 'j1', 1, 1, '', '{}', '{}', '{a}', '{b}')",
                (TENANT,),
            )
            # So that `migrate` does not look for a state here.
            connection.execute("UPDATE app.entities SET digest = 'known', place = '00000000'")
    assert migrate(database.owner_url, schema=SCHEMA)
    assert database.rows("SELECT audience FROM app.entities", (), TENANT) == [(["a", "b"],)]
    for wrong in ("audience = '{a}'", "own_tags = '{c}'", "neighbour_tags = '{}'"):
        with pytest.raises(psycopg.errors.CheckViolation, match="audience_is_all_tags"):
            database.rows(f"UPDATE app.entities SET {wrong} RETURNING 1", (), TENANT)
