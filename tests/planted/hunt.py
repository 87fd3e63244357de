"""Simulate until something is wrong: `python hunt.py FIRST LAST OPS` prints the seed and the first problem."""

import sys

from rightfit_sync.testing.simulation import run

FIRST, LAST, OPS = map(int, sys.argv[1:])

for seed in range(FIRST, LAST):
    problems = run(seed, OPS).problems
    if problems:
        print(seed, problems[0].replace("\n", " ")[:200], sep="\t")
        break
