"""Taking times, and holding what was measured to what it should have done.

A figure is a rate (per second) or milliseconds; the name's first word says what it is of.
"""

import gc
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from rightfit_client.sqlite import sqlite3

IDLE_SYNCS = 200
"""How many syncs with nothing to do make up W5 in one round."""

LIVE_EDITS = 100
"""How many edits travel over open connections for W6 in one round."""

WARM_UP_RECORDS = 100
"""How many records each server handles before anything is timed."""


class BenchmarkError(Exception):
    """What was measured did not do what it should: its time means nothing."""


def seconds(step: Callable[[], object]) -> float:
    """Return how long `step` takes; garbage of what went before is collected first, and not on its time."""
    gc.collect()
    start = perf_counter()
    step()
    return perf_counter() - start


def each_milliseconds(step: Callable[[], object], times: int) -> list[float]:
    """Return how long each of several `step`s in a row took."""
    taken = []
    for _ in range(times):
        start = perf_counter()
        step()
        taken.append((perf_counter() - start) * 1_000)
    return taken


def percentiles(name: str, times: Sequence[float]) -> dict[str, float]:
    """Return the 50th and 95th percentiles by nearest rank, as `<name>.p50` and `<name>.p95`."""
    ordered = sorted(times)
    return {
        f"{name}.p{percent}": ordered[math.ceil(percent / 100 * len(ordered)) - 1] for percent in (50, 95)
    }


def expect(found: object, wanted: object, what: str) -> None:
    """Raise `BenchmarkError` where `found` is not `wanted`."""
    if found != wanted:
        raise BenchmarkError(f"{what}: found {found}, wanted {wanted}")


def file_megabytes(path: Path, connection: sqlite3.Connection) -> float:
    """Return the megabytes of a SQLite file once its write-ahead log is written back."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size / 1e6
