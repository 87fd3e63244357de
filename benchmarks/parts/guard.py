"""`python -m benchmarks.parts.guard`: fails where a hot path has become more than 15 % dearer than `guard.json` says.

| guard | is |
|---|---|
| `opcodes` | instructions that Python executes for one change or row: the same on every machine |
| `bytes` | what a change or row of a message takes, before compression |
| `ratio` | processor time of the path by that of its yardstick, taken in turns, a quick tenth of each |

No absolute time is looked at. A ratio that is too great is measured again, up to `ATTEMPTS` times with longer and
longer pauses, before it fails: load from elsewhere comes and goes, what the code costs does not. `--keep` writes what
is measured now as what is expected. Counts belong to a version of Python; on one that `guard.json` does not know,
nothing is compared, and the program says so.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import process_time, sleep

import msgspec
from rich.table import Table

from benchmarks.parts import yardsticks
from benchmarks.parts.hot_paths import COUNT, PAGE_ROWS, Prepared, messages, paths
from benchmarks.parts.opcodes import opcodes
from benchmarks.replicas import folder_in_memory
from benchmarks.table import amount, console
from rightfit_sync.wire.codec import encode

KEPT = Path(__file__).with_name("guard.json")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TOLERANCE = 0.15
ROUNDS = 60
ATTEMPTS = 4
PAUSE_SECONDS = 5.0
"""Before the second attempt; twice as long before each further one."""

Figures = dict[str, dict[str, float]]
Paths = Mapping[str, Callable[[], Prepared]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts.guard", description=__doc__)
    parser.add_argument("--keep", action="store_true")
    chosen = parser.parse_args()
    screen = console()
    kept = msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Figures]) if KEPT.exists() else {}
    expected = kept.get(PYTHON, {})
    measured = measure({} if chosen.keep else expected.get("ratio", {}))
    if chosen.keep:
        kept[PYTHON] = measured
        KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
        screen.print(f"Kept in {KEPT}")
        return 0
    if not expected:
        screen.print(f"{KEPT.name} knows nothing of Python {PYTHON}: nothing is compared")
        return 0
    screen.print(shown(expected, measured))
    for name in beyond(measured, expected):
        screen.print(f"{name} is clearly cheaper: write that down with --keep.")
    dearer = beyond(expected, measured)
    for name in dearer:
        screen.print(f"{name} is more than {TOLERANCE:.0%} dearer than benchmarks/{KEPT.name} says.")
    return 1 if dearer else 0


def measure(expected_ratios: Mapping[str, float]) -> Figures:
    """Return every guard's figure; a ratio beyond what is expected of it is measured more often."""
    found = paths()
    sizes = {"page.apply": PAGE_ROWS}
    return {
        "opcodes": {
            name: count_opcodes(prepare, sizes.get(name, COUNT))
            for name, prepare in found.items()
            if not name.startswith("codec.")
        },
        "bytes": {name: len(encode(message)) / COUNT for name, message in messages().items()},
        "ratio": ratios(found, expected_ratios),
    }


def count_opcodes(prepare: Callable[[], Prepared], size: int) -> float:
    """Return the instructions of one step by the `size` changes or rows in it, once everything is warm."""
    with prepare() as step:
        step()
    with prepare() as step:
        return round(opcodes(step) / size, 2)


def ratios(found: Paths, expected: Mapping[str, float]) -> dict[str, float]:
    """Return the ratio of each group of paths; one beyond what is expected of it is measured again."""
    with ExitStack() as stack:
        rows = stack.enter_context(yardsticks.rows(stack.enter_context(folder_in_memory())))
        steps = {"apply": yardsticks.python(), "codec": yardsticks.codec(), "page": rows}
        result: dict[str, float] = {}
        for group, yardstick in steps.items():
            chosen = [prepare for name, prepare in found.items() if name.startswith(f"{group}.")]
            wanted = expected.get(group)
            found_so_far: list[float] = []
            for attempt in range(ATTEMPTS):
                if wanted is not None and attempt:
                    sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
                found_so_far.append(round(sum(_ratio(prepare, yardstick) for prepare in chosen), 4))
                if wanted is not None and not _is_dearer(found_so_far[-1], wanted):
                    break
            # What is to be kept is a usual one; what is held against it, one that load did not spoil.
            result[group] = median(found_so_far) if wanted is None else min(found_so_far)
    return result


def _ratio(prepare: Callable[[], Prepared], yardstick: Callable[[], object]) -> float:
    """Return the time of a path by that of its yardstick, taken in turns: of each a quick one of many."""
    path, unit = [], []
    for _ in range(ROUNDS):
        unit.append(_seconds(yardstick))
        path.append(_seconds_of(prepare))
    return sorted(path)[ROUNDS // 10] / sorted(unit)[ROUNDS // 10]


def _seconds_of(prepare: Callable[[], Prepared]) -> float:
    with prepare() as step:
        return _seconds(step)


def _seconds(step: Callable[[], object]) -> float:
    start = process_time()
    step()
    return process_time() - start


def beyond(expected: Figures, measured: Figures) -> list[str]:
    """Return the names of what has become too dear."""
    return [
        f"{guard} of {name}"
        for guard, figures in measured.items()
        for name, figure in figures.items()
        if _is_dearer(figure, expected.get(guard, {}).get(name))
    ]


def _is_dearer(figure: float, expected: float | None) -> bool:
    return expected is not None and figure > expected * (1 + TOLERANCE)


def shown(expected: Figures, measured: Figures) -> Table:
    table = Table(title=f"Hot paths, against benchmarks/{KEPT.name}", title_justify="left")
    for name in ("guard", "path", "expected", "now", "change"):
        table.add_column(name)
    for guard, figures in measured.items():
        for name, figure in figures.items():
            before = expected.get(guard, {}).get(name)
            change = "" if before is None else f"{figure / before - 1:+.1%}"
            table.add_row(guard, name, "" if before is None else amount(before), amount(figure), change)
    return table


if __name__ == "__main__":
    sys.exit(main())
