"""W7: saving and reading on the device alone, beside raw SQLite that does the same with the same settings.

A save is one transaction, durable when it returns (`synchronous=FULL`); raw SQLite writes the row and an outbox
entry. Both take turns of a few hundred records, so that a slow moment of the disk meets both.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.application import SCHEMA
from benchmarks.clock import expect, file_megabytes, seconds
from benchmarks.floor import UPSERT, connect
from benchmarks.replicas import MEMORY, folder_in_memory, insert
from benchmarks.workload import KIND, Record
from rightfit_client import Replica
from rightfit_client.sqlite import sqlite3

TURN_RECORDS = 500
TURNS_SECONDS_MAX = 20.0


_KEEP = "INSERT INTO outbox (id, body) VALUES (?, ?)"

Step = Callable[[Sequence[Record]], object]


def measure(folder: Path, records: Sequence[Record]) -> dict[str, float]:
    """Return the figures of one round: saves one by one, batched, and reads by id, each per second."""
    raw = connect(folder / "raw-full.db")
    quick = connect(folder / "raw-normal.db", "NORMAL")
    with _replica(folder / "saving.db") as replica, _replica(folder / "saving-batched.db") as batched:
        each: Mapping[str, Step] = {
            "product.save": lambda turn: save_each(replica, turn),
            "sqlite.save": lambda turn: raw_each(raw, turn),
            "sqlite.save_normal": lambda turn: raw_each(quick, turn),
        }
        figures = in_turns(records, each)
        (saved,) = raw.execute("SELECT count(*) FROM outbox").fetchone()
        expect(replica.status().pending, saved, "changes in the outbox")
        figures["product.batch"] = len(records) / seconds(lambda: insert(batched, records))
        whole = connect(folder / "raw-batched.db")
        figures["sqlite.batch"] = len(records) / seconds(lambda: raw_batch(whole, records))
        reads: Mapping[str, Step] = {
            "product.read": lambda turn: [batched.get(KIND, one.id) for one in turn],
            "sqlite.read": lambda turn: [raw_read(whole, one.id) for one in turn],
        }
        figures.update(in_turns(records, reads))
    if MEMORY.is_dir():
        figures.update(measure_without_disk(records))
    figures["sqlite.file"] = rows_alone(folder / "rows.db", records)
    for connection in (raw, quick, whole):
        connection.close()
    return figures


def measure_without_disk(records: Sequence[Record]) -> dict[str, float]:
    """Return what saving comes to where syncing a file costs nothing: a slow disk would hide our share of it."""
    with folder_in_memory() as memory, _replica(memory / "saving.db") as replica:
        raw = connect(memory / "raw.db")
        steps: Mapping[str, Step] = {
            "product.save_memory": lambda turn: save_each(replica, turn),
            "sqlite.save_memory": lambda turn: raw_each(raw, turn),
        }
        figures = in_turns(records, steps)
        raw.close()
    return figures


def in_turns(records: Sequence[Record], steps: Mapping[str, Step]) -> dict[str, float]:
    """Give each step the same records, a turn at a time; return how many records a second each took.

    A disk that is slow just now ends it after `TURNS_SECONDS_MAX`: it would tell no more.
    """
    spent = dict.fromkeys(steps, 0.0)
    done = 0
    for start in range(0, len(records), TURN_RECORDS):
        turn = records[start : start + TURN_RECORDS]
        for name, step in steps.items():
            spent[name] += seconds(partial(step, turn))
        done += len(turn)
        if sum(spent.values()) > TURNS_SECONDS_MAX:
            break
    return {name: done / total for name, total in spent.items()}


def save_each(replica: Replica, records: Sequence[Record]) -> None:
    for record in records:
        replica.insert(KIND, record.values(), entity_id=record.id)


def raw_each(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    for record in records:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(UPSERT, record.columns())
        connection.execute(_KEEP, (record.id, msgspec.json.encode(record)))
        connection.execute("COMMIT")


def raw_batch(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(UPSERT, [record.columns() for record in records])
    connection.executemany(_KEEP, [(record.id, msgspec.json.encode(record)) for record in records])
    connection.execute("COMMIT")


def raw_read(connection: sqlite3.Connection, entity_id: str) -> tuple[object, ...]:
    row: tuple[object, ...] = connection.execute(
        "SELECT * FROM work_order WHERE id = ?", (entity_id,)
    ).fetchone()
    return row


def rows_alone(path: Path, records: Sequence[Record]) -> float:
    """Return the megabytes of a file with the rows and nothing else: what a replica's file is compared with."""
    connection = connect(path)
    connection.executemany(UPSERT, [record.columns() for record in records])
    size = file_megabytes(path, connection)
    connection.close()
    return size


def _replica(path: Path) -> Replica:
    return Replica.open(path, schema=SCHEMA, device_id="saver", marker=None)
