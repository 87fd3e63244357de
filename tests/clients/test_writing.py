"""Edits: shown at once, durable when the call returns, whole where they are one transaction, or refused."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rightfit_client import LocalError, Replica
from rightfit_client.ids import EntityIds
from rightfit_sync.limits import CHANGES_PER_TRANSACTION_MAX


def test_an_edit_is_shown_at_once(replica: Replica) -> None:
    order_id = replica.insert("work_order", title="Boiler", tags=["leak"])
    assert replica.update("work_order", order_id, {"title": "Drip", "tags/urgent": True}) is not None
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert (shown["title"], shown["tags"], shown["entity_id"]) == ("Drip", ["leak", "urgent"], order_id)
    assert [entry.change.op for entry in replica.pending()] == ["create", "edit"]


def test_an_edit_that_changes_nothing_makes_no_change(replica: Replica) -> None:
    order_id = replica.insert("work_order", title="Boiler")
    assert replica.update("work_order", order_id, title="Boiler") is None
    assert len(replica.pending()) == 1


def test_delete_hides_and_restore_brings_back(replica: Replica) -> None:
    order_id = replica.insert("work_order", title="Boiler")
    replica.delete("work_order", order_id)
    assert replica.get("work_order", order_id) is None
    assert replica.query("work_order") == []
    replica.restore("work_order", order_id)
    assert replica.query("work_order")[0]["title"] == "Boiler"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda replica, one: replica.insert("work_order", entity_id=one), "exists"),
        (lambda replica, _: replica.insert("boiler"), "unknown_kind"),
        (lambda replica, _: replica.insert("work_order", colour="red"), "unknown_field"),
        (lambda replica, _: replica.insert("work_order", title=7), "invalid_type"),
        (lambda replica, _: replica.insert("work_order", title="a\x00b"), "invalid_text"),
        (lambda replica, _: replica.update("work_order", "nowhere", title="x"), "unknown_entity"),
        (lambda replica, one: replica.update("work_order", one, {"title/x": 1}), "invalid_path"),
        (lambda replica, one: replica.restore("work_order", one), "not_deleted"),
        (lambda replica, _: replica.restore("work_order", "nowhere"), "unknown_entity"),
        (lambda replica, _: replica.delete("work_order", "nowhere"), "unknown_entity"),
        (lambda replica, one: replica.get("boiler", one), "unknown_kind"),
        (lambda replica, _: replica.query("work_order", "no_such = 1"), "invalid_query"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    replica: Replica, act: Callable[[Replica, str], object], code: str
) -> None:
    one = replica.insert("work_order", title="Boiler")
    with pytest.raises(LocalError) as refused:
        act(replica, one)
    assert refused.value.code == code
    assert len(replica.pending()) == 1


def test_an_edit_of_something_deleted_is_refused(replica: Replica) -> None:
    order_id = replica.insert("work_order", title="Boiler")
    replica.delete("work_order", order_id)
    with pytest.raises(LocalError, match="restore it first"):
        replica.update("work_order", order_id, title="x")


def test_a_transaction_has_one_id_and_stands_or_falls_whole(replica: Replica) -> None:
    with replica.transaction():
        first = replica.insert("work_order", title="a")
        with replica.transaction():
            replica.update("work_order", first, title="b")
    replica.insert("work_order", title="c")
    ids = [entry.change.transaction_id for entry in replica.pending()]
    assert ids[0] == ids[1] is not None
    assert ids[2] is None


def test_an_exception_undoes_the_whole_transaction(replica: Replica) -> None:
    kept = replica.insert("work_order", title="kept")

    def fail() -> None:
        with replica.transaction():
            replica.insert("work_order", title="gone")
            replica.update("work_order", kept, title="gone")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [row["title"] for row in replica.query("work_order")] == ["kept"]
    assert [entry.change.dot.counter for entry in replica.pending()] == [1]
    # The counters of what was undone were never spent.
    replica.insert("work_order", title="next")
    assert replica.pending()[-1].change.dot.counter == 2


def test_a_refused_edit_leaves_the_rest_of_its_transaction(replica: Replica) -> None:
    with replica.transaction():
        replica.insert("work_order", title="kept")
        with pytest.raises(LocalError):
            replica.insert("work_order", title=7)
    assert len(replica.pending()) == 1


def fill(replica: Replica, titles: Sequence[str]) -> None:
    with replica.transaction():
        for title in titles:
            replica.insert("work_order", title=title)


def test_a_transaction_over_the_limit_is_refused_when_it_is_made(replica: Replica) -> None:
    with pytest.raises(LocalError) as refused:
        fill(replica, [str(number) for number in range(CHANGES_PER_TRANSACTION_MAX + 1)])
    assert refused.value.code == "transaction_too_large"
    assert replica.pending() == []
    assert replica.query("work_order") == []


def test_a_transaction_over_the_limit_is_refused_even_if_the_error_is_caught(replica: Replica) -> None:
    def swallow() -> None:
        with replica.transaction():
            try:
                for number in range(CHANGES_PER_TRANSACTION_MAX + 1):
                    replica.insert("work_order", title=str(number))
            except LocalError:
                return

    with pytest.raises(Exception, match="nothing of it was kept"):
        swallow()
    assert replica.pending() == []


def test_a_transaction_too_large_to_travel_is_refused(replica: Replica) -> None:
    with pytest.raises(LocalError) as refused:
        fill(replica, ["x" * 150_000] * 60)
    assert refused.value.code == "transaction_too_large"
    assert replica.pending() == []


def test_a_batch_is_one_commit_of_independent_changes(replica: Replica) -> None:
    with replica.batch():
        for number in range(CHANGES_PER_TRANSACTION_MAX + 10):
            replica.insert("work_order", title=str(number))
    pending = replica.pending()
    assert len(pending) == CHANGES_PER_TRANSACTION_MAX + 10
    assert {entry.change.transaction_id for entry in pending} == {None}


def test_an_edit_survives_closing_and_opening_again(tmp_path: Path, schema: object) -> None:
    with Replica.open(tmp_path / "a.db", schema=schema, device_id="dev-a") as replica:  # type: ignore[arg-type]
        order_id = replica.insert("work_order", title="Boiler")
    with Replica.open(tmp_path / "a.db") as replica:
        assert replica.get("work_order", order_id) is not None
        assert replica.insert("work_order", title="next")
        assert [entry.change.dot.counter for entry in replica.pending()] == [1, 2]


def test_ids_rise_even_where_the_clock_falls() -> None:
    readings = iter([1_000, 1_000, 5, 2_000, *[7] * 1_000])
    ids = EntityIds(lambda: next(readings))
    made = [ids() for _ in range(1_004)]
    assert made == sorted(set(made))
    assert all(one[14] == "7" and one[19] in "89ab" for one in made)
    assert made[0].replace("-", "")[:12] == f"{1_000:012x}"


def test_a_group_changes_as_one(replica: Replica) -> None:
    order_id = replica.insert("work_order", status="OPEN")
    replica.update("work_order", order_id, status="ASSIGNED", completed_at="later")
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert (shown["status"], shown["completed_at"]) == ("ASSIGNED", "later")
    assert list(replica.pending()[-1].change.patches) == ["completion"]
