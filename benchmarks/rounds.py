"""One round of W1 to W8 with its limits: `python -m benchmarks.rounds --records 10000 --number 0` prints its figures.

A round has a process of its own, a fresh server, fresh replicas and a fresh floor, so that none inherits anything from
the one before. Product and floor take turns in going first.
"""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from benchmarks import floor, limits, saving, syncing, wire
from benchmarks.serving import Service, floor_up, floor_url, rightfit_up, stage
from benchmarks.workload import Record, records

EDITS_MAX = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rounds", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--number", type=int, default=0)
    chosen = parser.parse_args()
    # Importing the server turns on the log of every HTTP request, which an application does not have.
    logging.getLogger().setLevel(logging.WARNING)
    made = records(chosen.records)
    figures = one_round(made, min(EDITS_MAX, chosen.records // 10), chosen.number)
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")


def play(checkout: Path, count: int, number: int) -> Mapping[str, float]:
    """Play a round of the product in `checkout`, in a process of its own, and return its figures."""
    command = [sys.executable, "-m", "benchmarks.rounds", "--records", str(count), "--number", str(number)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "clients" / "python")}
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


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
