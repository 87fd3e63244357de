"""A device behind a bad link: offline, and with an answer lost after the server has committed."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rightfit_server.demo.evidence import server_evidence
from rightfit_server.demo.link import Link
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.operations.devices import enter_device
from rightfit_server.ports.replica import ReplicaPort, open_replica
from rightfit_server.postgres.administration import create_tenant
from rightfit_sync.errors import RightFitError

pytestmark = pytest.mark.xdist_group("end_to_end")

TENANT = "link"


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    with stack.connect() as connection:
        create_tenant(connection, TENANT)
    return enter_device(stack.database(), TENANT, "office", ["landlord"]).token


@pytest.fixture
def link(stack: Stack) -> Iterator[Link]:
    with Link(*stack.address) as made:
        yield made


@pytest.fixture
def replica(link: Link, token: str, tmp_path: Path) -> Iterator[ReplicaPort]:
    with open_replica(tmp_path / "office.db", schema=SCHEMA, url=link.url, token=token) as opened:
        yield opened


def test_F02_the_retry_after_a_lost_answer_gets_the_same_receipts(
    stack: Stack, link: Link, replica: ReplicaPort
) -> None:
    place = replica.insert("property", {"street": "Quay Road"})
    job = replica.insert("work_order", {"title": "Boiler", "property_id": place, "cost_pence": 100})
    link.lose_next_answer()
    with pytest.raises(RightFitError):
        replica.sync()
    assert link.lost_answers == 1
    held = server_evidence(stack.owner_url, TENANT).held
    assert held["work_order", job].document["cost_pence"] == 100, "committed, although nobody heard of it"
    assert len(answers(stack)) == 2
    before = answers(stack)
    replica.update("work_order", job, {"cost_pence": 150})
    replica.sync()
    after = answers(stack)
    assert after[: len(before)] == before, "no second side effect"
    assert len(after) == 3
    assert server_evidence(stack.owner_url, TENANT).held["work_order", job].document["cost_pence"] == 150


def answers(stack: Stack) -> list[object]:
    with stack.connect() as connection:
        rows = connection.execute(
            "SELECT counter, digest, outcome::text, received_at FROM app.changes WHERE tenant_id = %s"
            " ORDER BY received_at, counter",
            [TENANT],
        )
        return list(rows)


def test_a_device_that_is_offline_keeps_its_edits_until_the_link_is_up(
    stack: Stack, link: Link, token: str
) -> None:
    assert token, "the tenant is there"
    folder = stack.directory.parent
    # A token is one device's, and a device has one replica.
    other = enter_device(stack.database(), TENANT, "office", [], "second").token
    with open_replica(folder / "second.db", schema=SCHEMA, url=link.url, token=other) as replica:
        replica.sync()
        link.go_down()
        place = replica.insert("property", {"street": "Mill Lane"})
        with pytest.raises(RightFitError):
            replica.sync()
        assert ("property", place) not in server_evidence(stack.owner_url, TENANT).held
        link.go_up()
        replica.sync()
        assert ("property", place) in server_evidence(stack.owner_url, TENANT).held


def test_a_link_to_nowhere_hangs_up() -> None:
    with Link("127.0.0.1", 1) as nowhere, pytest.raises(httpx.HTTPError):
        httpx.get(nowhere.url, trust_env=False)
