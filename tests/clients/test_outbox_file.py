"""What the outbox in the file tells beside its edits: the counter that is spent, and which records they are of."""

from collections.abc import Callable
from contextlib import suppress

from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority

Open = Callable[..., Replica]


def counters(replica: Replica) -> list[int]:
    return [entry.change.dot.counter for entry in replica.pending()]


def counter_written(replica: Replica) -> int:
    ((counter,),) = replica.database.execute("SELECT counter FROM rightfit_state").fetchall()
    return int(counter)


def test_no_counter_is_spent_twice_though_only_the_last_edit_tells_it(open_replica: Open) -> None:
    replica = open_replica("dev-a", url=None)
    for number in range(3):
        replica.insert("work_order", title=str(number))
    assert counter_written(replica) == 0
    replica.close()
    again = open_replica("dev-a", url=None)
    again.insert("work_order", title="3")
    assert counters(again) == [1, 2, 3, 4]


def test_the_counter_is_written_when_the_edit_that_tells_it_leaves(
    open_replica: Open, authority: HttpAuthority
) -> None:
    replica = open_replica("dev-a")
    for number in range(3):
        replica.insert("work_order", title=str(number))
    replica.sync()
    assert (replica.pending(), counter_written(replica)) == ([], 3)
    replica.close()
    again = open_replica("dev-a")
    again.insert("work_order", title="3")
    assert counters(again) == [4]


def test_an_edit_that_is_rolled_back_spends_nothing(open_replica: Open) -> None:
    replica = open_replica("dev-a", url=None)
    kept = replica.insert("work_order", title="kept")
    with suppress(RuntimeError), replica.batch():
        replica.update("work_order", kept, title="given up")
        raise RuntimeError
    replica.update("work_order", kept, title="changed")
    assert counters(replica) == [1, 2]
    assert replica.get("work_order", kept)["title"] == "changed"


def test_who_only_reads_finds_the_edits_that_came_meanwhile(open_replica: Open) -> None:
    writer = open_replica("dev-a", url=None)
    order_id = writer.insert("work_order", title="0")
    with Replica.open(writer.path, read_only=True) as reader:
        for number in range(1, 4):
            assert [one.check for one in reader.examine() if not one.holds] == []
            assert counters(reader) == list(range(1, number + 1))
            writer.update("work_order", order_id, title=str(number))


def test_the_counter_is_written_when_nothing_but_the_last_edit_leaves(open_replica: Open) -> None:
    replica = open_replica("dev-a", url=None)
    for number in range(3):
        replica.insert("work_order", title=str(number))
    replica._store.drop_entries([replica.pending()[-1].change.dot])
    replica.close()
    again = open_replica("dev-a", url=None)
    again.insert("work_order", title="3")
    assert counters(again) == [1, 2, 4]
