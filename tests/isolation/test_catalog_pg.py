"""What the catalogue of a migrated database must say, so that a new table without protection fails here
(T05, T06)."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import psycopg
import pytest

from rightfit_server.postgres.migrate import APP_ROLE, PRIVILEGES
from tests.server.world import OWNER, Database

Catalog: TypeAlias = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def catalog(database: Database) -> Iterator[Catalog]:
    with psycopg.connect(database.superuser_url) as connection:
        yield lambda statement: connection.execute(statement.encode()).fetchall()


TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p')"


def test_T05_every_table_forces_row_level_security_on_its_owner_too(catalog: Catalog) -> None:
    loose = catalog(f"{TABLES} AND NOT (relrowsecurity AND relforcerowsecurity)")
    assert loose == []
    assert {name for (name,) in catalog(TABLES)} == set(PRIVILEGES)


def test_T05_every_table_has_the_one_policy_for_reading_and_writing(catalog: Catalog) -> None:
    policies = catalog(
        "SELECT tablename, policyname, cmd, roles::text, qual, with_check FROM pg_policies ORDER BY 1, 2"
    )
    asked = "(tenant_id = ( SELECT app.tenant_id() AS tenant_id))"
    expected = [(table, "of_the_tenant", "ALL", "{public}", asked, asked) for table in PRIVILEGES]
    expected.append(("tenants", "listed_by_the_owner", "SELECT", f"{{{OWNER}}}", "true", None))
    assert sorted(policies, key=str) == sorted(expected, key=str)


def test_T05_views_ask_as_their_reader_and_no_function_lends_rights(catalog: Catalog) -> None:
    views = catalog(
        "SELECT relname, reloptions::text FROM pg_class WHERE relkind IN ('v', 'm')"
        " AND relnamespace IN ('app'::regnamespace, 'report'::regnamespace)"
    )
    assert len(views) == 8
    assert {options for _, options in views} == {"{security_invoker=true}"}
    definers = catalog(
        "SELECT proname FROM pg_proc WHERE prosecdef"
        " AND pronamespace IN ('app'::regnamespace, 'report'::regnamespace)"
    )
    assert definers == []


def test_T05_the_service_owns_nothing_and_may_do_what_is_listed(catalog: Catalog) -> None:
    role = catalog(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles"
        f" WHERE rolname = '{APP_ROLE}'"
    )
    assert role == [(False, False, False, True)]
    assert catalog(f"SELECT count(*) FROM pg_class WHERE relowner = '{APP_ROLE}'::regrole") == [(0,)]
    granted = catalog(
        "SELECT table_name, string_agg(privilege_type, ', ' ORDER BY privilege_type)"
        " FROM information_schema.role_table_grants"
        f" WHERE grantee = '{APP_ROLE}' AND table_schema = 'app' GROUP BY 1"
    )
    assert dict(granted) == {
        table: ", ".join(sorted(rights.split(", "))) for table, rights in PRIVILEGES.items()
    }


def test_T06_the_tenant_comes_first_in_every_key(catalog: Catalog) -> None:
    keys = catalog(
        "SELECT c.conrelid::regclass::text, c.conname, a.attname, c.contype::text FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " WHERE c.connamespace = 'app'::regnamespace AND c.contype IN ('p', 'u', 'f')"
    )
    assert {kind for *_, kind in keys} == {"p", "u", "f"}
    assert [key for key in keys if key[2] != "tenant_id"] == []
    referenced = catalog(
        "SELECT c.conname, a.attname FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]"
        " WHERE c.connamespace = 'app'::regnamespace AND c.contype = 'f'"
    )
    assert {name for _, name in referenced} == {"tenant_id"}
    indexes = catalog(
        "SELECT i.indexrelid::regclass::text, a.attname FROM pg_index i"
        " JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'app'::regnamespace"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]"
    )
    assert [name for name, column in indexes if column != "tenant_id"] == []


def test_T05_a_function_called_once_per_statement_not_per_row(catalog: Catalog, database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', 'acme', true)")
        plan = connection.execute(
            "EXPLAIN SELECT * FROM app.entities WHERE seq > 5 ORDER BY seq LIMIT 9"
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "InitPlan" in text
    assert "Index Cond: ((tenant_id = " in text
