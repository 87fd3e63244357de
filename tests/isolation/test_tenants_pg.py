"""Two tenants: neither learns of the other's records, nor touches them, by any route, verb, or field."""

from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import errors

from rightfit_server.http.openapi import OPERATIONS, Operation
from rightfit_server.postgres import administration
from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.records import Change, Patch
from rightfit_sync.wire.messages import ReconcileRequest, SyncRequest
from tests.server.world import TENANT, Database, Phone, World

JOB = ("job", "j1")
GUARDED = [one for one in OPERATIONS if not one.is_open]


async def two_tenants(world: World) -> tuple[Phone, Phone, str]:
    """A tenant with a job in conflict, and a stranger of another tenant."""
    ann = world.office()
    ben = world.phone("olga")
    ann.create(JOB, {"title": "Boiler"})
    await ann.settle()
    await ben.settle()
    ann.edit(JOB, {"title": "Boiler leaks"})
    ben.edit(JOB, {"title": "Boiler drips"})
    await ann.settle()
    await ben.settle()
    stranger = world.office("sam", "other")
    return (
        ann,
        stranger,
        ann.conflicts(JOB)[0].conflict_id if ann.conflicts(JOB) else ben.conflicts(JOB)[0].conflict_id,
    )


def asked(operation: Operation, names: dict[str, str], cursor: str | None = None) -> tuple[str, bytes]:
    path = operation.path.format(**names)
    if operation.takes is SyncRequest:
        return path, msgspec.json.encode(SyncRequest(1, 1, cursor=cursor))
    if operation.takes is ReconcileRequest:
        keys = [(names["kind"], names["entity_id"])] if "kind" in names else []
        return path, msgspec.json.encode(ReconcileRequest(1, 1, prefixes=[""], listings=[""], keys=keys))
    return path, msgspec.json.encode({"choice": "mine"})


@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete", "head"])
@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: f"{one.verb} {one.path}")
async def test_T01_another_tenants_ids_on_any_route_and_verb(
    world: World, operation: Operation, verb: str
) -> None:
    ann, stranger, conflict_id = await two_tenants(world)
    theirs = {"kind": "job", "entity_id": "j1", "conflict_id": conflict_id}
    nobodys = {"kind": "job", "entity_id": "j0", "conflict_id": "0" * 32}
    headers = {**stranger.headers, "Content-Type": "application/json", "Accept-Encoding": ""}
    answers = []
    for names in (theirs, nobodys):
        path, body = asked(operation, names)
        response = await world.http.request(verb, path, content=body, headers=headers)
        answers.append((response.status_code, response.content))
    if "{" in operation.path:
        assert answers[0] == answers[1]
        assert answers[0][0] == (404 if verb == operation.verb else 405) or verb == "head"
    text = answers[0][1].decode(errors="replace")
    assert "Boiler" not in text
    assert conflict_id not in text
    assert ann.device_id not in text
    untouched = world.database.rows("SELECT count(*) FROM app.changes WHERE op = 'resolve'")
    assert untouched == [(0,)]


@pytest.mark.anyio
@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: f"{one.verb} {one.path}")
async def test_T01_nothing_is_told_without_a_token(world: World, operation: Operation) -> None:
    path, body = asked(operation, {"kind": "job", "entity_id": "j1", "conflict_id": "0" * 32})
    headers = {"Content-Type": "application/json"}
    response = await world.http.request(operation.verb, path, content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


@pytest.mark.anyio
async def test_T01_the_same_ids_in_two_tenants_are_two_records(world: World) -> None:
    ann, stranger, _ = await two_tenants(world)
    stranger.create(JOB, {"title": "Roof"})
    (receipt,) = await stranger.settle()
    assert receipt.outcome.status == "applied"
    assert stranger.view(JOB)["title"] == "Roof"
    await ann.settle()
    assert ann.view(JOB)["title"] in ("Boiler leaks", "Boiler drips")


@pytest.mark.anyio
async def test_T02_a_tenant_named_anywhere_but_in_the_token_counts_for_nothing(world: World) -> None:
    ann, stranger, _ = await two_tenants(world)
    await ann.settle()
    change = Change(Dot(stranger.device_id, 1), "job", "j9", "create", patches={"title": Patch(value="x")})
    message: dict[str, Any] = msgspec.to_builtins(SyncRequest(1, 1, [Pushed(change, "0" * 32)]))
    message["tenant_id"] = message["tenant"] = TENANT
    message["changes"][0]["tenant_id"] = message["changes"][0]["change"]["tenant_id"] = TENANT
    headers = {
        **stranger.headers,
        "Content-Type": "application/json",
        "X-Tenant-Id": TENANT,
        "Tenant": TENANT,
        "Cookie": f"tenant_id={TENANT}",
    }
    response = await world.http.post(
        f"/v1/sync?tenant_id={TENANT}&tenant={TENANT}", content=msgspec.json.encode(message), headers=headers
    )
    assert response.status_code == 200
    assert world.database.rows("SELECT entity_id FROM app.entities") == [("j1",)]
    assert world.database.rows("SELECT entity_id FROM app.entities", tenant_id="other") == [("j9",)]
    stolen = await stranger.post("/v1/pull", SyncRequest(1, 1, cursor=ann.store.state().cursor))
    assert (stolen.status_code, stolen.json()["code"]) == (403, "cursor_foreign")
    foreign = Change(Dot(ann.device_id, 50), "job", "j8", "create", patches={"title": Patch(value="x")})
    refused = await stranger.post("/v1/push", SyncRequest(1, 1, [Pushed(foreign, "0" * 32)]))
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_device")


@pytest.mark.anyio
async def test_T03_without_a_tenant_every_table_is_an_error_not_an_empty_answer(world: World) -> None:
    await two_tenants(world)
    for url in (world.database.url, world.database.owner_url):
        with psycopg.connect(url, autocommit=True) as connection:
            for table in tables(world.database):
                if url == world.database.owner_url and table == "tenants":
                    continue
                for preparation in (
                    "",
                    "SET app.tenant_id = ''",
                    "BEGIN; SET LOCAL app.tenant_id = 'acme'; COMMIT",
                ):
                    connection.execute(preparation)
                    with pytest.raises(errors.InsufficientPrivilege, match="no tenant"):
                        connection.execute(f"SELECT count(*) FROM app.{table}")


def tables(database: Database) -> list[str]:
    with psycopg.connect(database.superuser_url) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'"
        )
        return [name for (name,) in rows]


