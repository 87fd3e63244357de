"""`python -m benchmarks.parts.micro`: what the parts cost, and what memory each side takes.

| | |
|---|---|
| apply, codec, page | `hot_paths`: microseconds of processor time for one change or row, the median of many |
| text | the real traces, where they are (see `traces`); processor time, too |
| page cut | the server's time for a page of `ROWS_PER_PAGE` rows, asked for over HTTP by a program that only reads it |
| memory | the API process and a client process, before and after 10,000 records |
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import process_time

import msgspec
from rich.table import Table

from benchmarks.parts import memory, traces
from benchmarks.parts.hot_paths import COUNT, PAGE_ROWS, Prepared, paths
from benchmarks.parts.page_cut import page_seconds
from benchmarks.replicas import insert
from benchmarks.results import FOLDER, commit
from benchmarks.serving import Service, rightfit_up, stage
from benchmarks.table import amount, console
from benchmarks.workload import records
from rightfit_sync.limits import ROWS_PER_PAGE

REPEATS = 30
TRACE_SECONDS_MAX = 6.0
"""The goal for the concurrent trace through `apply`."""

Row = tuple[str, float, str, str]
"""What, how much, in which unit, and a remark."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts.micro", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    chosen = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)
    screen = console()
    with screen.status("measuring"):
        rows = [*hot_path_rows(), *text_rows(), *server_rows(chosen.records)]
    table = Table(title=f"{commit()}: the parts", title_justify="left")
    for name in ("what", "figure", ""):
        table.add_column(name)
    for what, figure, unit, remark in rows:
        table.add_row(what, amount(figure, unit), remark)
    screen.print(table)
    if traces.load(traces.CONCURRENT) is None:
        screen.print(f"The editing traces are not in {traces.SHARED}: text was not measured.")
    screen.print(f"Kept in {keep(rows)}")


def keep(rows: Sequence[Row]) -> Path:
    """Write the rows where the results are, and return the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"micro-{commit()}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode({row[0]: row[1:3] for row in rows}), indent=1))
    return path


def hot_path_rows() -> Iterator[Row]:
    for name, prepare in paths().items():
        size = PAGE_ROWS if name == "page.apply" else COUNT
        yield name, median(_spent(prepare) for _ in range(REPEATS)) / size * 1e6, "us", ""


def _spent(prepare: Callable[[], Prepared]) -> float:
    with prepare() as step:
        start = process_time()
        step()
        return process_time() - start


def text_rows() -> Iterator[Row]:
    concurrent, sequential = traces.load(traces.CONCURRENT), traces.load(traces.SEQUENTIAL)
    if concurrent is None or sequential is None:
        return
    spent = traces.replay(concurrent)
    changes, goal = f"{len(concurrent.txns):,} changes", f"goal {TRACE_SECONDS_MAX:g} s"
    yield f"{traces.CONCURRENT}: an authority applies {changes}", spent["authority"], "s", goal
    yield (
        f"{traces.CONCURRENT}: two replicas make and apply them, too",
        spent["whole"],
        "s",
        "3 times as many",
    )
    for what, count, step in traces.parts(sequential):
        start = process_time()
        step()
        yield f"{traces.SEQUENTIAL}: {what}", (process_time() - start) / count * 1e6, "us", f"of {count:,}"


def server_rows(size: int) -> Iterator[Row]:
    made = records(size)
    with stage() as folder, rightfit_up(folder) as stack:
        service = Service(stack, folder, "measured")
        before = memory.of_process(stack.process_id)
        with service.replica("writer") as writer:
            insert(writer, made)
            writer.sync()
        pushed = memory.of_process(stack.process_id)
        times = page_seconds(stack.url, service.token("reader"), size)
        yield (
            f"page cut: {ROWS_PER_PAGE:,} rows, over HTTP",
            median(times) * 1_000,
            "ms",
            f"of {len(times)} pages",
        )
        yield f"API process, before {size:,} records", before["now"], "MiB", "resident"
        yield (
            f"API process, after the push of {size:,}",
            pushed["now"],
            "MiB",
            f"peak {pushed['peak']:.0f} MiB",
        )
        found = memory.of_pull(stack.url, service.token("puller"), folder)
        yield "client process, replica open", found["before"], "MiB", "resident"
        yield (
            f"client process, after the pull of {size:,}",
            found["after"],
            "MiB",
            f"peak {found['peak']:.0f} MiB",
        )


if __name__ == "__main__":
    main()
