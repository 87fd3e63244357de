"""The table that `make bench` prints."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.goals import LIMITS, Standing, standings
from benchmarks.processor import SIDES
from benchmarks.results import Result

WIDTH = 132
"""Columns of a table that goes into a file."""


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, where there is one."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def show(result: Result, screen: Console) -> None:
    """Print how each goal stands, then the limits."""
    screen.print(goals_table(result))
    screen.print(processor_table(result.figures))
    screen.print(limits_table(result.figures))
    if result.records < 10_000:
        screen.print("Fewer than 10,000 records: a quick look, not a measurement.")


def goals_table(result: Result) -> Table:
    title = (
        f"{result.commit}: {result.records:,} records, median of {result.rounds} rounds (lowest to highest)"
    )
    table = Table(title=title, title_justify="left")
    for name in ("", "what"):
        table.add_column(name)
    for name in ("figure", "spread", "ratio to", "", "goal", "met"):
        table.add_column(name, justify="right" if name not in ("ratio to", "met") else "left")
    for standing in standings(result.figures):
        table.add_row(*_row(standing))
    return table


def _row(standing: Standing) -> Sequence[str]:
    goal = standing.goal
    wanted = [] if goal.ratio is None else [f"ratio {goal.ratio:g}"]
    wanted += [] if goal.goal is None else [amount(goal.goal, goal.unit)]
    met = {None: "", True: "[green]yes[/green]", False: "[red]no[/red]"}[standing.is_met]
    return (
        goal.workload,
        goal.title,
        amount(standing.figure, goal.unit),
        f"{amount(standing.lowest)} to {amount(standing.highest)}",
        goal.limit or "",
        "" if standing.ratio is None else f"{standing.ratio:.2f}",
        "; ".join(wanted),
        met,
    )


def processor_table(figures: Mapping[str, Sequence[float]]) -> Table:
    table = Table(title="Processor time, microseconds a record", title_justify="left")
    for name in ("", *SIDES):
        table.add_column(name)
    for row in processor_rows(figures):
        table.add_row(*row)
    return table


def processor_rows(figures: Mapping[str, Sequence[float]]) -> Iterator[list[str]]:
    """Give the rows of `processor_table`."""
    for workload, name in (("W1", "push"), ("W2", "pull")):
        spent = [figures.get(f"processor.{name}.{side}", ()) for side in SIDES]
        if all(spent):
            yield [workload, *(amount(median(values)) for values in spent)]


def limits_table(figures: Mapping[str, Sequence[float]]) -> Table:
    table = Table(title="The limits, in the same run", title_justify="left")
    for name in ("name", "what"):
        table.add_column(name)
    for name in ("figure", "spread"):
        table.add_column(name, justify="right")
    for name, title, unit in LIMITS:
        if values := figures.get(name):
            spread = f"{amount(min(values))} to {amount(max(values))}"
            table.add_row(name, title, amount(median(values), unit), spread)
    return table


def amount(value: float, unit: str = "") -> str:
    """Return a number with as many digits as it deserves."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{unit if unit.startswith('/') else ' ' + unit if unit else ''}"
