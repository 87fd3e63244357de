"""What conflicts name is there, of their own tenant, and stays or takes them along: what foreign keys would hold."""

import psycopg
import pytest
from psycopg import errors

from rightfit_server.postgres import administration
from tests.isolation.test_tenants_pg import two_tenants
from tests.server.world import World

CONFLICT = (
    "INSERT INTO app.conflicts (tenant_id, conflict_id, kind, entity_id, path, reason, dots, opened_seq,"
    " opened_by_device_id, closed_seq, closed_by_subject_id)"
    " VALUES ('acme', 'c9', {kind}, {entity}, 'title', 'siblings', '[]', {opened}, 'd', {closed}, {subject})"
)
NAMES = {"kind": "'job'", "entity": "'j1'", "opened": "1", "closed": "NULL", "subject": "NULL"}
FIRST = "(SELECT min(seq) FROM app.commits WHERE tenant_id = 'acme')"


@pytest.mark.anyio
async def test_T06_a_conflict_names_only_what_its_tenant_has(world: World) -> None:
    _, stranger, _ = await two_tenants(world)
    stranger.create(("job", "theirs"), {"title": "Roof"})
    await stranger.settle()
    names = {**NAMES, "opened": FIRST}
    wrong = {"kind": "'site'", "entity": "'theirs'", "opened": "99999", "closed": "99999", "subject": "'sam'"}
    for url in (world.database.url, world.database.superuser_url):
        with psycopg.connect(url, autocommit=True) as connection:
            for what, name in wrong.items():
                with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                    connection.execute(CONFLICT.format(**{**names, what: name}).encode())
            for what in ("closed_seq = 99999", "opened_seq = 99999", "closed_by_subject_id = 'sam'"):
                with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                    connection.execute(f"UPDATE app.conflicts SET {what} WHERE tenant_id = 'acme'".encode())
            with administration.tenant(connection, "acme"), connection.transaction(force_rollback=True):
                right = {**names, "closed": FIRST, "subject": "'olga'"}
                assert connection.execute(CONFLICT.format(**right).encode()).rowcount == 1


@pytest.mark.anyio
async def test_T06_what_a_conflict_names_stays_and_a_record_takes_it_along(world: World) -> None:
    await two_tenants(world)
    named = {**NAMES, "opened": "9001", "closed": "9002", "subject": "'newcomer'"}
    parents = {
        "opened": "DELETE FROM app.commits WHERE seq = 9001",
        "closed": "DELETE FROM app.commits WHERE seq = 9002",
        "renumbered": "UPDATE app.commits SET seq = seq + 100 WHERE seq > 9000",
        "subject": "DELETE FROM app.subjects WHERE subject_id = 'newcomer'",
        "record": "UPDATE app.entities SET entity_id = 'j2' WHERE entity_id = 'j1'",
    }
    with psycopg.connect(world.database.owner_url, autocommit=True) as connection:
        administration.create_subject(connection, "acme", "newcomer")
        with administration.tenant(connection, "acme"):
            connection.execute(
                "INSERT INTO app.commits (tenant_id, seq, chain) VALUES ('acme', 9001, ''), ('acme', 9002, '')"
            )
            connection.execute(CONFLICT.format(**named).encode())
        for statement in parents.values():
            with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                connection.execute(statement.encode())
        with administration.tenant(connection, "acme"):
            assert connection.execute("SELECT count(*) FROM app.conflicts").fetchone() == (2,)
            connection.execute("DELETE FROM app.entities WHERE entity_id = 'j1'")
            assert connection.execute("SELECT count(*) FROM app.conflicts").fetchone() == (0,)
            for statement in parents.values():
                connection.execute(statement.encode())


@pytest.mark.anyio
async def test_T06_a_record_that_is_about_to_be_named_is_not_removed_meanwhile(world: World) -> None:
    await two_tenants(world)
    with (
        psycopg.connect(world.database.owner_url, autocommit=True, options="-c lock_timeout=50ms") as remover,
        psycopg.connect(world.database.url, autocommit=True) as writer,
        administration.tenant(writer, "acme"),
    ):
        writer.execute(CONFLICT.format(**{**NAMES, "opened": FIRST}).encode())
        with pytest.raises(errors.LockNotAvailable), administration.tenant(remover, "acme"):
            remover.execute("DELETE FROM app.entities WHERE entity_id = 'j1'")
