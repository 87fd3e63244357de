"""`python -m benchmarks.plot`: each workload over time, with the limit of the same run beside it, as one SVG.

It reads the results in `build/bench` and those that are kept in `benchmarks/history`, and leaves out quick looks. A dot
is a round, the line joins the medians.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.chart import Chart, Point, Series, write
from benchmarks.goals import GOALS, Goal
from benchmarks.results import FOLDER, HISTORY, Result, read
from benchmarks.table import console

RECORDS_MIN = 10_000


def main() -> None:
    screen = console()
    results = kept()
    if not results:
        screen.print("There are no results yet: run `make bench` first.")
        return
    path = FOLDER / "over-time.svg"
    write(
        path, [chart(goal, results) for goal in GOALS if any(goal.figure in one.figures for one in results)]
    )
    screen.print(f"{len(results)} results, drawn in {path}")


def kept(*folders: Path) -> list[Result]:
    """Return the whole results in these folders (by default in both), oldest first, each once."""
    files = [file for folder in folders or (HISTORY, FOLDER) for file in folder.glob("2*.json")]
    found = {one.time + one.commit: one for one in map(read, files) if one.records >= RECORDS_MIN}
    return sorted(found.values(), key=lambda one: one.time)


def chart(goal: Goal, results: Sequence[Result]) -> Chart:
    """Return the chart of one goal: the figure, its limit, and the goal itself where that is a number."""
    series = [_series("RightFit", goal.figure, results)]
    if goal.limit is not None and goal.limit.split(".")[0] != "json":
        series.append(_series(goal.limit, goal.limit, results))
    if goal.goal is not None:
        line = [(0.0, goal.goal), (max(len(results) - 1.0, 1.0), goal.goal)]
        series.append(Series("goal", line=line, is_dashed=True))
    ticks = [(float(place), one.commit.removesuffix("-changed")[:7]) for place, one in enumerate(results)]
    step = len(ticks) // 8 + 1
    return Chart(f"{goal.workload}: {goal.title}", "commit", goal.unit, series, ticks=ticks[::step])


def _series(name: str, figure: str, results: Sequence[Result]) -> Series:
    points: list[Point] = []
    line: list[Point] = []
    for place, one in enumerate(results):
        if values := one.figures.get(figure):
            points += [(float(place), value) for value in values]
            line.append((float(place), median(values)))
    return Series(name, points, line)


if __name__ == "__main__":
    main()
