"""The comparison as tables: for the terminal (rich) and for docs/explanation/comparison.md (Markdown).

A cell is the median of the rounds and, in brackets, the least and the greatest.
"""

import statistics
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.peers.comparison import Comparison, Entry
from benchmarks.peers.verdict import Verdict

NONE = "-"


class Measure(msgspec.Struct, frozen=True):
    """One row: `figure` times `factor` is what `label` says."""

    label: str
    figure: str
    factor: float = 1.0


MEASURES = (
    Measure("W1 push, records/s", "W1.per_second"),
    Measure("W1 on the wire, KB", "W1.bytes", 1e-3),
    Measure("W2 first pull, records/s", "W2.per_second"),
    Measure("W2 on the wire, KB", "W2.bytes", 1e-3),
    Measure("W3 one-field edits across, ms", "W3.seconds", 1e3),
    Measure("W3 on the wire, KB", "W3.bytes", 1e-3),
    Measure("W4 conflicting edits until quiet, ms", "W4.seconds", 1e3),
    Measure("W5 nothing to do, p50 ms", "W5.p50_ms"),
    Measure("W5 p95 ms", "W5.p95_ms"),
    Measure("W6 edit to the other's store, p50 ms", "W6.p50_ms"),
    Measure("W6 p95 ms", "W6.p95_ms"),
    Measure("W7 saves/s, one each", "W7.each_per_second"),
    Measure("W7 saves/s, batched", "W7.batch_per_second"),
    Measure("W7 reads by id/s", "W7.read_per_second"),
    Measure("W8 server after W1, MB", "W8.server_megabytes"),
    Measure("W8 client's store after W2, MB", "W8.store_bytes", 1e-6),
)
FATES = ("merged", "kept", "hidden", "open", "lost", "differ")
FATES_HEADING = (
    *("merged", "same field: both values kept", "different fields: one edit on record only"),
    *("left to the application", "lost, and nobody told", "replicas or server differ"),
)


def cell(entry: Entry, measure: Measure) -> str:
    """Return the median with the least and the greatest value."""
    values = [value * measure.factor for value in entry.values(measure.figure)]
    if not values:
        return NONE
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} to {_number(max(values))})"


def short_cell(entry: Entry, measure: Measure) -> str:
    """Return the median, and half of the distance from the least to the greatest as a share of it."""
    values = entry.values(measure.figure)
    if not values:
        return NONE
    middle = statistics.median(values)
    spread = (max(values) - min(values)) / 2 / middle if middle else 0.0
    return _number(middle * measure.factor) + (f" ±{spread:.0%}" if len(values) > 1 else "")


def fates(entry: Entry) -> list[str]:
    """Return how many records met each fate; where rounds differ, the least and the greatest."""
    return [_range([getattr(each, fate) for each in entry.verdicts()]) for fate in FATES]


def show(found: Comparison, console: Console) -> None:
    """Print both tables, and who did not finish."""
    entries = found.entries
    measured = Table("", *entries, title=f"{found.records:,} records, {found.rounds} rounds: median, spread")
    for measure in MEASURES:
        measured.add_row(measure.label, *(short_cell(entry, measure) for entry in entries.values()))
    console.print(measured)
    edits = Table("", *FATES, title="What became of the records that both sides edited")
    for name, entry in entries.items():
        if entry.verdicts():
            edits.add_row(name, *fates(entry))
    console.print(edits)
    for entry in entries.values():
        for reason in entry.stopped():
            console.print(f"{entry.title} did not finish: {reason}", markup=False)


def markdown(found: Comparison) -> str:
    """Return both tables and the versions as Markdown."""
    entries = list(found.entries.values())
    measured = [[measure.label, *(cell(entry, measure) for entry in entries)] for measure in MEASURES]
    edits = [[entry.title, *fates(entry)] for entry in entries if entry.verdicts()]
    counts = entries[0].verdicts()[:1]
    parts = [
        _origin(found),
        _rows(["", *(entry.title for entry in entries)], measured),
        _raw(entries),
        _halves(counts[0]) if counts else "",
        _rows(["", *FATES_HEADING], edits),
        *(f"{entry.title} did not finish: {reason}" for entry in entries for reason in entry.stopped()),
    ]
    return "\n\n".join(part for part in parts if part)


def _origin(found: Comparison) -> str:
    entries = found.entries.values()
    fewer = [f"{entry.title} {entry.records:,}" for entry in entries if entry.records < found.records]
    pinned = [f"{name} {version}" for entry in entries for name, version in entry.versions.items()]
    loads = [load for entry in entries for load in entry.loads()]
    others = f" Load average before each turn: {statistics.median(loads):.1f} (median)." if loads else ""
    day = f"{found.time[:4]}-{found.time[4:6]}-{found.time[6:8]}"
    counts = f"{found.records:,} records" + (f" ({', '.join(fewer)})" if fewer else "")
    return "\n".join(
        [
            f"Measured on {day} at commit {found.commit}: {counts}, {found.rounds} rounds in turns,",
            f"{found.machine.cores} cores ({found.machine.processor}), loopback.{others}",
            f"A cell is the median (least to greatest). Versions: {', '.join(pinned)}.",
        ]
    )


def _raw(entries: Sequence[Entry]) -> str:
    """Return what raw SQLite did in the same rounds: what a disk that is asked to be sure costs."""
    rates = {
        name: cell(entry, Measure("", f"W7.sqlite_{name}_per_second"))
        for entry in entries
        for name in ("full", "normal")
        if entry.values(f"W7.sqlite_{name}_per_second")
    }
    if len(rates) < 2:
        return ""
    return (
        f"Raw SQLite, a row and an outbox entry in one transaction each, in the same rounds: {rates['full']} saves/s\n"
        f"with an fsync each (`synchronous=FULL`, as RightFit), {rates['normal']} without (`NORMAL`, as PowerSync)."
    )


def _halves(one: Verdict) -> str:
    return (
        f"What became of {one.apart + one.together:,} records that both sides edited while offline, "
        f"{one.apart:,} in different fields and {one.together:,} in the same one:"
    )


def _rows(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---", *["--:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(values: Sequence[int]) -> str:
    least, greatest = min(values), max(values)
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"


def _number(value: float) -> str:
    """Return it with three digits that mean something."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"
