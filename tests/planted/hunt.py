"""Simulate until something is wrong: `python hunt.py FIRST LAST OPS` prints the seed and the first problem."""

import sys

from rightfit_sync.testing.simulation import run

FIRST, LAST, OPS = map(int, sys.argv[1:])

for seed in range(FIRST, LAST):
    try:
        problems = run(seed, OPS).problems
    except Exception as failure:  # noqa: BLE001 - a world that breaks down has found something as well.
        problems = [repr(failure)]
    if problems:
        print(seed, problems[0].replace("\n", " ")[:200], sep="\t")
        break
