"""Import and export: exact in JSON, readable in CSV, all or nothing."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from rightfit_client import LocalError, Replica
from rightfit_client.portable import export_csv, export_json, import_csv, import_json
from rightfit_sync.schema.spec import Schema

FULL = {
    "title": 'Größe, "quoted"\nand a second line',
    "notes": "long",
    "cost_pence": -5,
    "price": Decimal("12.50"),
    "ratio": 0.125,
    "opened_on": date(2026, 5, 1),
    "visited_at": datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
    "signature": b"\x00\xff",
    "urgent": False,
    "status": "OPEN",
    "completed_at": "never",
    "tags": ["a/c", "b"],
    "meta": {"vat": Decimal("0.20")},
    "checklist": [{"id": "1", "note": "first"}],
    "anything": {"deep": [1, None]},
}


@pytest.fixture
def other(tmp_path: Path, schema: Schema) -> Replica:
    return Replica.open(tmp_path / "other.db", schema=schema, device_id="dev-b")


@pytest.fixture
def order_id(replica: Replica) -> str:
    replica.insert("property", address="1 High Street")
    return replica.insert("work_order", FULL)


def test_json_is_exact(replica: Replica, other: Replica, order_id: str) -> None:
    stream = io.StringIO()
    assert export_json(replica, stream) == 2
    stream.seek(0)
    assert import_json(other, stream).inserted == 2
    assert other.get("work_order", order_id) == replica.get("work_order", order_id)
    assert other.query("property") == replica.query("property")
    other.close()


def test_one_kind_is_a_list_alone(replica: Replica, other: Replica, order_id: str) -> None:
    stream = io.StringIO()
    assert export_json(replica, stream, "work_order") == 1
    assert stream.getvalue().startswith("[")
    stream.seek(0)
    with pytest.raises(LocalError) as refused:
        import_json(other, stream)
    assert refused.value.code == "needs_kind"
    stream.seek(0)
    import_json(other, stream, "work_order")
    assert other.query("work_order") == replica.query("work_order")
    other.close()


def test_csv_holds_one_kind(replica: Replica, other: Replica, order_id: str) -> None:
    stream = io.StringIO()
    assert export_csv(replica, stream, "work_order") == 1
    stream.seek(0)
    assert import_csv(other, stream, "work_order").inserted == 1
    assert other.get("work_order", order_id) == replica.get("work_order", order_id)
    stream.seek(0)
    assert import_csv(other, stream, "work_order").unchanged == 1
    other.close()


def test_rows_without_an_id_are_new_and_an_empty_cell_takes_a_value_away(
    replica: Replica, order_id: str
) -> None:
    table = f"entity_id,title,price\n{order_id},changed,\n,new,7\n"
    done = import_csv(replica, io.StringIO(table), "work_order")
    assert (done.inserted, done.updated) == (1, 1)
    changed = replica.get("work_order", order_id)
    assert changed is not None
    assert (changed["title"], changed["price"]) == ("changed", None)
    assert replica.query("work_order", "title = 'new'")[0]["price"] == Decimal(7)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("title,opened_on\na,2026-05-01\nb,soon\n", "row 2: opened_on"),
        ("title,urgent\na,perhaps\n", "row 1: urgent"),
        ("title,tags\na,x;y\n", "row 1: tags"),
        ("title,colour\na,red\n", "row 1: colour"),
        ("title,price\na\n", "row 1: it has not as many cells"),
        ("title,price\na,1,2\n", "row 1: it has not as many cells"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_taken(replica: Replica, table: str, message: str) -> None:
    with pytest.raises(LocalError, match=message):
        import_csv(replica, io.StringIO(table), "work_order")
    assert replica.query("work_order") == []
    assert replica.pending() == []


@pytest.mark.parametrize("text", ["{", "7", '{"kinds": 1}', '{"kinds": {"work_order": [7]}}'])
def test_what_is_no_export_is_refused(replica: Replica, text: str) -> None:
    with pytest.raises(LocalError) as refused:
        import_json(replica, io.StringIO(text))
    assert refused.value.code == "invalid_file"


def test_an_id_is_a_text_and_a_kind_is_known(replica: Replica) -> None:
    with pytest.raises(LocalError, match="is no id"):
        import_json(replica, io.StringIO('[{"entity_id": 7}]'), "work_order")
    for take in (import_json, import_csv):
        with pytest.raises(LocalError, match="has no kind"):
            take(replica, io.StringIO('[{"a": 7}]'), "boiler")


def test_an_import_has_a_limit(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rightfit_client.portable.IMPORT_ROWS_MAX", 1)
    with pytest.raises(LocalError, match="split the file"):
        import_csv(replica, io.StringIO("title\na\nb\n"), "work_order")
