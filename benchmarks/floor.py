"""The bare end-to-end floor (L7): SQLite with an outbox, HTTP, Litestar, PostgreSQL, in batches of 1,000.

What remains of W1, W2, W3 and W5 when nothing is versioned, merged, checked, remembered or compressed. The client
writes as the product's does (write-ahead log, `synchronous=FULL`); see `floor_server` for the other side.
"""

import http.client
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.clock import (
    IDLE_SYNCS,
    WARM_UP_RECORDS,
    each_milliseconds,
    expect,
    file_megabytes,
    percentiles,
    seconds,
)
from benchmarks.workload import COLUMNS, FIELDS, Record
from rightfit_client.sqlite import sqlite3

BATCH = 1_000

UPSERT = (
    f"INSERT INTO work_order ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in FIELDS)}"
)
_TAGS = COLUMNS.index("tags")


def connect(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """Make a file with the rows, an outbox and a cursor."""
    connection: sqlite3.Connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"CREATE TABLE work_order (id TEXT PRIMARY KEY, {', '.join(FIELDS)})")
    connection.execute("CREATE TABLE outbox (position INTEGER PRIMARY KEY, id TEXT, body TEXT)")
    connection.execute("CREATE TABLE place (cursor INTEGER)")
    connection.execute("INSERT INTO place VALUES (0)")
    return connection


class Client:
    """One device of the floor."""

    def __init__(self, path: Path, url: str) -> None:
        self.connection = connect(path)
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def write(self, records: Sequence[Record]) -> None:
        """Keep records, and that they are to be sent."""
        self.connection.execute("BEGIN")
        self.connection.executemany(UPSERT, [record.columns() for record in records])
        self.connection.executemany("INSERT INTO outbox (id) VALUES (?)", [(one.id,) for one in records])
        self.connection.execute("COMMIT")

    def sync(self) -> None:
        """Push, then pull."""
        self.push()
        self.pull()

    def push(self) -> None:
        """Send the outbox, a batch at a time."""
        names = ", ".join(f"work_order.{name}" for name in COLUMNS)
        query = (
            f"SELECT position, {names} FROM outbox JOIN work_order USING (id) ORDER BY position LIMIT {BATCH}"
        )
        while rows := self.connection.execute(query).fetchall():
            batch = [dict(zip(COLUMNS, row[1:], strict=True)) for row in rows]
            for record in batch:
                record["tags"] = msgspec.json.decode(record["tags"])
            self._ask("POST", "/push", msgspec.json.encode(batch))
            self.connection.execute("DELETE FROM outbox WHERE position <= ?", (rows[-1][0],))

    def pull(self) -> None:
        """Fetch what is new, a batch at a time."""
        while True:
            (cursor,) = self.connection.execute("SELECT cursor FROM place").fetchone()
            page = msgspec.json.decode(self._ask("GET", f"/pull?after={cursor}&limit={BATCH}"))
            rows = page["rows"]
            if not rows:
                return
            for row in rows:
                row[_TAGS] = msgspec.json.encode(row[_TAGS]).decode()
            self.connection.execute("BEGIN")
            self.connection.executemany(UPSERT, rows)
            self.connection.execute("UPDATE place SET cursor = ?", (page["last"],))
            self.connection.execute("COMMIT")
            if len(rows) < BATCH:
                return

    def count(self) -> int:
        """Return how many records are here."""
        (count,) = self.connection.execute("SELECT count(*) FROM work_order").fetchone()
        return int(count)

    def close(self) -> None:
        self._http.close()
        self.connection.close()

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        self._http.request(method, path, body, {"Content-Type": "application/json"})
        response = self._http.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:200]!r}")
        return content


def measure(folder: Path, url: str, records: Sequence[Record], edits: int) -> dict[str, float]:
    """Return the floor's figures for W1, W2, W3 and W5."""
    writer, reader = Client(folder / "floor-writer.db", url), Client(folder / "floor-reader.db", url)
    figures: dict[str, float] = {}
    try:
        warm_up(writer, reader, records)
        writer.write(records)
        figures["floor.push"] = len(records) / seconds(writer.push)
        figures["floor.pull"] = len(records) / seconds(reader.pull)
        expect(reader.count(), len(records), "records pulled from the floor")
        writer.pull()
        writer.write([msgspec.structs.replace(one, status="done") for one in records[:edits]])
        push_seconds, pull_seconds = seconds(writer.push), seconds(reader.pull)
        figures["floor.edits"] = (push_seconds + pull_seconds) * 1_000
        writer.pull()
        figures.update(percentiles("floor.idle", each_milliseconds(reader.sync, IDLE_SYNCS)))
        figures["floor.file"] = file_megabytes(folder / "floor-reader.db", reader.connection)
    finally:
        writer.close()
        reader.close()
    return figures


def warm_up(writer: Client, reader: Client, records: Sequence[Record]) -> None:
    """Send a hundred records that are not counted, as the product does, so that no side pays for a cold start."""
    writer.write(records[:WARM_UP_RECORDS])
    writer.push()
    reader.pull()
    writer.pull()
