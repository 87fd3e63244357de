"""`python -m benchmarks`: W1 to W8 with their limits, in rounds; one table, and a JSON file."""

import argparse

from benchmarks.results import ROOT, result
from benchmarks.rounds import play
from benchmarks.table import console, show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    screen = console()
    rounds = []
    for number in range(chosen.rounds):
        with screen.status(f"round {number + 1} of {chosen.rounds}"):
            rounds.append(play(ROOT, chosen.records, number))
    found = result(chosen.records, rounds)
    show(found, screen)
    screen.print(f"Kept in {found.keep()}")


if __name__ == "__main__":
    main()
