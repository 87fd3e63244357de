"""Live queries: each new answer once, after the commit, whoever wrote."""

import logging
import threading
from collections.abc import Callable

import pytest

from rightfit_client import LocalError, Query, Replica, Select
from rightfit_client.query import Rows

Open = Callable[..., Replica]


def test_a_subscriber_hears_the_present_answer_and_each_new_one(replica: Replica) -> None:
    heard: list[Rows] = []
    question = Query("work_order", "team = ?", ["north"], order_by="title", limit=2)
    subscription = replica.subscribe(question, heard.append)
    order_id = replica.insert("work_order", title="a", team="north")
    replica.insert("work_order", title="b", team="south")
    replica.update("work_order", order_id, title="c")
    replica.delete("work_order", order_id)
    assert [[row["title"] for row in rows] for rows in heard] == [[], ["a"], ["c"], []]
    subscription.cancel()
    replica.insert("work_order", title="d", team="north")
    assert len(heard) == 4


def test_a_transaction_is_heard_of_once_and_only_when_it_stands(replica: Replica) -> None:
    heard: list[Rows] = []
    replica.subscribe("work_order", heard.append)
    with replica.transaction():
        replica.insert("work_order", title="a")
        replica.insert("work_order", title="b")
        assert len(heard) == 1
    with pytest.raises(LocalError), replica.transaction():
        replica.insert("work_order", title=7)
    assert [len(rows) for rows in heard] == [0, 2]


def test_what_others_wrote_is_heard_of(open_replica: Open) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    heard: list[Rows] = []
    bob.subscribe("work_order", heard.append)
    ann.insert("work_order", title="a")
    ann.sync()
    bob.sync()
    assert [len(rows) for rows in heard] == [0, 1]


def test_any_sql_can_be_live_and_hears_of_every_table_it_reads(replica: Replica) -> None:
    heard: list[Rows] = []
    joined = "select address from property p join work_order w on w.property_id = p.entity_id"
    with replica.subscribe(Select(joined), heard.append) as subscription:
        assert subscription.tables == {"property", "work_order"}
        property_id = replica.insert("property", address="1 High Street")
        replica.insert("work_order", property_id=property_id)
        replica.update("property", property_id, address="2 High Street")
    replica.update("property", property_id, address="3 High Street")
    assert heard == [[], [{"address": "1 High Street"}], [{"address": "2 High Street"}]]


def test_a_question_that_cannot_be_asked_is_refused_at_once(replica: Replica) -> None:
    for question in (Query("nothing"), Query("work_order", "no_such = 1"), Select("delete from work_order")):
        with pytest.raises(LocalError):
            replica.subscribe(question, lambda _: None)
    replica.insert("work_order", title="a")


def test_a_callback_may_write(replica: Replica) -> None:
    heard: list[int] = []

    def add(rows: Rows) -> None:
        heard.append(len(rows))
        if len(rows) < 3:
            replica.insert("work_order", title=str(len(rows)))

    replica.subscribe("work_order", add)
    assert heard == [0, 1, 2, 3]


def test_a_callback_that_fails_is_logged_and_the_edit_stands(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(rows: Rows) -> None:
        if rows:
            raise RuntimeError("no screen")

    replica.subscribe("work_order", fail)
    with caplog.at_level(logging.ERROR):
        replica.insert("work_order", title="a")
    assert "no screen" in caplog.text
    assert len(replica.query("work_order")) == 1


def test_threads_may_write_and_listen_together(replica: Replica) -> None:
    counts: list[int] = []
    replica.subscribe("work_order", lambda rows: counts.append(len(rows)))

    def write() -> None:
        for number in range(20):
            replica.insert("work_order", title=str(number))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == sorted(counts)
    assert counts[-1] == len(replica.query("work_order")) == 80
    assert [entry.change.dot.counter for entry in replica.pending()] == list(range(1, 81))


def test_the_status_is_told_when_it_changes(replica: Replica) -> None:
    states: list[str] = []
    replica.on_status(lambda status: states.append(status.state))
    replica.insert("work_order", title="a")
    replica.sync()
    assert states[0] == "pending"
    assert "syncing" in states
    assert states[-1] == "up_to_date"
