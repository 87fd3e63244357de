"""W1 to W6 and W8 for RightFit: two replicas on SQLite files, `rightfit up` on PostgreSQL.

Row level security, history, receipts, conflict records and device tokens are on, as they always are. What is timed
is the SDK's `sync()`; local edits are made before. Each step checks that everything arrived.
"""

from collections.abc import Sequence
from random import Random
from threading import Event
from time import perf_counter, sleep

from benchmarks.application import TRANSITIONS
from benchmarks.clock import (
    IDLE_SYNCS,
    LIVE_EDITS,
    WARM_UP_RECORDS,
    BenchmarkError,
    each_milliseconds,
    expect,
    file_megabytes,
    percentiles,
    seconds,
)
from benchmarks.processor import shares
from benchmarks.replicas import count, insert
from benchmarks.serving import Service
from benchmarks.workload import KIND, Record
from rightfit_client import Replica, Select

LIVE_SECONDS_MAX = 30.0


def measure(service: Service, records: Sequence[Record], edits: int) -> dict[str, float]:
    """Return the figures of one round; `service` has an empty tenant, `edits` records are edited for W3 and W4."""
    figures: dict[str, float] = {}
    with service.replica("writer") as writer, service.replica("reader") as reader:
        insert(writer, records)
        service.checkpoint()
        elapsed, whose = shares("push", writer.sync, service.stack.process_id, len(records))
        figures.update({"product.push": len(records) / elapsed, **whose})
        expect(writer.status().pending, 0, "changes left in the outbox")
        expect(service.count_changes(), len(records), "changes in the server's history")
        figures["product.server"] = service.resident_bytes() / 2**20
        service.checkpoint()
        elapsed, whose = shares("pull", reader.sync, service.stack.process_id, len(records))
        figures.update({"product.pull": len(records) / elapsed, **whose})
        expect(count(reader), len(records), "records pulled")
        figures["product.file"] = file_megabytes(reader.path, reader.database.conn)
        editable = [one for one in records if one.status in TRANSITIONS]
        figures["product.edits"] = edit_across(writer, reader, editable[:edits]) * 1_000
        figures.update(percentiles("product.idle", each_milliseconds(reader.sync, IDLE_SYNCS)))
        figures.update(live(writer, reader, records[-1].id))
        figures["product.conflicts"] = conflicting(writer, reader, editable[edits : 2 * edits]) * 1_000
    return figures


def warm_up(service: Service, records: Sequence[Record]) -> None:
    """Push and pull a hundred records that are not counted: a server is seldom fresh, and the floor is not."""
    with service.replica("writer") as writer, service.replica("reader") as reader:
        insert(writer, records[:WARM_UP_RECORDS])
        writer.sync()
        reader.sync()
        expect(count(reader), min(len(records), WARM_UP_RECORDS), "records pulled to warm up")


def edit_across(writer: Replica, reader: Replica, records: Sequence[Record]) -> float:
    """W3: one field of each record edited on one side; return the seconds until the other has it."""
    writer.sync()
    reader.sync()
    edited = {one.id: TRANSITIONS[one.status][0] for one in records}
    with writer.batch():
        for entity_id, status in edited.items():
            writer.update(KIND, entity_id, {"status": status})
    total = seconds(writer.sync) + seconds(reader.sync)
    shown = {str(row["entity_id"]): row["status"] for row in reader.query(KIND)}
    expect({entity_id: shown[entity_id] for entity_id in edited}, edited, "edits that came across")
    return total


def conflicting(one: Replica, other: Replica, records: Sequence[Record]) -> float:
    """W4: both edit the same records offline, half of them in different fields; return the seconds until quiet.

    Raises `BenchmarkError` unless the first half is merged, and the second all in conflict with both values kept.
    """
    while not (is_quiet(one) and is_quiet(other)):
        continue
    apart, together = records[: len(records) // 2], records[len(records) // 2 :]
    with one.batch():
        for record in records:
            one.update(KIND, record.id, {"title": f"One {record.id}"})
    with other.batch():
        for record in apart:
            other.update(KIND, record.id, {"status": TRANSITIONS[record.status][0]})
        for record in together:
            other.update(KIND, record.id, {"title": f"Other {record.id}"})

    def until_quiet() -> None:
        quiet = False
        while not quiet:
            quiet = is_quiet(one)
            quiet = is_quiet(other) and quiet

    total = seconds(until_quiet)
    for replica in (one, other):
        check_merged(replica, apart)
        check_kept(replica, together)
    return total


def is_quiet(replica: Replica) -> bool:
    synced = replica.sync()
    return not (synced.pushed or synced.pulled)


def check_merged(replica: Replica, records: Sequence[Record]) -> None:
    shown = {str(row["entity_id"]): (row["title"], row["status"]) for row in replica.query(KIND)}
    wanted = {one.id: (f"One {one.id}", TRANSITIONS[one.status][0]) for one in records}
    lost = [entity_id for entity_id, both in wanted.items() if shown[entity_id] != both]
    expect(lost, [], "records whose edits of different fields were not both kept")


def check_kept(replica: Replica, records: Sequence[Record]) -> None:
    kept = {
        found.entity_id: {str(sibling.value) for sibling in found.siblings} for found in replica.conflicts()
    }
    wanted = {one.id: {f"One {one.id}", f"Other {one.id}"} for one in records}
    expect(kept, wanted, "conflicts, each with both values")


def live(writer: Replica, reader: Replica, entity_id: str) -> dict[str, float]:
    """W6: both are connected; return the percentiles of the milliseconds from an edit to the other's table."""
    pause = Random(6)
    arrived, waited_for = Event(), [""]
    times: list[float] = []

    def hear(rows: list[dict[str, object]]) -> None:
        if rows and rows[0]["title"] == waited_for[0]:
            arrived.set()

    question = Select(f"SELECT title FROM {KIND} WHERE entity_id = ?", (entity_id,))
    writer.start()
    reader.start()
    try:
        with reader.subscribe(question, hear):
            for number in range(LIVE_EDITS + 1):
                waited_for[0] = f"live {number}"
                arrived.clear()
                # Not in step with anybody's clock.
                sleep(0.005 + pause.random() / 100)
                start = perf_counter()
                writer.update(KIND, entity_id, {"title": waited_for[0]})
                if not arrived.wait(LIVE_SECONDS_MAX):
                    raise BenchmarkError(f"an edit did not arrive within {LIVE_SECONDS_MAX} s")
                times.append((perf_counter() - start) * 1_000)
    finally:
        writer.stop()
        reader.stop()
    # The first one waits for the connections.
    return percentiles("product.live", times[1:])
