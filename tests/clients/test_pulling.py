"""What goes from a page to its tables as it came: the same as by way of entities, whatever the page holds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pytest

from rightfit_client import LocalError, Replica
from rightfit_client.doctor import examine
from rightfit_client.errors import RightFitError
from rightfit_client.opening import OpenFile, open_file
from rightfit_client.pulling import PullingCore
from rightfit_client.testing import HttpAuthority
from rightfit_sync.apply import APPLIED
from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import Stamp, create, edit
from rightfit_sync.conflicts import Conflict
from rightfit_sync.exchange import Progress, Synced
from rightfit_sync.feed import Page
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.outbox import Shown
from rightfit_sync.packing import Rows
from rightfit_sync.records import Change, rejected
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import ReplicaState
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncResponse
from tests.clients.conftest import NOW, SCHEMA, OpenReplica

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
    """Return all that is in the file; of the outbox, the order of its entries and not their places."""
    found = {
        table: sorted(map(repr, opened.connection.execute(f"SELECT * FROM {table}"))) for table in _TABLES
    }
    entries = opened.connection.execute("SELECT * FROM rightfit_outbox ORDER BY position")
    return {**found, "rightfit_outbox": [repr(row[1:]) for row in entries]}


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
        [("property", "p1"), ("property", "p3"), ("work_order", "w1"), ("work_order", "w2")]
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


def disturb(core: ReplicaCore, random: Random, *, is_heard: bool) -> None:
    """Do something on the reader's own side: write, give up, hear of the oldest edit that it is accepted or not."""
    pending = list(core.store.pending())
    match random.randrange(4):
        case 0 if pending:
            core.set_aside(pending[0].change.dot, rejected("discarded", "not wanted"))
        case 1 if pending and not is_heard:
            first = pending[0]
            outcome = random.choice([APPLIED, rejected("invalid", "no")])
            core.take_receipts([Receipt(first.change.dot, first.digest, outcome)])
        case _:
            entity_id, values = (
                random.choice(["p1", "p2", "p3", "p4"]),
                {"address": random.choice(["3 High Street", "4"])},
            )

            def author(shown: Shown, stamp: Stamp) -> Change | None:
                if shown.entity is None:
                    return create("property", entity_id, values, stamp, SCHEMA)
                return edit(shown.entity, values, stamp, SCHEMA)

            core.write(("property", entity_id), author, 1)


def push(core: ReplicaCore, authority: HttpAuthority) -> Sequence[Receipt]:
    planned = core.plan_push(changes_max=10, bytes_max=100_000)
    return authority.memory.push("reader", planned, NOW)[0] if planned else ()


@pytest.mark.parametrize("seed", range(8))
def test_a_page_leaves_the_same_file_as_by_way_of_entities(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority, seed: int
) -> None:
    """With odd seeds the reader's edits reach the authority, so that pages bring them; otherwise it only hears so."""
    random, is_heard = Random(seed), seed % 2 == 1
    authority.memory.authorize = lambda _subject, _entity, change: (
        rejected("forbidden", "no") if change.dot.counter % 5 == 0 else None
    )
    writers = [open_replica("dev-a"), open_replica("dev-b")]
    authority.let_in("reader")
    schema = authority.memory.schema
    pages: list[Page] = []
    with file(tmp_path / "plain.db", schema) as plain, file(tmp_path / "whole.db", schema) as whole:
        by_entities = ReplicaCore(whole.store, schema, lambda: "other")
        for step in range(40):
            for _ in range(random.randrange(1, 6)):
                act(random.choice(writers), random)
            random.choice(writers).sync()
            receipts = push(plain.core, authority) if is_heard and random.random() < 0.5 else ()
            cursor = pages[-1].cursor if pages else None
            pages.append(authority.memory.pull("reader", cursor, random.choice([1, 3, 1_000])))
            # Now and then, a page that came long ago comes once more.
            page = pages[-1] if random.random() < 0.7 else random.choice(pages)
            disturbance = random.random() if step >= 10 and random.random() < 0.4 else None
            at_once = random.random() < 0.5
            changed = []
            for core in (plain.core, by_entities):
                with core.store.transaction(), core.refreshing_once() if at_once else nullcontext():
                    core.take_receipts(receipts)
                    if disturbance is not None:
                        disturb(core, Random(disturbance), is_heard=is_heard)
                    changed.append(core.take_page(as_sent(page)))
            assert changed[0] == changed[1]
            assert content(plain) == content(whole)
            # What follows from the trunk is made anew, with all that can be in dispute looked for.
            assert [finding for finding in examine(plain) if not finding.holds] == []


def test_an_answered_edit_leaves_with_the_row_that_has_it_and_shows_what_others_did(
    tmp_path: Path, open_replica: OpenReplica, authority: HttpAuthority
) -> None:
    writer, key = open_replica("dev-b"), ("property", "p1")
    authority.let_in("reader")
    with file(tmp_path / "reader.db", SCHEMA) as reader:

        def address() -> object:
            return reader.connection.execute("SELECT address FROM property").fetchone()[0]

        reader.core.write(key, lambda _, stamp: create(*key, {"address": "1"}, stamp, SCHEMA), 1)
        reader.core.take_receipts(push(reader.core, authority))
        writer.sync()
        writer.update(*key, {"address": "2"})
        writer.sync()
        page = as_sent(authority.memory.pull("reader", None, 1_000))
        reader.core.take_page(page)
        assert address() == "2"
        assert reader.store.entries([key]) == {}
        reader.core.write(key, move, 1)
        reader.core.take_receipts(push(reader.core, authority))
        reader.core.take_page(as_sent(page))
        assert address() == "2 High Street"
        assert len(reader.store.acknowledged()) == 1


