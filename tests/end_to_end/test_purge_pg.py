"""The purge as an operator runs it, and devices that come back after it: real replicas, over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rightfit_server.audit.audit import audit
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.operations.devices import enter_device
from rightfit_server.ports.replica import ReplicaPort, open_replica
from rightfit_server.postgres.administration import create_tenant
from tests.end_to_end.command_line import Done, rightfit

pytestmark = pytest.mark.xdist_group("end_to_end")

_numbers = count(1)


class Tenant:
    """A tenant of its own, its replicas, and the commands that an operator gives."""

    def __init__(self, stack: Stack, folder: Path, replicas: ExitStack) -> None:
        self.stack = stack
        self.tenant_id = f"purge{next(_numbers)}"
        self._folder = folder
        self._replicas = replicas
        with stack.connect() as connection:
            create_tenant(connection, self.tenant_id)

    def replica(self, name: str) -> ReplicaPort:
        token = enter_device(self.stack.database(), self.tenant_id, name, ["landlord"])
        path = self._folder / f"{self.tenant_id}-{name}.db"
        opened = open_replica(path, schema=SCHEMA, url=self.stack.url, token=token.token)
        return self._replicas.enter_context(opened)

    def silence(self, name: str, days: int = 181) -> None:
        """Let a subject's device have been here last so many days ago."""
        with self.stack.connect() as connection:
            connection.execute(
                "UPDATE app.devices SET last_seen_at = now() - make_interval(days => %s)"
                " WHERE tenant_id = %s AND subject_id = %s",
                (days, self.tenant_id, name),
            )

    def purge(self, *arguments: str) -> Done:
        options = ("--data-dir", str(self.stack.directory))
        return rightfit("tenant", "purge", self.tenant_id, *arguments, *options)

    def collected(self, *arguments: str) -> int:
        done = self.purge("--json", *arguments)
        assert done.code == 0, done.errors
        (report,) = done.json()  # type: ignore[misc]
        return int(report["collected"])

    def check(self) -> None:
        assert list(audit(self.stack.owner_url, self.tenant_id, SCHEMA).findings) == []


@pytest.fixture
def tenant(stack: Stack, folder: Path) -> Iterator[Tenant]:
    with ExitStack() as replicas:
        yield Tenant(stack, folder, replicas)


def settle(*replicas: ReplicaPort) -> None:
    """Let all send and fetch everything, and say that they have."""
    for _ in range(2):
        for replica in replicas:
            replica.sync()


def shown(replica: ReplicaPort) -> list[tuple[object, object]]:
    rows = replica.select("SELECT entity_id, title FROM work_order ORDER BY entity_id")
    return [(row["entity_id"], row["title"]) for row in rows]


def jobs(replica: ReplicaPort, *titles: str) -> list[str]:
    place = replica.insert("property", {"street": "Quay Road"})
    return [replica.insert("work_order", {"title": title, "property_id": place}) for title in titles]


def test_F10_a_device_beyond_the_horizon_without_pending_edits(tenant: Tenant) -> None:
    office, silent = tenant.replica("office"), tenant.replica("silent")
    boiler, tap = jobs(office, "Boiler", "Tap")
    settle(office, silent)
    office.delete("work_order", boiler)
    settle(office)
    assert tenant.collected() == 0
    tenant.silence("silent")
    assert tenant.collected() == 1
    settle(silent)
    assert shown(silent) == shown(office) == [(tap, "Tap")]
    assert not silent.rejected()
    assert tenant.collected() == 0
    tenant.check()


def test_F10_a_device_beyond_the_horizon_with_pending_edits(tenant: Tenant) -> None:
    office, silent = tenant.replica("office"), tenant.replica("silent")
    boiler, tap, roof = jobs(office, "Boiler", "Tap", "Roof")
    settle(office, silent)
    office.delete("work_order", boiler)
    office.update("work_order", roof, {"description": "Slates"})
    settle(office)
    tenant.silence("silent")
    silent.update("work_order", boiler, {"title": "Boiler leaks"})
    silent.update("work_order", tap, {"title": "Tap drips"})
    silent.update("work_order", roof, {"title": "Roof leaks"})
    (place,) = [str(row["entity_id"]) for row in silent.select("SELECT entity_id FROM property")]
    door = silent.insert("work_order", {"title": "Door", "property_id": place})
    assert tenant.collected() == 1
    settle(silent, office, silent)
    expected = sorted([(tap, "Tap drips"), (roof, "Roof leaks"), (door, "Door")])
    assert shown(silent) == shown(office) == expected
    described = office.get("work_order", roof)
    assert described is not None
    assert described["description"] == "Slates"
    (refused,) = silent.rejected()
    assert refused.change.entity_id == boiler
    assert refused.outcome.code in ("collected", "unknown_entity")
    assert refused.change.patches["title"].value == "Boiler leaks"
    tenant.check()


def test_F10_a_device_that_left_before_the_record_was_made_and_deleted(tenant: Tenant) -> None:
    office, silent = tenant.replica("office"), tenant.replica("silent")
    jobs(office, "Tap")
    settle(office, silent)
    (boiler,) = jobs(office, "Boiler")
    office.delete("work_order", boiler)
    settle(office)
    tenant.silence("silent")
    silent.insert("property", {"street": "Mill Lane"})
    assert tenant.collected() == 1
    settle(silent, office)
    assert shown(silent) == shown(office)
    assert len(office.select("SELECT 1 FROM property")) == 3
    tenant.check()


def test_the_purge_tells_what_goes_and_what_it_waits_for(tenant: Tenant) -> None:
    office, slow = tenant.replica("office"), tenant.replica("slow")
    boiler, tap = jobs(office, "Boiler", "Tap")
    settle(office, slow)
    office.delete("work_order", boiler)
    settle(office, slow)
    office.delete("work_order", tap)
    settle(office)
    tenant.silence("slow", 20)
    assert "1 tombstone would go; 1 not read by everybody yet left. The slowest device" in sentence(
        tenant.purge("--dry-run")
    )
    assert "of slow: last here on" in sentence(tenant.purge("--dry-run"))
    assert "2 tombstones would go; none left." in sentence(
        tenant.purge("--dry-run", "--retention-days", "10")
    )
    assert "1 tombstone gone; 1 not" in sentence(tenant.purge())
    assert tenant.collected("--retention-days", "10") == 1
    tenant.check()


def sentence(done: Done) -> str:
    assert done.code == 0, done.errors
    return " ".join(done.output.split())


def test_all_tenants_are_purged_where_none_is_named(tenant: Tenant) -> None:
    office = tenant.replica("office")
    (boiler,) = jobs(office, "Boiler")
    office.delete("work_order", boiler)
    settle(office)
    done: Any = rightfit("tenant", "purge", "--json", "--data-dir", tenant.stack.directory).json()
    assert {report["tenant_id"]: report["collected"] for report in done}[tenant.tenant_id] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody",), "no tenant 'nobody'"),
        (("--retention-days", "-1"), "RIGHTFIT_RETENTION_DAYS"),
        (("--retention-days", "soon"), "RIGHTFIT_RETENTION_DAYS"),
    ],
)
def test_a_purge_that_cannot_be_is_explained(stack: Stack, arguments: tuple[str, ...], words: str) -> None:
    done = rightfit("tenant", "purge", *arguments, "--data-dir", stack.directory)
    assert done.code == 3
    assert words in " ".join(done.errors.replace("│", " ").split())
