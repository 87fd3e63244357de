"""What the store remembers of its tables, so that it need not ask again, is never out of date."""

import pytest

from rightfit_client import LocalError, Replica, unwritten
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
