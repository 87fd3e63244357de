"""View tables: ordinary SQL may read and index them, and may not write them."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_client import LocalError, Replica
from rightfit_client.sqlite import sqlite3
from rightfit_client.tables import view_tables
from rightfit_sync.errors import SchemaError
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.view import assemble


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("insert into work_order (entity_id) values ('x')", "replica.insert('work_order', ...)"),
        ("update work_order set title = 'x'", "replica.update('work_order', entity_id, ...)"),
        ("delete from work_order", "replica.delete('work_order', entity_id)"),
        ("insert or replace into work_order (entity_id) values ('x')", "replica.insert('work_order', ...)"),
    ],
)
def test_another_connection_is_told_what_to_call(replica: Replica, statement: str, call: str) -> None:
    replica.insert("work_order", title="Boiler")
    outside = sqlite3.connect(str(replica.path), isolation_level=None)
    with pytest.raises(sqlite3.DatabaseError, match=r"view of the replica") as refused:
        outside.execute(statement)
    outside.close()
    assert call in str(refused.value)
    assert replica.query("work_order")[0]["title"] == "Boiler"


def test_the_guard_is_shut_for_the_replicas_own_connection_too(replica: Replica) -> None:
    replica.insert("work_order", title="Boiler")
    with pytest.raises(sqlite3.IntegrityError, match=r"call replica\.delete"):
        replica.database.execute("delete from work_order")
    with pytest.raises(LocalError, match="readonly"):
        replica.select("delete from work_order")


def test_another_program_may_still_look_after_tables_of_its_own(replica: Replica) -> None:
    outside = sqlite3.connect(str(replica.path), isolation_level=None)
    for statement in (
        "create table draft (text, order_id references work_order)",
        "alter table draft rename to drafts",
        "alter table drafts rename column text to words",
        "alter table drafts drop column words",
        "create index theirs on work_order (title)",
        "vacuum",
    ):
        outside.execute(statement)
    outside.close()
    assert replica.insert("work_order", title="Boiler")


def test_a_kind_with_a_long_name_is_guarded_too(tmp_path: Path) -> None:
    name = "é" * 200
    with Replica.open(
        tmp_path / "a.db", schema=Schema(1, {name: KindSpec(fields={})}), device_id="a"
    ) as replica:
        replica.delete(name, replica.insert(name))
        outside = sqlite3.connect(str(replica.path), isolation_level=None)
        with pytest.raises(sqlite3.DatabaseError, match="no such function"):
            outside.execute(f"insert into {name} values ('x')")
        outside.close()


def test_another_connection_may_read_while_the_replica_writes(replica: Replica) -> None:
    outside = sqlite3.connect(f"file:{replica.path}?mode=ro", uri=True)
    with replica.transaction():
        replica.insert("work_order", title="Boiler")
        assert outside.execute("select count(*) from work_order").fetchone() == (0,)
    assert outside.execute("select title from work_order").fetchall() == [("Boiler",)]
    outside.close()


def test_an_application_may_add_indexes_and_tables_of_its_own(replica: Replica) -> None:
    replica.database["work_order"].create_index(["team", "title"])
    replica.database["draft"].insert({"id": 1, "text": "mine"}, pk="id")
    order_id = replica.insert("work_order", team="north", title="b")
    replica.update("work_order", order_id, title="a")
    plan = replica.select("explain query plan select title from work_order where team = 'north'")
    assert "idx_work_order_team_title" in str(plan)
    joined = "select text from draft join work_order on work_order.title = 'a'"
    assert replica.select(joined) == [{"text": "mine"}]


def test_indexes_are_left_alone_by_an_upgrade(tmp_path: Path) -> None:
    first = Schema(
        1, {"note": KindSpec(fields={"text": FieldSpec(type="str"), "size": FieldSpec(type="str")})}
    )
    then = Schema(
        2, {"note": KindSpec(fields={"text": FieldSpec(type="str"), "size": FieldSpec(type="int")})}
    )
    with Replica.open(tmp_path / "a.db", schema=first, device_id="a") as replica:
        replica.database["note"].create_index(["size"])
    with Replica.open(tmp_path / "a.db", schema=then) as replica:
        assert [index.columns for index in replica.database["note"].indexes if index.origin == "c"] == [
            ["size"]
        ]
        assert replica.database["note"].columns_dict["size"] is int
        with pytest.raises(sqlite3.IntegrityError):
            replica.database.execute("insert into note (entity_id) values ('x')")


@pytest.mark.parametrize(
    "schema",
    [
        Schema(1, {"rightfit_state": KindSpec(fields={})}),
        Schema(1, {"sqlite_master": KindSpec(fields={})}),
        Schema(1, {"a": KindSpec(fields={}), "A": KindSpec(fields={})}),
        Schema(1, {"a": KindSpec(fields={"x": FieldSpec(), "X": FieldSpec()})}),
    ],
)
def test_names_that_sqlite_confuses_are_refused(schema: Schema) -> None:
    with pytest.raises(SchemaError):
        view_tables(schema)


def test_odd_names_are_quoted(tmp_path: Path) -> None:
    schema = Schema(
        1, {'or"der': KindSpec(fields={"sel ect": FieldSpec(type="str"), "group's": FieldSpec()})}
    )
    with Replica.open(tmp_path / "a.db", schema=schema, device_id="a") as replica:
        one = replica.insert('or"der', {"sel ect": "x", "group's": 1})
        assert replica.get('or"der', one) == {"entity_id": one, "sel ect": "x", "group's": 1}
        replica.delete('or"der', one)
        assert replica.query('or"der') == []


def test_a_kind_without_fields_has_a_table(tmp_path: Path) -> None:
    with Replica.open(
        tmp_path / "a.db", schema=Schema(1, {"mark": KindSpec(fields={})}), device_id="a"
    ) as replica:
        one = replica.insert("mark")
        assert replica.query("mark") == [{"entity_id": one}]


LABELLED = KindSpec(
    fields={
        "title": FieldSpec(type="str"),
        "tags": FieldSpec(type="str", merge="set"),
        "floors": FieldSpec(type="int", merge="set"),
    }
)
LABELLED_TABLE = view_tables(Schema(1, {"order": LABELLED}))["order"]
VALUES_OF_SETS = st.dictionaries(
    st.sampled_from(
        ["title", "tags/leak", "tags/a~1b", "tags/é", "floors/2", "floors/10", "floors/x", "new/a"]
    ),
    st.just(True),
)
OF_A_FORMER_SCHEMA = st.dictionaries(st.sampled_from(["tags", "floors"]), st.just(["attic"]))


@given(VALUES_OF_SETS, OF_A_FORMER_SCHEMA)
def test_columns_of_sets_are_those_of_the_whole_entity(
    sets: dict[str, bool], former: dict[str, list[str]]
) -> None:
    by_path = {**former, **sets}
    assembled = assemble(by_path, LABELLED)
    title, *lists = LABELLED_TABLE.columns("x", by_path)[1:]
    assert title == by_path.get("title")
    assert lists == [msgspec.json.encode(assembled.get(name, [])).decode() for name in ("tags", "floors")]
