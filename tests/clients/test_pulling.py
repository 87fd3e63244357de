"""What goes from a page to its tables as it came: the same as by way of entities, whatever the page holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from rightfit_client import LocalError, Replica
from rightfit_client.doctor import examine
from rightfit_client.opening import OpenFile, open_file
from rightfit_client.pulling import PullingCore
from rightfit_client.testing import HttpAuthority
from rightfit_sync.changes import Stamp, create
from rightfit_sync.conflicts import Conflict
from rightfit_sync.feed import Page
from rightfit_sync.outbox import Shown
from rightfit_sync.packing import Rows
from rightfit_sync.records import Change
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncResponse
from tests.clients.conftest import SCHEMA, OpenReplica

_VALUES: dict[str, list[object]] = {
    "title": ["Boiler", "Roof", None],
    "notes": ["a b c", "a x b c", "c b a", ""],
    "cost_pence": [1, 20, 300],
    "price": ["1.50", None],
    "signature": [b"ann", None],
    "opened_on": ["2026-01-05", "2026-03-05"],
    "due_on": ["2026-02-05", None],
    "urgent": [True, False, None],
    "status": ["OPEN", "ASSIGNED"],
    "completed_at": ["noon", None],
    "tags": [[], ["leak"], ["a/b~c", "leak"]],
    "meta": [{}, {"x": "1.0"}, {"y": "2"}],
    "checklist": [[], [{"id": "1", "note": "look"}], [{"id": "1", "done": True}, {"id": "2", "note": "buy"}]],
    "property_id": ["p1", None],
    "checklist/1": [None, "V"],
    "checklist/1/note": ["look", "look again"],
    "anything": [{"deep": [1, None]}, "text", 3, None],
}
_KEYS = [("property", "p1"), ("property", "p2"), ("work_order", "w1"), ("work_order", "w2")]
_TABLES = (
    "rightfit_trunk",
    "rightfit_outbox",
    "rightfit_conflict",
    "rightfit_state",
    "property",
    "work_order",
)


@contextmanager
def file(path: Path, schema: Schema) -> Iterator[OpenFile]:
    opened = open_file(path, schema, lambda: ReplicaState("reader", subject="ann"), upgrade=None)
    try:
        yield opened
    finally:
        opened.close()


def content(opened: OpenFile) -> dict[str, list[str]]:
    return {
        table: sorted(map(repr, opened.connection.execute(f"SELECT * FROM {table}"))) for table in _TABLES
    }


def as_sent(page: Page) -> Page:
    """Return `page` as it arrives."""
    sent = encode(SyncResponse(1, 1, "e1", ["property", "work_order"], page=page))
    arrived = decode(sent, MSGPACK, SyncResponse).page
    assert arrived is not None
    return arrived


def settle(replica: Replica, conflict: Conflict, random: Random) -> None:
    match conflict.reason:
        case "delete_edit":
            choice: object = random.choice(["keep", "delete"])
        case "invariant":
            choice = {"opened_on": "2026-01-05", "due_on": "2026-02-05"}
        case _:
            choice = random.choice([*(one.value for one in conflict.siblings), None])
    replica.resolve(conflict, choice)


def act(replica: Replica, random: Random) -> None:
    """Do something to one of a few records; what cannot be done is left."""
    kind, entity_id = random.choice(
        [("property", "p1"), ("property", "p2"), ("work_order", "w1"), ("work_order", "w2")]
    )
    fields = {name: random.choice(values) for name, values in _VALUES.items() if random.random() < 0.3}
    values = {"address": random.choice(["1 High Street", None])} if kind == "property" else fields
    conflicts = replica.conflicts()
    try:
        match random.randrange(10):
            case 0 | 1:
                replica.insert(kind, values, entity_id=entity_id)
            case 2:
                replica.delete(kind, entity_id)
            case 3:
                replica.restore(kind, entity_id)
            case 4 | 5 if conflicts:
                settle(replica, random.choice(conflicts), random)
            case _:
                replica.update(kind, entity_id, values)
    except LocalError:
        pass


def add_property(_shown: Shown, stamp: Stamp) -> Change:
    return create("property", "p2", {"address": "2 High Street"}, stamp, SCHEMA)


@pytest.mark.parametrize("seed", range(6))
def test_a_page_leaves_the_same_file_as_by_way_of_entities(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority, seed: int
) -> None:
    random = Random(seed)
    writers = [open_replica("dev-a"), open_replica("dev-b")]
    authority.let_in("reader")
    schema = authority.memory.schema
    pages: list[Page] = []
    with file(tmp_path / "plain.db", schema) as plain, file(tmp_path / "whole.db", schema) as whole:
        by_entities = ReplicaCore(whole.store, schema, lambda: "other")
        for step in range(40):
            if step == 30:
                for core in (plain.core, by_entities):
                    core.write(("property", "p2"), add_property, 1)
            for _ in range(random.randrange(1, 6)):
                act(random.choice(writers), random)
            random.choice(writers).sync()
            cursor = pages[-1].cursor if pages else None
            pages.append(authority.memory.pull("reader", cursor, random.choice([1, 3, 1_000])))
            # Now and then, a page that came long ago comes once more.
            page = pages[-1] if random.random() < 0.7 else random.choice(pages)
            assert plain.core.take_page(as_sent(page)) == by_entities.take_page(as_sent(page))
            assert content(plain) == content(whole)
            # What follows from the trunk is made anew, with all that can be in dispute looked for.
            assert [finding for finding in examine(plain) if not finding.holds] == []


def test_rows_that_are_plain_never_become_entities(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority
) -> None:
    writer = open_replica("dev-a")
    writer.insert("property", address="1 High Street")
    writer.insert("work_order", title="Boiler", tags=["leak"], opened_on="2026-01-05", due_on="2026-02-05")
    writer.sync()
    authority.let_in("reader")
    with file(tmp_path / "reader.db", authority.memory.schema) as opened:
        page = as_sent(authority.memory.pull("reader", None, 1_000))
        opened.core.take_page(page)
        assert isinstance(page.rows, Rows)
        assert not page.rows.are_whole
        assert opened.connection.execute("SELECT address FROM property").fetchone() == ("1 High Street",)
        assert opened.connection.execute("SELECT tags FROM work_order").fetchone() == ('["leak"]',)


def test_a_row_that_is_an_orphan_is_listed(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority
) -> None:
    ours, theirs = open_replica("dev-a"), open_replica("dev-b")
    ours.insert("property", address="1 High Street", entity_id="p1")
    ours.sync()
    theirs.sync()
    ours.delete("property", "p1")
    ours.sync()
    theirs.insert("work_order", title="Boiler", property_id="p1")
    theirs.sync()
    authority.let_in("reader")
    with file(tmp_path / "reader.db", authority.memory.schema) as opened:
        opened.core.take_page(as_sent(authority.memory.pull("reader", None, 1_000)))
        assert [(one.reason, one.path) for one in opened.store.conflicts()] == [("orphan", "property_id")]


def test_a_page_that_shows_our_id_to_be_used_elsewhere_is_taken_in_by_way_of_entities(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority
) -> None:
    writer = open_replica("dev-a")
    writer.insert("property", address="1 High Street")
    writer.sync()
    authority.let_in("reader")
    with file(tmp_path / "reader.db", authority.memory.schema) as opened:
        assert isinstance(opened.core, PullingCore)
        opened.store.put_state(ReplicaState("dev-a", subject="ann"))
        opened.core.take_page(as_sent(authority.memory.pull("reader", None, 1_000)))
        state = opened.store.state()
        assert state.device_id != "dev-a"
        assert list(state.former_ids) == ["dev-a"]
