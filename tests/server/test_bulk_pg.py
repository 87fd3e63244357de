"""Columns that travel as arrays arrive as they were sent, whatever they have in common; what is looked up by many keys
is looked up key by key, and what stands in order is read in it, however little the planner knows."""

import psycopg
import pytest

from rightfit_server.postgres import administration
from rightfit_server.postgres.bulk import array, arrays, filled, text_array
from rightfit_server.postgres.feed_store import (
    _COMPANIONS,
    _HAS_TRANSACTIONS,
    _ROWS_AFTER,
    _ROWS_EXPECTED,
    READING_IN_ORDER,
)
from rightfit_server.postgres.ingest_store import _LOCK, _RECEIPTS
from rightfit_server.postgres.rows import columns
from tests.server.world import Database

COLUMNS = [
    ("text", ["a", "Kettle", "ä ß 漢", ""]),
    ("text", ["0192", "0193", "0194"]),
    ("text", ["ä", "b"]),
    ("text", ["same", "same", "same"]),
    ("text", [None, "some", None]),
    ("text", [None, None]),
    ("text", [""]),
    ("text", []),
    ("bytea", [b"", b"\x00\x01", b"abc"]),
    ("bytea", [b"ab", b"cd"]),
    ("bigint", [0, -1, 2**53, 2**53]),
    ("integer", [7, 7, 7]),
    ("integer", [1, None, 3]),
]


@pytest.mark.parametrize(("type_name", "values"), COLUMNS)
def test_a_column_arrives_as_it_was_sent(database: Database, type_name: str, values: list[object]) -> None:
    with psycopg.connect(database.url) as connection:
        statement = (
            f"SELECT x FROM unnest(%s::{type_name}[]) WITH ORDINALITY AS rows (x, place) ORDER BY place"
        )
        rows = connection.execute(statement.encode(), (array(type_name, values),)).fetchall()
    assert [value for (value,) in rows] == values


@pytest.mark.parametrize("type_name", ["json", "jsonb"])
@pytest.mark.parametrize("values", [[b"1", b'{"a": 2}', None], [b"1", b"1"], [b"10", b"20"], [None]])
def test_json_arrives_as_it_was_sent(database: Database, type_name: str, values: list[bytes | None]) -> None:
    with psycopg.connect(database.url) as connection:
        statement = f"SELECT array_agg(x::text ORDER BY place) FROM unnest(%s::{type_name}[])"
        found = connection.execute(
            f"{statement} WITH ORDINALITY AS rows (x, place)".encode(), (array(type_name, values),)
        ).fetchone()
    assert found == ([None if value is None else value.decode() for value in values],)


TYPES = "integer text text[] bytea jsonb bigint"
TABLES = {
    "nothing alike": [
        (1, "a", text_array(("x", 'y"')), b"\x00", b"1", 2**53),
        (2, "ä", text_array(()), b"", b'{"a": 2}', -1),
    ],
    "some alike": [
        (1, "same", text_array(("x",)), b"\x00", b"{}", None),
        (2, "same", text_array(("x",)), b"\x01", b"{}", None),
    ],
    "all alike": [(7, "same", text_array(("x", "{}")), b"ab", b'"c"', 5)] * 3,
    "one": [(7, "", text_array(("x", "\\")), b"", b"null", 0)],
    "nothing": [(None,) * 6] * 2,
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_the_same_table_whatever_they_have_in_common(database: Database, name: str) -> None:
    rows = TABLES[name]
    statement, parameters = filled("SELECT * FROM {rows} AS r", TYPES, rows)
    each = [filled("SELECT * FROM {rows} AS r", TYPES, [row]) for row in rows]
    with psycopg.connect(database.url) as connection:
        found = connection.execute(statement.encode(), parameters).fetchall()
        alone = [connection.execute(text.encode(), values).fetchall() for text, values in each]
    assert [row[:2] for row in found] == [row[:2] for row in rows]
    assert [row[3] for row in found] == [row[3] for row in rows]
    assert [row[5] for row in found] == [row[5] for row in rows]
    assert alone == [[row] for row in found]


KEYS = [("job", f"job {number}") for number in range(1_000)]
LOOKED_UP = {
    "entities_pkey": (_LOCK, columns(KEYS)),
    "changes_pkey": (
        _RECEIPTS,
        (*arrays("text bigint integer", [("phone", number, 0) for number in range(1_000)]), ["applied"]),
    ),
}
FROM_NUMBERS = "FROM generate_series(1, 5000) AS number"
TAGS = "own_tags, neighbour_tags, audience"
ROWS = [
    (
        "entities",
        f"tenant_id, kind, entity_id, seq, commit_seq, state, version_vector, document, {TAGS}",
        "'acme', 'job', 'job ' || number, number, 1, '', '{}', '{}', '{}', '{}', '{}'",
    ),
    (
        "changes",
        "tenant_id, device_id, counter, digest, kind, entity_id, op, status, change, outcome, commit_seq, ordinal",
        "'acme', 'phone', number, '', 'job', 'job ' || number, 'create', 'applied', '{}', '{}', 1, number",
    ),
]


def fill(database: Database) -> None:
    """Give a tenant 5,000 records of which the planner knows nothing yet."""
    with psycopg.connect(database.owner_url) as connection:
        administration.create_tenant(connection, "acme")
        administration.create_subject(connection, "acme", "olga")
        administration.create_device(connection, "acme", "olga", "phone")
        with administration.tenant(connection, "acme"):
            for table, names, values in ROWS:
                connection.execute(
                    f"INSERT INTO app.{table} ({names}) SELECT {values} {FROM_NUMBERS}".encode()
                )


def plan_of(database: Database, statement: str, parameters: object, first: str = "SELECT") -> str:
    """Return how the service's role would carry out `statement`, after `first`."""
    with psycopg.connect(database.url) as connection, administration.tenant(connection, "acme"):
        connection.execute(first.encode())
        rows = connection.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()
    return "\n".join(line for (line,) in rows)


@pytest.mark.parametrize("index", LOOKED_UP)
def test_a_push_reads_what_it_names_and_not_all_that_its_tenant_has(database: Database, index: str) -> None:
    fill(database)
    plan = plan_of(database, *LOOKED_UP[index])
    assert f"Index Scan using {index}" in plan
    assert "Hash Join" not in plan


def test_a_page_reads_its_rows_in_order_and_not_all_that_follow(database: Database) -> None:
    fill(database)
    page = {"seq": 1_000, "tags": ["office"], "limit": 1_001}
    for statement, parameters in ((_ROWS_AFTER, page), (_ROWS_EXPECTED, page | {"subject": "olga"})):
        plan = plan_of(database, statement, parameters, f"SELECT {READING_IN_ORDER}")
        assert "Index Scan using entities_tenant_id_seq_key" in plan
        assert "Sort" not in plan


def test_that_a_tenant_has_no_transactions_is_told_by_an_index(database: Database) -> None:
    fill(database)
    plan = plan_of(database, _HAS_TRANSACTIONS, (), f"SELECT {READING_IN_ORDER}")
    assert "using changes_of_a_transaction" in plan
    assert "Sort" not in plan


def test_a_page_asks_for_each_of_its_rows_whether_others_belong_to_it(database: Database) -> None:
    fill(database)
    asked = (2_000, ["office"], *columns(KEYS), 1_000)
    plan = plan_of(database, _COMPANIONS, asked, f"SELECT {READING_IN_ORDER}")
    assert "Index Scan using changes_of_an_entity on changes m" in plan
    assert "entity_id = k.entity_id" in plan
