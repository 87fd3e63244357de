"""`python -m benchmarks.publish`: the newest figures into docs/explanation/performance.md, between its marks.

What was measured last by `make bench`, `make bench-micro` and `make bench-growth` is put there; the result is copied to
`benchmarks/history`, and the plots beside the page.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import msgspec

from benchmarks import growth, plot
from benchmarks.chart import write
from benchmarks.goals import GOALS, LIMITS, standings
from benchmarks.processor import SIDES
from benchmarks.results import FOLDER, HISTORY, ROOT, Result
from benchmarks.table import amount, console, processor_rows

PAGE = ROOT / "docs" / "explanation" / "performance.md"


def main() -> None:
    found = plot.kept()[-1]
    text = PAGE.read_text(encoding="utf-8")
    blocks = {"workloads": workloads(found), "parts": parts(), "growth": slopes()}
    for name, lines in blocks.items():
        text = filled(text, name, "\n".join(lines))
    PAGE.write_text(text, encoding="utf-8")
    HISTORY.mkdir(exist_ok=True)
    for file in FOLDER.glob(f"2*-{found.commit}.json"):
        shutil.copy(file, HISTORY)
    results = plot.kept(HISTORY)
    write(PAGE.with_name("performance-over-time.svg"), [plot.chart(goal, results) for goal in GOALS])
    console().print(f"{PAGE.name} shows {found.commit}")


def filled(text: str, name: str, block: str) -> str:
    """Return the page with `block` between the marks of this name."""
    marks = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    return marks.sub(lambda found: f"{found[1]}\n{block}\n\n{found[2]}", text)


def workloads(found: Result) -> Iterator[str]:
    machine = found.machine
    yield f"Commit {found.commit}: {found.rounds} rounds of {found.records:,} records, medians. {machine.cores} cores,"
    yield f"{machine.processor}, Python {machine.python}, SQLite {machine.sqlite}."
    yield ""
    yield "| | what | figure | lowest to highest | ratio to the limit | goal | met |"
    yield "|---|---|---|---|---|---|---|"
    for one in standings(found.figures):
        goal = one.goal
        spread = f"{amount(one.lowest)} to {amount(one.highest)}"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f} of `{goal.limit}`"
        wanted = [] if goal.ratio is None else [f"ratio {goal.ratio:g}"]
        wanted += [] if goal.goal is None else [amount(goal.goal, goal.unit)]
        met = {None: "", True: "yes", False: "no"}[one.is_met]
        figure = amount(one.figure, goal.unit)
        yield f"| {goal.workload} | {goal.title} | {figure} | {spread} | {ratio} | {'; '.join(wanted)} | {met} |"
    yield ""
    yield "The limits, in the same rounds:"
    yield ""
    yield "| name | what | figure |"
    yield "|---|---|---|"
    for name, title, unit in LIMITS:
        if values := found.figures.get(name):
            yield f"| `{name}` | {title} | {amount(median(values), unit)} |"
    yield ""
    yield "Whose processor time it is, in microseconds a record:"
    yield ""
    yield f"| | {' | '.join(SIDES)} |"
    yield "|---|---|---|---|"
    for row in processor_rows(found.figures):
        yield f"| {' | '.join(row)} |"


def parts() -> Iterator[str]:
    found = msgspec.json.decode(_newest("micro-*.json").read_bytes(), type=dict[str, tuple[float, str]])
    yield "| part | figure |"
    yield "|---|---|"
    for name, (figure, unit) in found.items():
        yield f"| {name} | {amount(figure, unit)} |"


def slopes() -> Iterator[str]:
    file = _newest("growth-*.json")
    found = msgspec.json.decode(file.read_bytes(), type=growth.Growth)
    write(PAGE.with_name("performance-growth.svg"), growth.charts(found))
    yield f"Commit {found.commit}; microseconds (or bytes) a record, medians; the slope is that on logarithmic axes."
    yield ""
    yield "| what | at the least | at the most | slope |"
    yield "|---|---|---|---|"
    samples: Mapping[str, Mapping[str, growth.Points]] = {
        "entities": found.entities,
        "devices": found.devices,
    }
    for of, named in samples.items():
        for name, points in named.items():
            (least, first), *_, (most, last) = growth.medians(points)
            exponent, _ = growth.slope(points)
            span = f"{name}, {least:,.0f} to {most:,.0f} {of}"
            yield f"| {span} | {amount(first)} | {amount(last)} | {exponent:+.3f} |"


def _newest(pattern: str) -> Path:
    return max(FOLDER.glob(pattern), key=lambda file: file.stat().st_mtime)


if __name__ == "__main__":
    main()
