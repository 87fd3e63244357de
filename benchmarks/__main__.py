"""`python -m benchmarks`: W1 to W8 with their limits, in rounds; one table, and a JSON file.

Each round has a fresh server, fresh replicas and a fresh floor. The product and the floor take turns in going first.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks import floor, limits, saving, syncing, wire
from benchmarks.results import result
from benchmarks.serving import Service, floor_up, floor_url, rightfit_up, stage
from benchmarks.table import show
from benchmarks.workload import Record, records

EDITS_MAX = 1_000
WIDTH = 132
"""Columns of the table where it goes into a file."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    # Importing the server turns on the log of every HTTP request, which an application does not have.
    logging.getLogger().setLevel(logging.WARNING)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    made = records(chosen.records)
    edits = min(EDITS_MAX, chosen.records // 10)
    rounds = []
    for number in range(chosen.rounds):
        with console.status(f"round {number + 1} of {chosen.rounds}"):
            rounds.append(one_round(made, edits, number))
    found = result(chosen.records, rounds)
    show(found, console)
    console.print(f"Kept in {found.keep()}")


def one_round(made: Sequence[Record], edits: int, number: int) -> dict[str, float]:
    """Return all figures of one round; what the wire carries is the same in each, and counted in the first."""
    with stage() as folder, rightfit_up(folder) as stack:
        syncing.warm_up(Service(stack, folder, "warm"), made)
        service = Service(stack, folder, "measured")

        def product() -> dict[str, float]:
            return syncing.measure(service, made, edits)

        def bare() -> dict[str, float]:
            return floor_figures(stack.owner_url, folder, made, edits)

        figures: dict[str, float] = {}
        for part in (product, bare) if number % 2 == 0 else (bare, product):
            figures.update(part())
        figures.update(saving.measure(folder, made))
        figures.update(limits.measure(folder, floor_url(stack.owner_url), made))
        if number == 0:
            figures.update(wire.measure(Service(stack, folder, "counted"), made, edits))
    return figures


def floor_figures(owner_url: str, folder: Path, made: Sequence[Record], edits: int) -> dict[str, float]:
    """Return the floor's figures, and what its server needs of memory."""
    with floor_up(owner_url) as (url, process_id):
        figures = floor.measure(folder, url, made, edits)
        figures["floor.server"] = psutil.Process(process_id).memory_info().rss / 2**20
    return figures


if __name__ == "__main__":
    main()