@pytest.mark.anyio
async def test_T04_the_login_role_stays_restricted_whatever_the_session_does(world: World) -> None:
    await two_tenants(world)
    with psycopg.connect(world.database.url, autocommit=True, prepare_threshold=None) as connection:
        for escape in ("RESET ROLE", "DISCARD ALL", "RESET ALL", "SET SESSION AUTHORIZATION DEFAULT"):
            connection.execute(escape)
            with pytest.raises(errors.InsufficientPrivilege, match="no tenant"):
                connection.execute("SELECT count(*) FROM app.entities")
        for attempt in (
            "SET row_security = off",
            "SET ROLE test_owner",
            "ALTER TABLE app.entities DISABLE ROW LEVEL SECURITY",
            "CREATE TABLE app.mine (a int)",
            "SELECT set_config('app.tenant_id', 'acme', true); DELETE FROM app.changes",
            "SELECT set_config('app.tenant_id', 'acme', true); UPDATE app.changes SET digest = ''",
            "TRUNCATE app.entities",
        ):
            with pytest.raises(psycopg.Error):  # noqa: PT012 - the second statement shows what the first allows.
                connection.execute(attempt)
                connection.execute("SELECT count(*) FROM app.entities")
            connection.execute("DISCARD ALL")


@pytest.mark.anyio
async def test_T06_no_row_is_written_into_or_linked_to_another_tenant(world: World) -> None:
    await two_tenants(world)
    with psycopg.connect(world.database.url, autocommit=True) as connection:
        with (
            pytest.raises(errors.InsufficientPrivilege, match="row-level security"),
            administration.tenant(connection, "other"),
        ):
            connection.execute(
                "INSERT INTO app.commits (tenant_id, seq, chain) VALUES ('acme', 999, 'forged')"
            )
        with (
            pytest.raises(errors.InsufficientPrivilege, match="row-level security"),
            administration.tenant(connection, "other"),
        ):
            connection.execute("UPDATE app.subjects SET tenant_id = 'acme'")
        with administration.tenant(connection, "other"):
            for statement in (
                "UPDATE app.entities SET document = '{}' WHERE tenant_id = 'acme'",
                "UPDATE app.tenants SET head = 0 WHERE tenant_id = 'acme'",
                "DELETE FROM app.subject_tags WHERE tenant_id = 'acme'",
            ):
                assert connection.execute(statement).rowcount == 0
        with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "other"):
            connection.execute(
                "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id)"
                " VALUES ('other', 'd', 'olga', 'd')"
            )


CHANGE = (
    "INSERT INTO app.changes (tenant_id, device_id, counter, digest, kind, entity_id, op, status, change,"
    " outcome, commit_seq, ordinal, subject_id) VALUES ('acme', {device}, 99, '', 'job', 'j1', 'edit', 'applied',"
    " '{{}}', '{{}}', {commit}, 9, {subject})"
)
NAMES = {
    "device": "(SELECT min(device_id) FROM app.devices WHERE tenant_id = 'acme')",
    "commit": "(SELECT max(seq) FROM app.commits WHERE tenant_id = 'acme')",
    "subject": "(SELECT min(subject_id) FROM app.subjects WHERE tenant_id = 'acme')",
}


