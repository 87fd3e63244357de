"""`python -m benchmarks.growth`: does it stay as fast when there is more?

| grows | what is measured, per record |
|---|---|
| entities of a tenant, 1,000 to `--entities-max` | pushing and pulling new records, and edits of random ones |
| devices in a version vector, 1 to 64 | pushing and pulling an edit of records that so many devices have edited |

Records have the ids that the SDK gives them, which grow with time. With every pull goes how many bytes it wrote to the
reader's write-ahead log: SQLite writes whole pages.

Every size is a tenant of its own on one server, with a writer and a reader that hold all of it. Rounds are interleaved:
each visits all sizes, in an order drawn anew, so that whatever changes with time changes for all. The slope is that of
a straight line through the logarithms of the medians: 0 is flat, 1 doubles with size.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import exp, log
from pathlib import Path
from random import Random
from statistics import linear_regression, median

import msgspec
import psycopg
from rich.table import Table

from benchmarks.chart import Chart, Series, write
from benchmarks.clock import expect, seconds
from benchmarks.replicas import count
from benchmarks.results import FOLDER, commit
from benchmarks.serving import Service, rightfit_up, stage
from benchmarks.table import console
from benchmarks.workload import KIND, Record, records
from rightfit_client import Replica
from rightfit_server.demo.stack import Stack

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
DEVICES = (1, 2, 4, 8, 16, 32, 64)
BATCH = 250
STEPS = ("push", "pull", "bytes of")
EDITED_BY_ALL = 100
"""Records that every device of a vector has edited."""

SLOPE_MAX = 0.05

Points = Sequence[tuple[float, float]]
Samples = dict[str, list[tuple[float, float]]]


class Growth(msgspec.Struct, frozen=True):
    """Points `[size, microseconds a record]` by what was measured; bytes are those of the reader's write-ahead log."""

    commit: str
    entities: Mapping[str, Points]
    devices: Mapping[str, Points]


class Pair:
    """A tenant with a writer and a reader; `made` are the ids of the records that both hold."""

    def __init__(self, service: Service, stack: ExitStack, made: Sequence[Record]) -> None:
        self.writer = stack.enter_context(service.replica("writer"))
        self.reader = stack.enter_context(service.replica("reader"))
        self.made: list[str] = []
        self.insert(made)
        self.settle()
        expect(count(self.reader), len(made), "records of a tenant")

    def insert(self, made: Sequence[Record]) -> None:
        """Make records under ids of the SDK's choice, as an application does."""
        with self.writer.batch():
            self.made += [self.writer.insert(KIND, record.values()) for record in made]

    def settle(self) -> None:
        """Sync until both hold everything."""
        for replica in (self.writer, self.reader, self.writer):
            replica.sync()

    def across(self, changes: int) -> tuple[float, float, float]:
        """Push and pull changes; return for each the microseconds of either, and the bytes that the pull wrote."""
        for replica in (self.writer, self.reader):
            replica.database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        push, pull = seconds(self.writer.sync), seconds(self.reader.sync)
        log = self.reader.path.with_name(self.reader.path.name + "-wal")
        written = log.stat().st_size
        self.settle()
        return push / changes * 1e6, pull / changes * 1e6, written / changes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--entities-max", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)
    screen = console()
    sizes = [size for size in SIZES if size <= chosen.entities_max]
    with (
        screen.status("growing"),
        stage() as folder,
        rightfit_up(folder) as server,
        ExitStack() as open_files,
    ):
        entities = by_entities(server, folder, open_files, sizes, chosen.rounds)
        devices = by_devices(server, folder, open_files, chosen.rounds)
    found = Growth(commit(), entities, devices)
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = FOLDER / f"growth-{found.commit}.json"
    kept.write_bytes(msgspec.json.encode(found))
    write(kept.with_suffix(".svg"), charts(found))
    screen.print(shown(found))
    screen.print(f"Kept in {kept} and {kept.with_suffix('.svg')}")


