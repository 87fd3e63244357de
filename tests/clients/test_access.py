"""F11: access that comes and goes. Losing it is no delete; pending edits come back with their payload."""

from collections.abc import Callable

import pytest

from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority
from rightfit_sync.records import Change, Entity, Outcome, rejected

Open = Callable[..., Replica]


@pytest.fixture
def office(open_replica: Open) -> Replica:
    return open_replica("dev-a")


@pytest.fixture
def contractor(open_replica: Open, authority: HttpAuthority, make_token: Callable[..., str]) -> Replica:
    """A replica of bob, who sees what is given to the team north."""
    authority.let_in("dev-b", "bob", ("team:north",))
    return open_replica("dev-b", token=make_token("dev-b", "bob"))


def titles(replica: Replica) -> list[object]:
    return [row["title"] for row in replica.query("work_order", order_by="title")]


def only_ann(authority: HttpAuthority) -> None:
    def authorize(subject: str, before: Entity | None, change: Change) -> Outcome | None:
        return None if subject == "ann" else rejected("not_permitted", "this is not yours any more")

    authority.memory.authorize = authorize


def test_F11_only_what_is_ones_own_is_pulled(office: Replica, contractor: Replica) -> None:
    office.insert("work_order", title="theirs", team="south")
    office.insert("work_order", title="ours", team="north")
    office.sync()
    contractor.sync()
    assert titles(contractor) == ["ours"]


def test_F11_what_is_reassigned_is_evicted_and_not_deleted(office: Replica, contractor: Replica) -> None:
    order_id = office.insert("work_order", title="x", team="north")
    office.sync()
    contractor.sync()
    office.update("work_order", order_id, team="south")
    office.sync()
    contractor.sync()
    assert titles(contractor) == []
    assert titles(office) == ["x"]
    # It comes back when it is given back.
    office.update("work_order", order_id, team="north")
    office.sync()
    contractor.sync()
    assert titles(contractor) == ["x"]


def test_F11_evict_with_pending_edits_keeps_their_payload(
    office: Replica, contractor: Replica, authority: HttpAuthority
) -> None:
    order_id = office.insert("work_order", title="x", team="north")
    office.sync()
    contractor.sync()
    contractor.update("work_order", order_id, notes="I was there")
    office.update("work_order", order_id, team="south")
    office.sync()
    only_ann(authority)
    contractor.sync()
    assert titles(contractor) == []
    (refused,) = contractor.rejected()
    assert (refused.outcome.code, refused.change.patches["notes"].value) == ("not_permitted", "I was there")
    assert contractor.pending() == []
    assert contractor.conflicts() == []


def test_F11_an_edit_that_takes_away_ones_own_access_leaves(office: Replica, contractor: Replica) -> None:
    order_id = office.insert("work_order", title="x", team="north")
    office.sync()
    contractor.sync()
    contractor.update("work_order", order_id, team="south")
    assert titles(contractor) == ["x"]
    contractor.sync()
    assert titles(contractor) == []
    assert contractor.pending() == contractor.rejected() == []
    office.sync()
    assert office.query("work_order")[0]["team"] == "south"


def test_F11_revoked_tags_evict_and_a_new_grant_brings_what_lies_below_the_cursor(
    office: Replica, contractor: Replica, authority: HttpAuthority
) -> None:
    for team in ("north", "south"):
        office.insert("work_order", title=team, team=team)
    office.sync()
    contractor.sync()
    authority.memory.grant("bob", ["team:south"])
    contractor.sync()
    assert titles(contractor) == ["south"]
    authority.memory.grant("bob", ["team:south", "team:north"])
    contractor.sync()
    assert titles(contractor) == ["north", "south"]
    authority.memory.grant("bob", [])
    contractor.sync()
    assert titles(contractor) == []
    assert contractor.select("select count(*) as n from rightfit_trunk") == [{"n": 0}]


def test_F11_one_row_seen_through_two_tags_stays_while_one_is_left(
    office: Replica, contractor: Replica, authority: HttpAuthority
) -> None:
    authority.memory.grant("bob", ["team:north", "all"])
    office.insert("work_order", title="x", team="north")
    office.sync()
    contractor.sync()
    authority.memory.grant("bob", ["all"])
    contractor.sync()
    assert titles(contractor) == ["x"]


def test_F11_revoked_tags_with_pending_edits(
    office: Replica, contractor: Replica, authority: HttpAuthority
) -> None:
    order_id = office.insert("work_order", title="x", team="north")
    office.sync()
    contractor.sync()
    contractor.update("work_order", order_id, {"tags/done": True})
    mine = contractor.insert("work_order", title="mine", team="north")
    authority.memory.grant("bob", [])
    only_ann(authority)
    contractor.sync()
    assert titles(contractor) == []
    assert [(one.change.entity_id, one.outcome.code) for one in contractor.rejected()] == [
        (order_id, "not_permitted"),
        (mine, "not_permitted"),
    ]
