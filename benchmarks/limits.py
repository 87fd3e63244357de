"""What PostgreSQL, SQLite and msgspec can do at best with the same records, on this machine, at this moment."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg

from benchmarks.clock import expect, seconds
from benchmarks.floor import UPSERT, connect
from benchmarks.workload import COLUMN_TYPES, COLUMNS, Record
from rightfit_client.sqlite import sqlite3

_NAMES = ", ".join(COLUMNS)
_TYPED = ", ".join(f"{name} {word}" for name, word in zip(COLUMNS, COLUMN_TYPES, strict=True))
_TABLE = f"""
DROP TABLE IF EXISTS copied;
CREATE TABLE copied (tenant_id text NOT NULL DEFAULT current_setting('bench.tenant'), {_TYPED},
  PRIMARY KEY (tenant_id, id));
ALTER TABLE copied ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON copied USING (tenant_id = current_setting('bench.tenant'));
DROP ROLE IF EXISTS bench_copier;
CREATE ROLE bench_copier;
GRANT ALL ON copied TO bench_copier;
CREATE TEMP TABLE stage ({_TYPED});
GRANT ALL ON stage TO bench_copier;
"""


def measure(folder: Path, database_url: str, records: Sequence[Record]) -> dict[str, float]:
    """Return the figures of one round, records per second."""
    figures = {"postgres.copy": len(records) / copy_seconds(database_url, records)}
    connection = connect(folder / "raw-many.db")
    rows = [record.columns() for record in records]
    figures["sqlite.many"] = len(rows) / seconds(lambda: many(connection, rows))
    connection.close()
    packed: list[bytes] = []
    figures["msgspec.encode"] = len(records) / seconds(
        lambda: packed.extend(map(msgspec.msgpack.encode, records))
    )
    decoder = msgspec.msgpack.Decoder(Record)
    figures["msgspec.decode"] = len(records) / seconds(lambda: [decoder.decode(one) for one in packed])
    figures["json.bytes"] = sum(len(msgspec.json.encode(one)) for one in records) / len(records)
    return figures


def many(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write all rows in one transaction."""
    connection.execute("BEGIN")
    connection.executemany(UPSERT, rows)
    connection.execute("COMMIT")


def copy_seconds(database_url: str, records: Sequence[Record]) -> float:
    """Return how long COPY into a temporary table and INSERT from there take, under row level security."""
    rows = [(*row[:9], record.tags, row[10]) for record in records for row in [record.columns()]]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute("SELECT set_config('bench.tenant', 'one', false)")
        connection.execute("CHECKPOINT")
        connection.execute("SET ROLE bench_copier")

        def copy() -> None:
            with connection.transaction():
                with connection.cursor().copy(f"COPY stage ({_NAMES}) FROM STDIN") as stream:
                    for row in rows:
                        stream.write_row(row)
                connection.execute(f"INSERT INTO copied ({_NAMES}) SELECT {_NAMES} FROM stage")

        spent = seconds(copy)
        found = connection.execute("SELECT count(*) FROM copied").fetchone()
        expect(found, (len(records),), "rows copied")
    return spent
