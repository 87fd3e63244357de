"""What the store remembers of its tables, so that it need not ask again, is never out of date."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from rightfit_client import LocalError, Replica, unwritten
from rightfit_client.opening import open_file
from rightfit_sync.apply import APPLIED
from rightfit_sync.changes import create
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState
from tests.clients.conftest import OpenReplica


def addresses(replica: Replica) -> list[object]:
    return [row["address"] for row in replica.query("property", order_by="entity_id")]


def test_a_batch_finds_what_it_has_written_before(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "ROWS_MAX", 3)
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