@pytest.mark.anyio
async def test_T06_a_row_of_history_names_only_what_its_tenant_has(world: World) -> None:
    _, stranger, _ = await two_tenants(world)
    elsewhere = {"device": f"'{stranger.device_id}'", "commit": "99999", "subject": "'sam'"}
    with psycopg.connect(world.database.superuser_url, autocommit=True) as connection:
        # What the stranger's tenant has: seen by the statement itself, and of no use for all that.
        assert connection.execute(
            "SELECT count(*) FROM app.subjects WHERE subject_id = 'sam'"
        ).fetchone() == (1,)
    for url in (world.database.url, world.database.superuser_url):
        with psycopg.connect(url, autocommit=True) as connection:
            for what, name in elsewhere.items():
                with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                    connection.execute(CHANGE.format(**{**NAMES, what: name}).encode())
            with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                connection.execute("UPDATE app.entities SET commit_seq = 99999 WHERE tenant_id = 'acme'")
            with administration.tenant(connection, "acme"), connection.transaction(force_rollback=True):
                assert connection.execute(CHANGE.format(**NAMES).encode()).rowcount == 1


@pytest.mark.anyio
async def test_T06_what_history_names_stays_while_it_does(world: World) -> None:
    await two_tenants(world)
    only_named_there = {"device": "'lone'", "commit": "9001", "subject": "'newcomer'"}
    parents = {
        "commits": "DELETE FROM app.commits WHERE seq = 9001",
        "commits of records": "DELETE FROM app.commits WHERE seq = 9002",
        "renumbered": "UPDATE app.commits SET seq = seq + 100 WHERE seq > 9000",
        "devices": "DELETE FROM app.devices WHERE device_id = 'lone'",
        "subjects": "DELETE FROM app.subjects WHERE subject_id = 'newcomer'",
    }
    with psycopg.connect(world.database.owner_url, autocommit=True) as connection:
        administration.create_subject(connection, "acme", "newcomer")
        administration.create_device(connection, "acme", "olga", "lone")
        with administration.tenant(connection, "acme"):
            connection.execute(
                "INSERT INTO app.commits (tenant_id, seq, chain) VALUES ('acme', 9001, ''), ('acme', 9002, '')"
            )
            connection.execute(CHANGE.format(**only_named_there).encode())
            connection.execute("UPDATE app.entities SET commit_seq = 9002 WHERE entity_id = 'j1'")
        for statement in parents.values():
            with pytest.raises(errors.ForeignKeyViolation), administration.tenant(connection, "acme"):
                connection.execute(statement.encode())
        with administration.tenant(connection, "acme"):
            connection.execute("DELETE FROM app.changes WHERE device_id = 'lone'")
            connection.execute("UPDATE app.entities SET commit_seq = 1 WHERE commit_seq = 9002")
            for statement in parents.values():
                connection.execute(statement.encode())


@pytest.mark.anyio
async def test_T06_what_is_about_to_be_named_is_not_removed_meanwhile(world: World) -> None:
    await two_tenants(world)
    with (
        psycopg.connect(world.database.owner_url, autocommit=True, options="-c lock_timeout=50ms") as remover,
        psycopg.connect(world.database.url, autocommit=True) as writer,
    ):
        administration.create_subject(remover, "acme", "newcomer", [])
        with administration.tenant(writer, "acme"):
            writer.execute(CHANGE.format(**{**NAMES, "subject": "'newcomer'"}).encode())
            with pytest.raises(errors.LockNotAvailable), administration.tenant(remover, "acme"):
                remover.execute("DELETE FROM app.subjects WHERE subject_id = 'newcomer'")


@pytest.mark.anyio
async def test_T07_the_same_keys_in_two_tenants_both_succeed(world: World) -> None:
    await two_tenants(world)
    with psycopg.connect(world.database.owner_url) as connection:
        administration.create_subject(connection, "other", "olga", ["office"])
        made = administration.create_device(connection, "other", "olga", "olga-1")
        assert made == "olga-1"
    twin = Phone(
        world, msgspec.structs.replace(world.phone("olga").identity, tenant_id="other", device_id="olga-1")
    )
    twin.create(JOB, {"title": "Roof"})
    (receipt,) = await twin.settle()
    assert receipt.outcome.status == "applied"
    counts = [
        world.database.rows("SELECT count(*) FROM app.entities", tenant_id=one) for one in (TENANT, "other")
    ]
    assert counts == [[(1,)], [(1,)]]


@pytest.mark.anyio
async def test_a_token_for_the_same_device_id_of_another_tenant_is_another_device(world: World) -> None:
    ann, stranger, _ = await two_tenants(world)
    forged = Phone(world, msgspec.structs.replace(ann.identity, tenant_id="other"))
    response = await forged.post("/v1/sync", SyncRequest(1, 1))
    assert response.status_code == 401
    assert stranger.held() == set()
