"""Whose processor time a workload takes: the client's, the API's, or that of PostgreSQL and its kin."""

import gc
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter, process_time

import psutil

SIDES = ("client", "api", "database")


def shares(name: str, step: Callable[[], object], api: int, count: int) -> tuple[float, dict[str, float]]:
    """Return the seconds that `step` takes, and the microseconds of each side's processor for one of `count`.

    `api` is the process that serves; the databases are its children. Clocks of other processes tick every 10 ms.
    """
    gc.collect()
    before = _spent(api)
    start = perf_counter()
    step()
    elapsed = perf_counter() - start
    after = _spent(api)
    figures = {f"processor.{name}.{side}": (after[side] - before[side]) / count * 1e6 for side in SIDES}
    return elapsed, figures


def _spent(api: int) -> dict[str, float]:
    process = psutil.Process(api)
    database = 0.0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            database += _of(child)
    return {"client": process_time(), "api": _of(process), "database": database}


def _of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
