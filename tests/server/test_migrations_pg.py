"""Migrations: at once by several, again without effect, with roles checked; and the report views that
they make."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import msgspec
import psycopg
import pytest

from rightfit_server.embedded.postgres import EmbeddedPostgres, start_postgres
from rightfit_server.postgres import administration, migrate
from rightfit_server.postgres.migrate import MIGRATIONS, MigrationError
from rightfit_sync.errors import LocalError, SchemaError
from rightfit_sync.schema.spec import FieldSpec, Schema
from tests.server.application import SCHEMA
from tests.server.world import OWNER, TENANT, Database, World, create_database, serving

FIFTEEN = Path("/usr/lib/postgresql/15/bin")


def fresh(server: EmbeddedPostgres, name: str) -> Database:
    create_database(server, name)
    return Database(server, name)


def test_several_at_once_apply_each_migration_once(postgres_server: EmbeddedPostgres) -> None:
    database = fresh(postgres_server, "at_once")
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(database.owner_url, schema=SCHEMA), range(4)))
    names = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    assert sorted(name for names_of_one in applied for name in names_of_one) == names
    assert migrate(database.owner_url, schema=SCHEMA) == []


def test_a_lock_left_by_a_killed_process_is_no_obstacle(postgres_server: EmbeddedPostgres) -> None:
    database = fresh(postgres_server, "left_locked")
    migrate(database.owner_url)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("INSERT INTO migration.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 999999)")
    assert migrate(database.owner_url) == []


def test_a_role_that_is_too_powerful_is_refused(postgres_server: EmbeddedPostgres) -> None:
    database = fresh(postgres_server, "powerful")
    for role in ("postgres", OWNER):
        with pytest.raises(MigrationError, match="a role of its own"):
            migrate(database.owner_url, app_role=role)


def test_where_the_role_cannot_be_made_it_is_said_how(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner LOGIN")
        connection.execute("CREATE DATABASE plain OWNER plain_owner")
    with pytest.raises(MigrationError, match='CREATE ROLE "nobody_yet" LOGIN NOSUPERUSER'):
        migrate(postgres_server.url_for("plain", "plain_owner"), app_role="nobody_yet")


@pytest.mark.anyio
async def test_reports_are_plain_sql_with_typed_columns(world: World) -> None:
    phone = world.office()
    phone.create(
        ("job", "j1"),
        {
            "title": "Boiler",
            "tags": ["gas", "urgent"],
            "due": "2026-05-01",
            "price": 12.5,
            "done": False,
            "cost_pence": 7,
        },
    )
    phone.create(("job", "j2"), {"title": "Tap", "due": "2026-02-31"})
    phone.create(("job", "j3"), {"title": "Roof"})
    phone.delete(("job", "j3"))
    await phone.settle()
    row = world.database.rows(
        "SELECT title, tags, due, price, done, cost_pence, status, in_conflict FROM report.job"
        " WHERE entity_id = 'j1'"
    )
    assert row == [("Boiler", ["gas", "urgent"], date(2026, 5, 1), 12.5, False, 7, None, False)]
    assert world.database.rows("SELECT entity_id, due FROM report.job WHERE entity_id = 'j2'") == [
        ("j2", None)
    ]
    assert world.database.rows("SELECT count(*) FROM report.job") == [(2,)]
    deleted = world.database.rows(
        "SELECT entity_id, deleted_by_device_id, deleted_at FROM report.job_deleted"
    )
    assert [one[:2] for one in deleted] == [("j3", phone.device_id)]
    assert world.database.rows("SELECT count(*) FROM report.job_deleted WHERE title = 'Roof'") == [(1,)]
    other = phone.world.phone("olga")
    await other.settle()
    phone.edit(("job", "j1"), {"title": "a"})
    other.edit(("job", "j1"), {"title": "b"})
    await phone.settle()
    await other.settle()
    assert world.database.rows("SELECT entity_id FROM report.job WHERE in_conflict") == [("j1",)]


@pytest.mark.anyio
async def test_reports_show_one_tenant_to_the_service_and_nothing_without(world: World) -> None:
    phone, stranger = world.office(), world.office("sam", "other")
    phone.create(("site", "s1"), {"name": "Mill"})
    await phone.settle()
    await stranger.settle()
    with psycopg.connect(world.database.url, autocommit=True) as connection:
        for tenant_id, expected in ((TENANT, [("Mill",)]), ("other", [])):
            with administration.tenant(connection, tenant_id):
                assert connection.execute("SELECT name FROM report.site").fetchall() == expected
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no tenant"):
            connection.execute("SELECT name FROM report.site")


def test_views_follow_the_schema_and_nobodys_own_view_is_dropped(database: Database) -> None:
    fields = {**SCHEMA.kinds["site"].fields, "name": FieldSpec(type="int"), "floors": FieldSpec(type="int")}
    changed = Schema(2, {"site": msgspec.structs.replace(SCHEMA.kinds["site"], fields=fields)})
    migrate(database.owner_url, schema=changed)
    with psycopg.connect(database.superuser_url) as connection:
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'report' AND table_name = 'site'"
        ).fetchall()
        assert ("floors", "bigint") in columns
        assert ("name", "bigint") in columns
        views = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'report'::regnamespace")
        assert {name for (name,) in views} == {"site", "site_deleted"}
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT count(*) FROM report.site")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="site"):
        migrate(database.owner_url, schema=SCHEMA)
    assert migrate(database.owner_url, schema=changed) == []


def test_a_kind_whose_view_has_no_room_is_named(database: Database) -> None:
    for name in ("k" * 60, "site"):
        kinds = {name: SCHEMA.kinds["site"], "site_deleted": SCHEMA.kinds["site"]}
        with pytest.raises(SchemaError, match="choose another name"):
            migrate(database.owner_url, schema=Schema(3, kinds))


def test_operators_are_told_what_is_wrong(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        made = administration.create_tenant(connection, TENANT, "Acme Ltd")
        administration.create_subject(connection, TENANT, "olga", ["office", "office"])
        administration.create_device(connection, TENANT, "olga", "d1")
        mistakes = {
            "tenant_exists": lambda: administration.create_tenant(connection, TENANT),
            "invalid_tenant": lambda: administration.create_tenant(connection, "no spaces"),
            "subject_exists": lambda: administration.create_subject(connection, TENANT, "olga"),
            "unknown_tenant": lambda: administration.create_subject(connection, "nowhere", "olga"),
            "unknown_subject": lambda: administration.set_tags(connection, TENANT, "nobody", ["x"]),
            "device_exists": lambda: administration.create_device(connection, TENANT, "olga", "d1"),
            "invalid_device": lambda: administration.create_device(connection, TENANT, "olga", "server:e1"),
            "unknown_device": lambda: administration.revoke_device(connection, TENANT, "nothing"),
        }
        for code, mistake in mistakes.items():
            with pytest.raises(LocalError) as told:
                mistake()
            assert told.value.code == code
        with pytest.raises(LocalError, match="no subject"):
            administration.create_device(connection, TENANT, "nobody")
        (listed,) = administration.list_tenants(connection)
        assert (listed.tenant_id, listed.name, listed.epoch) == (TENANT, "Acme Ltd", made.epoch)
        (subject,) = administration.list_subjects(connection, TENANT)
        assert (subject.tags, subject.device_ids) == (["office"], ["d1"])


@pytest.mark.anyio
@pytest.mark.skipif(not FIFTEEN.is_dir(), reason=f"PostgreSQL 15 is not installed in {FIFTEEN}")
async def test_the_round_trip_on_postgresql_fifteen(reachable_directory: Path) -> None:
    with start_postgres(reachable_directory / "fifteen", durable=False, programs=FIFTEEN) as server:
        database = fresh(server, "old")
        assert migrate(database.owner_url, schema=SCHEMA)
        async with serving(database) as world:
            ann, ben = world.office(), world.phone("olga")
            world.subject("carl", ["contractor:carl"])
            carl = world.phone("carl")
            ann.create(("site", "s1"), {"name": "Mill"})
            ann.create(("job", "j1"), {"title": "Boiler", "site_id": "s1", "contractor": "carl"}, "t1")
            await ann.settle()
            for phone in (ben, carl):
                await phone.settle()
            ann.edit(("job", "j1"), {"title": "Boiler leaks", "contractor": "cora"})
            ben.edit(("job", "j1"), {"title": "Boiler drips"})
            for phone in (ann, ben, carl, ann):
                await phone.settle()
            assert [one.path for one in ann.conflicts(("job", "j1"))] == ["title"]
            assert carl.held() == set()
            assert database.rows("SELECT in_conflict FROM report.job") == [(True,)]
            refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="no tenant")
            with refused, psycopg.connect(database.url) as connection:
                connection.execute("SELECT * FROM app.entities")
