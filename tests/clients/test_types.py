"""Every type there and back: Python, the core's JSON form, SQLite's column."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

import pytest

from rightfit_client import LocalError, Query, Replica
from rightfit_client.convert import from_column, from_value, to_column
from rightfit_sync.schema.spec import FieldSpec


class Priority(Enum):
    HIGH = "HIGH"


VALUES = {
    "title": "Größe 🔥",
    "cost_pence": -5,
    "price": Decimal("12.50"),
    "ratio": 0.125,
    "opened_on": date(2026, 5, 1),
    "visited_at": datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
    "signature": b"\x00\xff",
    "urgent": True,
    "tags": ["b", "a/c", "~"],
    "meta": {"vat": Decimal("0.20")},
    "anything": {"deep": [1, None, {"x": "y"}]},
}


def test_each_type_comes_back_as_it_was(replica: Replica) -> None:
    order_id = replica.insert("work_order", VALUES)
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert {name: shown[name] for name in VALUES} == {**VALUES, "tags": ["a/c", "b", "~"]}
    assert replica.query("work_order") == [shown]


def test_columns_are_what_plain_sql_expects(replica: Replica) -> None:
    replica.insert("work_order", VALUES)
    columns = (
        "cost_pence",
        "price",
        "ratio",
        "opened_on",
        "visited_at",
        "signature",
        "urgent",
        "tags",
        "meta",
    )
    kinds = ", ".join(f"typeof({name})" for name in columns)
    assert list(replica.select(f"select {kinds} from work_order")[0].values()) == [
        *("integer", "text", "real", "text", "text", "blob", "integer", "text", "text"),
    ]
    found = replica.select(
        "select json_extract(meta, '$.vat') as vat, (select count(*) from json_each(tags)) as n "
        "from work_order"
    )
    assert found == [{"vat": "0.20", "n": 3}]


def test_what_nobody_wrote_is_null_and_an_empty_container_is_empty(replica: Replica) -> None:
    shown = replica.get("work_order", replica.insert("work_order", title="x"))
    assert shown is not None
    assert [shown[name] for name in ("price", "opened_on", "urgent", "anything")] == [None] * 4
    assert [shown[name] for name in ("tags", "meta", "checklist")] == [[], {}, []]
    assert replica.select("select count(*) as n from work_order where tags = '[]'") == [{"n": 1}]


def test_an_enum_is_taken_by_its_value(replica: Replica) -> None:
    order_id = replica.insert("work_order", priority=Priority.HIGH)
    assert replica.query("work_order", "priority = ?", [Priority.HIGH])[0]["entity_id"] == order_id


def test_null_takes_a_value_away(replica: Replica) -> None:
    order_id = replica.insert("work_order", price=Decimal(1), meta={"a": Decimal(1), "b": Decimal(2)})
    replica.update("work_order", order_id, {"price": None, "meta/a": None})
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert (shown["price"], shown["meta"]) == (None, {"b": Decimal(2)})


def test_a_checklist_keeps_its_order(replica: Replica) -> None:
    order_id = replica.insert(
        "work_order", checklist=[{"id": "b", "note": "first"}, {"id": "a", "done": True}]
    )
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert [item["id"] for item in shown["checklist"]] == ["b", "a"]
    replica.update("work_order", order_id, {"checklist/b/done": True})
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert shown["checklist"][0]["done"] is True  # type: ignore[index]


def test_a_set_takes_any_collection(replica: Replica) -> None:
    order_id = replica.insert("work_order", tags={"b", "a"})
    replica.update("work_order", order_id, tags=("a", "c"))
    assert replica.query("work_order")[0]["tags"] == ["a", "c"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("visited_at", datetime(2026, 5, 1, 9, 30), "naive_datetime"),  # noqa: DTZ001 - what is refused.
        ("price", Decimal("NaN"), "invalid_type"),
        ("ratio", float("inf"), "invalid_number"),
        ("cost_pence", 2**53, "invalid_number"),
        ("anything", object(), "invalid_type"),
        ("title", 7, "invalid_type"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_field(
    replica: Replica, name: str, value: object, code: str
) -> None:
    with pytest.raises(LocalError) as refused:
        replica.insert("work_order", {name: value})
    assert (refused.value.code, refused.value.path) == (code, name)


def test_query_parameters_may_be_of_any_type(replica: Replica) -> None:
    replica.insert("work_order", VALUES)
    plus_two = timezone(timedelta(hours=2))
    for where, value in [
        ("opened_on = ?", date(2026, 5, 1)),
        ("visited_at < ?", datetime(2026, 6, 1, tzinfo=plus_two)),
        ("price = ?", Decimal("12.50")),
        ("signature = ?", b"\x00\xff"),
        ("urgent = ?", True),
    ]:
        assert len(replica.query("work_order", where, [value])) == 1
    assert len(replica.query("work_order", "cost_pence < :most", {"most": 0}, order_by="title", limit=1)) == 1
    assert Query("a b").sql == 'SELECT * FROM "a b"'


def test_a_value_of_another_schema_is_given_as_it_is() -> None:
    """Reading is total: a page must never stop at a value that an older or newer schema wrote."""
    for word, odd in [
        ("decimal", "twelve"),
        ("date", "soon"),
        ("bytes", "%%%"),
        ("bool", "yes"),
        ("int", "1"),
    ]:
        spec = FieldSpec(type=word)
        column = to_column(spec)(odd)
        read = from_column(spec)
        assert (column if read is None else read(column)) == odd
        assert from_value(spec, odd) == odd
    assert to_column(FieldSpec(type="str"))([1]) == "[1]"
    assert to_column(FieldSpec(type="bytes"))({"a": 1}) == '{"a":1}'
