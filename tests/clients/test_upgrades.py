"""F12: schemas that move. What an old program does not know appears later; the outbox is carried forward."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from rightfit_client import LocalError, OpenError, Replica
from rightfit_client.testing import HttpAuthority
from rightfit_sync.records import Change, Patch, digest
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema

Open = Callable[..., Replica]

TEXT = FieldSpec(type="str")
NUMBER = FieldSpec(merge="counter", type="int")
OLD = Schema(1, {"note": KindSpec(fields={"text": TEXT}, audience=["all"])})
NEW = Schema(
    2,
    {
        "note": KindSpec(
            fields={"text": TEXT, "colour": TEXT, "labels": FieldSpec(merge="set", type="str")},
            audience=["all"],
        ),
        "list": KindSpec(fields={"name": TEXT, "size": NUMBER}, audience=["all"]),
    },
)


@pytest.fixture
def new(open_replica: Open, authority: HttpAuthority) -> Replica:
    authority.memory.schema = NEW
    return open_replica("dev-new", schema=NEW)


@pytest.fixture
def old(open_replica: Open, new: Replica) -> Replica:
    return open_replica("dev-old", schema=OLD)


def test_F12_unknown_fields_and_kinds_are_kept_and_appear_after_an_upgrade(
    open_replica: Open, new: Replica, old: Replica
) -> None:
    note = new.insert("note", text="a", colour="red", labels=["x"])
    todo = new.insert("list", name="Shopping", size=3)
    new.sync()
    old.sync()
    assert old.query("note") == [{"entity_id": note, "text": "a"}]
    assert old.status().authority_schema_version == 2
    # An edit by the old program leaves what it does not know untouched.
    old.update("note", note, text="b")
    old.sync()
    new.sync()
    assert new.get("note", note) == {"entity_id": note, "text": "b", "colour": "red", "labels": ["x"]}
    old.close()
    upgraded = open_replica("dev-old", schema=NEW)
    assert upgraded.get("note", note) == new.get("note", note)
    assert upgraded.get("list", todo) == {"entity_id": todo, "name": "Shopping", "size": 3}
    assert upgraded.conflicts() == []


def test_F12_conflicts_of_unknown_fields_appear_after_an_upgrade(
    open_replica: Open, new: Replica, old: Replica
) -> None:
    other = open_replica("dev-other", schema=NEW)
    one = new.insert("list", name="a")
    new.sync()
    other.sync()
    new.update("list", one, name="b")
    other.update("list", one, name="c")
    new.sync()
    other.sync()
    old.sync()
    assert old.conflicts() == []
    old.close()
    upgraded = open_replica("dev-old", schema=NEW)
    assert [conflict.path for conflict in upgraded.conflicts()] == ["name"]


def test_the_outbox_is_carried_forward_with_its_digests(open_replica: Open, old: Replica) -> None:
    note = old.insert("note", text="a")
    old.update("note", note, text="b")
    before = old.pending()
    old.close()
    upgraded = open_replica("dev-old", schema=NEW)
    assert upgraded.pending() == before
    upgraded.update("note", note, colour="red")
    upgraded.sync()
    assert upgraded.pending() == []
    assert upgraded.get("note", note) == {"entity_id": note, "text": "b", "colour": "red", "labels": []}


def test_pending_changes_can_be_rewritten_and_keep_the_digest_first_made_durable(
    open_replica: Open, old: Replica, authority: HttpAuthority
) -> None:
    """History 20 of semantics.md: committed, response lost, app upgraded: not applied twice."""
    note = old.insert("note", text="red: buy milk")
    authority.lose_response()
    with pytest.raises(Exception, match="reached"):
        old.sync()
    made = old.pending()[0]
    old.close()

    def upgrade(change: Change) -> Change:
        colour, _, text = str(change.patches["text"].value).partition(": ")
        return replace(change, patches={"text": Patch(value=text), "colour": Patch(value=colour)})

    upgraded = open_replica("dev-old", schema=NEW, upgrade=upgrade)
    assert upgraded.get("note", note) == {
        "entity_id": note,
        "text": "buy milk",
        "colour": "red",
        "labels": [],
    }
    (entry,) = upgraded.pending()
    assert entry.digest == made.digest == digest(made.change) != digest(entry.change)
    upgraded.sync()
    assert upgraded.pending() == upgraded.rejected() == []
    assert len(authority.memory.history) == 1


def test_an_upgrade_that_renames_a_change_is_refused_and_changes_nothing(
    open_replica: Open, old: Replica
) -> None:
    old.insert("note", text="a")
    old.close()
    with pytest.raises(OpenError):
        open_replica("dev-old", schema=NEW, upgrade=lambda change: replace(change, kind="list"))
    assert open_replica("dev-old", schema=OLD).pending()[0].change.kind == "note"


def test_an_older_schema_is_refused(open_replica: Open, new: Replica) -> None:
    new.close()
    with pytest.raises(OpenError) as refused:
        open_replica("dev-new", schema=OLD)
    assert refused.value.code == "schema_older"


def test_fields_and_kinds_that_a_schema_drops_are_hidden_and_kept(open_replica: Open, new: Replica) -> None:
    note = new.insert("note", text="a", colour="red")
    new.insert("list", name="x")
    new.sync()
    new.close()
    fewer = Schema(3, {"note": KindSpec(fields={"text": TEXT}, audience=["all"])})
    dropped = open_replica("dev-new", schema=fewer)
    assert dropped.get("note", note) == {"entity_id": note, "text": "a"}
    with pytest.raises(LocalError):
        dropped.query("list")
    assert "list" not in dropped.database.table_names()
    dropped.close()
    again = open_replica("dev-new", schema=Schema(4, NEW.kinds))
    assert again.query("note")[0]["colour"] == "red"
    assert len(again.query("list")) == 1


def test_B05_a_kind_that_the_authority_does_not_know_waits_and_others_flow(
    open_replica: Open, authority: HttpAuthority
) -> None:
    authority.memory.schema = OLD
    ahead = open_replica("dev-ahead", schema=NEW)
    ahead.insert("list", name="waits")
    with ahead.transaction():
        ahead.insert("note", text="waits along")
        ahead.insert("list", name="waits too")
    ahead.insert("note", text="flows")
    ahead.sync()
    assert [entry.change.kind for entry in ahead.pending()] == ["list", "note", "list"]
    assert len(authority.memory.held) == 1
    asked = len(authority.exchanges)
    ahead.sync()
    assert len(authority.exchanges) == asked + 1
    authority.memory.schema = NEW
    ahead.sync()
    ahead.sync()
    assert ahead.pending() == ahead.rejected() == []
    assert len(authority.memory.held) == 4


def test_a_table_of_the_applications_own_is_never_taken_over(tmp_path: Path) -> None:
    with Replica.open(tmp_path / "a.db", schema=OLD, device_id="a") as replica:
        replica.database["list"].insert({"mine": 1})
        replica.insert("note", text="kept")
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "a.db", schema=NEW)
    assert refused.value.code == "name_taken"
    with Replica.open(tmp_path / "a.db") as replica:
        assert replica.schema.schema_version == 1
        assert len(replica.query("note")) == 1
        assert list(replica.database["list"].rows) == [{"mine": 1}]