def test_nobody_is_told_of_a_record_that_is_shown_already(tmp_path: Path, authority: HttpAuthority) -> None:
    authority.let_in("reader")
    told: list[frozenset[str]] = []
    with file(tmp_path / "reader.db", SCHEMA) as reader:
        key = ("property", "p1")
        reader.core.write(key, lambda _, stamp: create(*key, {"address": "1"}, stamp, SCHEMA), 1)
        receipts = push(reader.core, authority)
        reader.unit.committed = lambda kinds, _: told.append(kinds)
        with reader.store.transaction(), reader.core.refreshing_once():
            reader.core.take_receipts(receipts)
            reader.core.take_page(as_sent(authority.memory.pull("reader", None, 1_000)))
        assert reader.store.entries([key]) == {}
        assert told == [frozenset()]


def write_meanwhile(replica: Replica, random: Random, _: Progress) -> None:
    """Go on writing while a sync is under way."""
    if random.random() < 0.3:
        act(replica, random)


def test_a_row_with_an_edit_of_ours_that_was_never_answered_is_taken_in_by_way_of_entities(
    tmp_path: Path, authority: HttpAuthority
) -> None:
    authority.let_in("reader")
    with file(tmp_path / "plain.db", SCHEMA) as plain, file(tmp_path / "whole.db", SCHEMA) as whole:
        by_entities = ReplicaCore(whole.store, SCHEMA, lambda: "other")
        plain.core._fresh_id = lambda: "other"
        for core in (plain.core, by_entities):
            core.write(("property", "p1"), lambda _, stamp: create("property", "p1", {}, stamp, SCHEMA), 1)
        push(plain.core, authority)
        page = authority.memory.pull("reader", None, 1_000)
        assert plain.core.take_page(as_sent(page)) == by_entities.take_page(as_sent(page))
        assert content(plain) == content(whole)
        assert [entry.change.dot for entry in plain.store.pending()] == [Dot("other", 1)]


def story(path: Path, seed: int) -> Iterator[tuple[Synced | str, dict[str, list[str]], list[str]]]:
    """Let two people write and sync at random; give what each sync came to, and the file that it left."""
    random, authority = Random(seed), HttpAuthority(SCHEMA)
    authority.clock = lambda: NOW
    authority.memory.authorize = lambda _subject, _entity, change: (
        rejected("forbidden", "no") if change.dot.counter % 7 == 0 else None
    )
    with ExitStack() as stack:
        replicas = []
        for name in ("dev-a", "dev-b"):
            replica = Replica.open(
                path / f"{name}.db",
                schema=SCHEMA,
                url="http://authority",
                token=authority.let_in(name),
                clock=lambda: NOW + random.choice([0, 0, 0, 5_000]),
                transport=authority,
            )
            replicas.append(stack.enter_context(replica))
        for _ in range(40):
            for _ in range(random.randrange(8)):
                act(random.choice(replicas), random)
            replica, chances = random.choice(replicas), Random(random.random())
            if random.random() < 0.1:
                authority.lose_response()
            try:
                came_to: Synced | str = replica.sync(partial(write_meanwhile, replica, chances))
            except RightFitError as error:
                came_to = str(error)
            opened = replica._opened
            yield came_to, content(opened), [one.check for one in examine(opened) if not one.holds]


@pytest.mark.parametrize("seed", range(8))
def test_what_was_pushed_comes_back_to_the_same_file_as_by_way_of_entities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("rightfit_sync.exchange.CHANGES_PER_PUSH_MAX", 3)
    for name in ("plain", "whole"):
        (tmp_path / name).mkdir()
    plain = list(story(tmp_path / "plain", seed))
    monkeypatch.setattr(PullingCore, "take_page", ReplicaCore.take_page)
    for found, expected in zip(plain, story(tmp_path / "whole", seed), strict=True):
        assert found == expected
        assert found[2] == []


def forget(core: ReplicaCore) -> None:
    """Hear that the one edit is refused: what is shown without it is put off until the transaction ends."""
    (entry,) = core.store.pending()
    core.take_receipts([Receipt(entry.change.dot, entry.digest, rejected("invalid", "no"))])


def say_again(core: ReplicaCore) -> None:
    """Put the one edit into the outbox under a dot more, without showing it."""
    (entry,) = core.store.pending()
    dot = Dot("reader", 2)
    core.store.put_entry(
        msgspec.structs.replace(entry, change=msgspec.structs.replace(entry.change, dot=dot))
    )
    core.store.drop_entries([entry.change.dot])


def move(shown: Shown, stamp: Stamp) -> Change | None:
    assert shown.entity is not None
    return edit(shown.entity, {"address": "2 High Street"}, stamp, SCHEMA)


@pytest.mark.parametrize("meanwhile", [forget, say_again])
def test_what_the_transaction_has_put_off_has_a_say(
    tmp_path: Path,
    open_replica: OpenReplica,
    authority: HttpAuthority,
    meanwhile: Callable[[ReplicaCore], None],
) -> None:
    writer = open_replica("dev-a")
    writer.insert("property", address="1 High Street", entity_id="p1")
    writer.sync()
    authority.let_in("reader")
    first, schema = as_sent(authority.memory.pull("reader", None, 1_000)), authority.memory.schema
    writer.update("property", "p1", {"address": "9 High Street"})
    writer.sync()
    second = authority.memory.pull("reader", first.cursor, 1_000)
    with file(tmp_path / "plain.db", schema) as plain, file(tmp_path / "whole.db", schema) as whole:
        for core in (plain.core, ReplicaCore(whole.store, schema, lambda: "other")):
            core.take_page(first)
            core.write(("property", "p1"), move, 1)
            with core.store.transaction():
                meanwhile(core)
                core.take_page(as_sent(second))
        assert content(plain) == content(whole)


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
