"""`python -m benchmarks.compare BASE`: against a result that was kept, or against a commit, measured anew.

A commit is checked out into a git worktree under `build/`, with the benchmarks of this checkout, since both sides must
do the same. Rounds alternate: one there, one here, and so on. Each pair of rounds gives a ratio; a difference counts
where all of at least four pairs agree on its direction and their median is beyond `NOISE`. Results of two different
runs are held against each other only by their ratios to the limits.
"""

import argparse
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from benchmarks.goals import GOALS, Goal
from benchmarks.results import FOLDER, ROOT, Result, read, result
from benchmarks.rounds import play
from benchmarks.table import amount, console

NOISE = 0.05
"""The difference that two rounds of the same program show on a quiet machine."""

PAIRS_MIN = 4
"""Fewer pairs agree too easily by chance."""

BYTES = ("B", "kB", "MB")
"""Units of what does not vary from round to round, so that one pair is enough."""


class Difference(msgspec.Struct, frozen=True):
    """How a figure here stands to the one there; `change` is the median of here divided by there."""

    goal: Goal
    there: float
    here: float
    change: float
    verdict: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    screen = console()
    if Path(chosen.base).is_file():
        there, here = read(Path(chosen.base)), latest()
        screen.print("Two runs, at different times: only what has a limit can be compared, by its ratio.")
        screen.print(shown(apart(there, here), there.commit, here.commit))
        return
    ours: list[Mapping[str, float]] = []
    theirs: list[Mapping[str, float]] = []
    with worktree(chosen.base) as checkout:
        for number in range(chosen.rounds):
            with screen.status(f"pair {number + 1} of {chosen.rounds}"):
                turns = [(checkout, theirs), (ROOT, ours)]
                for folder, kept in turns if number % 2 == 0 else reversed(turns):
                    kept.append(play(folder, chosen.records, number))
    here = result(chosen.records, ours)
    there = msgspec.structs.replace(result(chosen.records, theirs), commit=chosen.base)
    screen.print(shown(paired(there, here), there.commit, here.commit))
    screen.print(f"Kept in {there.keep()} and {here.keep()}")


@contextmanager
def worktree(base: str) -> Iterator[Path]:
    """Check `base` out beside us, with our benchmarks, and remove it afterwards."""
    folder = ROOT / "build" / "bench-base"
    _git("worktree", "remove", "--force", str(folder), check=False)
    _git("worktree", "add", "--detach", "--force", str(folder), base)
    try:
        shutil.rmtree(folder / "benchmarks", ignore_errors=True)
        shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str, check: bool = True) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=check, capture_output=True)


def latest() -> Result:
    """Return the newest result that was kept."""
    return read(max(FOLDER.glob("2*.json")))


def paired(there: Result, here: Result) -> list[Difference]:
    """Return the differences between rounds that were played in turns."""
    return list(_differences(there.figures, here.figures))


def apart(there: Result, here: Result) -> list[Difference]:
    """Return the differences between two runs, of the ratios to their own limits."""
    return list(_separate(_relative(there), _relative(here)))


def _relative(found: Result) -> dict[str, Sequence[float]]:
    return {
        goal.figure: [
            value / limit
            for value, limit in zip(found.figures[goal.figure], found.figures[goal.limit], strict=False)
        ]
        for goal in GOALS
        if goal.limit is not None and goal.figure in found.figures and goal.limit in found.figures
    }


def _differences(
    there: Mapping[str, Sequence[float]], here: Mapping[str, Sequence[float]]
) -> Iterator[Difference]:
    for goal in GOALS:
        if there.get(goal.figure) and here.get(goal.figure):
            theirs, ours = there[goal.figure], here[goal.figure]
            changes = [one / other for one, other in zip(ours, theirs, strict=False)]
            yield Difference(goal, median(theirs), median(ours), median(changes), verdict(changes, goal))


def _separate(
    there: Mapping[str, Sequence[float]], here: Mapping[str, Sequence[float]]
) -> Iterator[Difference]:
    """Give the differences of rounds that do not belong together: every one here against every one there."""
    for goal in GOALS:
        if there.get(goal.figure) and here.get(goal.figure):
            theirs, ours = median(there[goal.figure]), median(here[goal.figure])
            every = [one / other for one in here[goal.figure] for other in there[goal.figure]]
            yield Difference(goal, theirs, ours, ours / theirs, verdict(every, goal))


def verdict(changes: Sequence[float], goal: Goal) -> str:
    """Return what the pairs show: `better`, `worse`, or nothing."""
    if len(changes) < PAIRS_MIN and goal.unit not in BYTES:
        return "too few pairs"
    is_up = all(change > 1 for change in changes) and median(changes) > 1 + NOISE
    is_down = all(change < 1 for change in changes) and median(changes) < 1 - NOISE
    if not (is_up or is_down):
        return "no difference shown"
    return "better" if is_up == (goal.better == "more") else "worse"


def shown(differences: Sequence[Difference], there: str, here: str) -> Table:
    table = Table(title=f"{here} against {there}", title_justify="left")
    for name in ("", "what", there, here, "change", "verdict"):
        table.add_column(name)
    for one in differences:
        table.add_row(
            one.goal.workload,
            one.goal.title,
            amount(one.there),
            amount(one.here),
            f"{one.change - 1:+.1%}",
            one.verdict,
        )
    return table


if __name__ == "__main__":
    main()
