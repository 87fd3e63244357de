"""What the store remembers of its tables, so that it need not ask again, is never out of date."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from rightfit_client import LocalError, Replica, outbox_table, unwritten
from rightfit_client.opening import open_file
from rightfit_client.store import SqliteStore
from rightfit_sync.apply import APPLIED
from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import create
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Change
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState
from rightfit_sync.testing.memory import MemoryStore
from tests.clients.conftest import OpenReplica


def addresses(replica: Replica) -> list[object]:
    return [row["address"] for row in replica.query("property", order_by="entity_id")]


def test_a_batch_finds_what_it_has_written_before(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "ROWS_MAX", 3)
    monkeypatch.setattr(unwritten, "REPLACED_MAX", 3)
    with replica.batch():
        for name in "abcdef":
            replica.insert("property", address=name, entity_id=name)
        for name in "abcdef":
            replica.update("property", name, {"address": name.upper()})
    assert addresses(replica) == list("ABCDEF")


def test_a_batch_finds_what_the_one_before_has_written(replica: Replica) -> None:
    for names in ("ab", "cd"):
        with replica.batch():
            for name in names:
                replica.insert("property", address=name, entity_id=name)
    with replica.batch():
        for name in "abcd":
            replica.update("property", name, {"address": name.upper()})
    assert addresses(replica) == list("ABCD")


def test_what_was_pulled_is_there_although_there_was_nothing_before(open_replica: OpenReplica) -> None:
    writer, reader = open_replica("dev-a"), open_replica("dev-b")
    writer.insert("property", address="a", entity_id="a")
    writer.sync()
    with pytest.raises(LocalError):
        reader.update("property", "a", {"address": "b"})
    reader.sync()
    reader.update("property", "a", {"address": "b"})
    assert addresses(reader) == ["b"]


def test_an_answer_that_is_noted_is_found_in_the_same_transaction(tmp_path: Path, schema: Schema) -> None:
    opened = open_file(tmp_path / "r.db", schema, lambda: ReplicaState("dev-a", subject="ann"), upgrade=None)
    key, store = ("property", "a"), opened.store
    opened.core.write(key, lambda _, stamp: create(*key, {"address": "a"}, stamp, schema), 1)
    with store.transaction():
        (entry,) = store.entries([key])[key]
        answered = replace(entry, outcome=APPLIED)
        store.put_entry(answered)
        assert store.entries([key]) == {key: [answered]}
        # This looks at a whole table, so that what was put off is written.
        store.trunk_tags()
        assert store.entries([key]) == {key: [answered]}
        assert store.acknowledged() == [answered]
    opened.close()


def entry(counter: int, entity_id: str) -> Entry:
    """Return an entry of its own content."""
    change = Change(Dot("dev-a", counter), "property", entity_id, "edit", written_at=counter)
    return Entry(change, f"{counter}")


def act(stores: Sequence[SqliteStore | MemoryStore], random: Random, counters: Iterator[int]) -> None:
    """Do the same to each of `stores`: put an entry, answer or defer or drop some that are there."""
    known = [one.change.dot for one in (*stores[0].pending(), *stores[0].acknowledged())]
    some = random.sample(known, min(len(known), random.randrange(4)))
    match random.randrange(4):
        case 0 if some:
            for store in stores:
                store.drop_entries(some)
        case 1 if some:
            changes = {"outcome": APPLIED} if random.random() < 0.5 else {"is_deferred": True}
            for store in stores:
                for one in store.entries_by_dot(some):
                    store.put_entry(replace(one, **changes))
        case _:
            fresh = [entry(next(counters), random.choice("abc")) for _ in range(random.randrange(1, 4))]
            for store in stores:
                for one in fresh:
                    store.put_entry(one)


def look(store: SqliteStore | MemoryStore, random: Random, counter_max: int) -> list[object]:
    """Return what a store says of its entries, asked for in some order; it may be asked for a part only."""
    dots = [Dot("dev-a", counter) for counter in random.sample(range(1, counter_max), 3)]
    keys = [("property", entity_id) for entity_id in random.sample("abcd", 2)]
    questions: list[Callable[[], object]] = [
        lambda: list(store.pending()),
        lambda: list(islice(store.pending(), 3)),
        lambda: list(store.acknowledged()),
        lambda: list(store.entries_by_dot(dots)),
        lambda: {key: list(found) for key, found in store.entries(keys).items()},
        lambda: store.entries([keys[0]]),
        store.count_pending,
    ]
    return [random.choice(questions)() for _ in range(random.randrange(3))]


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_entries_are_what_a_store_without_memory_of_them_has(
    tmp_path: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch, seed: int, is_shared: bool
) -> None:
    monkeypatch.setattr(outbox_table, "_ENTRIES_AT_FIRST", 2)
    monkeypatch.setattr(outbox_table, "_ENTRIES_AT_ONCE", 3)
    monkeypatch.setattr(outbox_table, "_ENTRIES_REMEMBERED_MAX", 8)
    monkeypatch.setattr(unwritten, "ROWS_MAX", 5)
    monkeypatch.setattr(unwritten, "REPLACED_MAX", 5)
    random, counters = Random(seed), count(1)
    opened = open_file(tmp_path / "r.db", schema, lambda: ReplicaState("dev-a", subject="ann"), upgrade=None)
    store = SqliteStore(opened.unit, opened.store.views, is_shared=is_shared)
    model = MemoryStore(ReplicaState("dev-a", subject="ann"))
    stores = (store, model)
    for _ in range(100):
        with suppress(ZeroDivisionError), store.transaction(), model.transaction():
            for _ in range(random.randrange(5)):
                act(stores, random, counters)
                moment = random.random()
                said = [look(one, Random(moment), 60) for one in stores]
                assert said[0] == said[1]
            if random.random() < 0.2:
                raise ZeroDivisionError
        moment = random.random()
        said = [look(one, Random(moment), 60) for one in stores]
        assert said[0] == said[1]
    opened.close()