def by_entities(
    server: Stack, folder: Path, open_files: ExitStack, sizes: Sequence[int], rounds: int
) -> Samples:
    """Return the costs in tenants of these sizes."""
    draw = Random(7)
    pairs = [
        Pair(Service(server, folder, f"entities-{size}"), open_files, records(size, seed=size))
        for size in sizes
    ]
    analyse(server)
    samples: Samples = {f"{what} {of}": [] for of in ("new", "edits") for what in STEPS}
    # What a tenant gains on the way counts for half in its size.
    sizes_of = {pair: len(pair.made) + BATCH * (rounds + 1) / 2 for pair in pairs}
    for number in range(rounds + 1):
        for pair in draw.sample(pairs, len(pairs)):
            size = sizes_of[pair]
            pair.insert(records(BATCH, seed=10_000_000 + len(pair.made) * 100 + number))
            costs = list(pair.across(BATCH))
            edit(pair.writer, draw.sample(pair.made, BATCH), f"round {number}")
            costs += pair.across(BATCH)
            if number:
                # The round before the first warms caches and connections.
                for name, cost in zip(samples, costs, strict=True):
                    samples[name].append((size, cost))
    return samples


def by_devices(server: Stack, folder: Path, open_files: ExitStack, rounds: int) -> Samples:
    """Return the costs for records that so many devices have edited."""
    draw = Random(8)
    pairs = {}
    for devices in DEVICES:
        service = Service(server, folder, f"devices-{devices}")
        pairs[devices] = Pair(service, open_files, records(EDITED_BY_ALL, seed=devices))
        for number in range(devices - 1):
            with service.replica(f"device-{number}") as other:
                other.sync()
                edit(other, pairs[devices].made, f"device {number}")
                other.sync()
        pairs[devices].settle()
    samples: Samples = {f"{what} edits": [] for what in STEPS}
    for number in range(rounds + 1):
        for devices in draw.sample(DEVICES, len(DEVICES)):
            edit(pairs[devices].writer, pairs[devices].made, f"round {number}")
            costs = pairs[devices].across(EDITED_BY_ALL)
            if number:
                for name, cost in zip(samples, costs, strict=True):
                    samples[name].append((float(devices), cost))
    return samples


def edit(replica: Replica, made: Sequence[str], title: str) -> None:
    with replica.batch():
        for entity_id in made:
            replica.update(KIND, entity_id, {"title": f"{title} {entity_id[-8:]}"})


def analyse(server: Stack) -> None:
    """Let PostgreSQL look at what has come in, as its autovacuum does within a minute."""
    with psycopg.connect(server.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def medians(points: Points) -> list[tuple[float, float]]:
    """Return the median of the rounds at each size."""
    sizes = sorted({x for x, _ in points})
    return [(size, median(y for x, y in points if x == size)) for size in sizes]


def slope(points: Points) -> tuple[float, float]:
    """Return exponent and factor of the power law through the medians, by least squares of logarithms."""
    middle = medians(points)
    fitted = linear_regression([log(x) for x, _ in middle], [log(y) for _, y in middle])
    return fitted.slope, exp(fitted.intercept)


def shown(found: Growth) -> Table:
    table = Table(title=f"{found.commit}: microseconds or bytes a record, medians", title_justify="left")
    for name in ("what", "smallest", "largest", "slope"):
        table.add_column(name)
    for samples, of in ((found.entities, "entities"), (found.devices, "devices")):
        for name, points in samples.items():
            (least, first), *_, (most, last) = medians(points)
            exponent, _ = slope(points)
            table.add_row(
                f"{name}, {least:,.0f} to {most:,.0f} {of}",
                f"{first:,.0f}",
                f"{last:,.0f}",
                f"{exponent:+.3f}" + (" (flat)" if exponent <= SLOPE_MAX else ""),
            )
    return table


def charts(found: Growth) -> list[Chart]:
    """Return the two plots, each with the fitted lines."""
    drawn = []
    for samples, of in ((found.entities, "entities in the tenant"), (found.devices, "devices in the vector")):
        series = []
        for name, points in samples.items():
            if name.startswith(STEPS[-1]):
                continue
            exponent, factor = slope(points)
            line = [(x, factor * x**exponent) for x, _ in medians(points)]
            series.append(Series(f"{name} ({exponent:+.3f})", points, line))
        title = f"Cost a record, by {of} ({found.commit})"
        drawn.append(Chart(title, of, "microseconds a record", series, is_x_log=True, is_y_log=True))
    return drawn


if __name__ == "__main__":
    main()
