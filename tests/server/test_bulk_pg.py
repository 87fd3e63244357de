"""Columns that travel as arrays arrive as they were sent, whatever they have in common."""

import psycopg
import pytest

from rightfit_server.postgres.bulk import array
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
