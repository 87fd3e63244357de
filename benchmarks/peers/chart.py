"""The comparison as an SVG picture: a panel a workload, a dot a peer on a logarithmic scale, and W4's outcome.

Rates are better to the right, times to the left, and each panel says which. A line marks each power of ten; the whisker
is the least and the greatest of the rounds. Plain SVG, so that it needs no library.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.peers.comparison import Comparison, Entry
from benchmarks.peers.table import MEASURES, Measure, cell

DRAWN = (
    *("W1.per_second", "W2.per_second", "W3.seconds", "W4.seconds"),
    *("W5.p50_ms", "W6.p50_ms", "W7.each_per_second", "W7.batch_per_second"),
)
WIDTH, LABELS, NUMBERS, ROW, HEAD, GAP = 860, 150, 190, 19, 40, 14
OURS, THEIRS = "#0b6e4f", "#6d8599"
FATE_COLOURS = {
    "merged": ("#0b6e4f", "merged"),
    "kept": ("#6fbf9b", "same field, both values kept"),
    "hidden": ("#e0b64b", "one edit on record only"),
    "open": ("#c9c9c9", "left to the application"),
    "lost": ("#b3261e", "lost, and nobody told"),
}


def svg(found: Comparison) -> str:
    """Return the picture."""
    entries = list(found.entries.values())
    body: list[str] = []
    top = GAP
    for measure in (one for one in MEASURES if one.figure in DRAWN):
        drawn = [entry for entry in entries if entry.values(measure.figure)]
        if drawn:
            body += _panel(measure, drawn, top)
            top += HEAD + ROW * len(drawn) + GAP
    judged = [entry for entry in entries if entry.verdicts()]
    body += _outcome(judged, top)
    top += HEAD + ROW * (len(judged) + 1) + GAP
    space = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}"'
    head = f'<svg {space} role="img" font-family="sans-serif" font-size="12">'
    title = "<title>RightFit and its peers on the same workload</title>"
    paper = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    return "\n".join([head, title, paper, *body, "</svg>\n"])


def _panel(measure: Measure, entries: Sequence[Entry], top: int) -> Iterator[str]:
    better = "more is better" if "s/s" in measure.label else "less is better"
    yield _text(8, top + 16, f"{measure.label} ({better})", weight="bold")
    values = [value * measure.factor for entry in entries for value in entry.values(measure.figure)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    room = WIDTH - LABELS - NUMBERS

    def place(value: float) -> float:
        return LABELS + room * (math.log10(value) - low) / (high - low)

    for power in range(low, high + 1):
        x = place(10.0**power)
        yield _line(x, x, top + HEAD - 4, top + HEAD + ROW * len(entries) - 4, "#d5dce2")
        yield _text(x, top + HEAD - 6, f"{10.0**power:,.{max(-power, 0)}f}", anchor="middle", size=9)
    for number, entry in enumerate(entries):
        y = top + HEAD + ROW * number + 7
        own = [value * measure.factor for value in entry.values(measure.figure)]
        colour = OURS if entry.title == "RightFit" else THEIRS
        yield _text(LABELS - 6, y + 4, entry.title, anchor="end")
        yield _line(place(min(own)), place(max(own)), y, y, colour, width=3)
        middle = place((entry.median(measure.figure) or 0.0) * measure.factor)
        yield f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}"/>'
        yield _text(WIDTH - NUMBERS + 12, y + 4, cell(entry, measure))


def _outcome(entries: Sequence[Entry], top: int) -> Iterator[str]:
    yield _text(8, top + 16, "W4: what became of the records that both sides edited", weight="bold")
    room = WIDTH - LABELS - GAP
    for number, entry in enumerate(entries):
        y = top + HEAD + ROW * number
        verdict = entry.verdicts()[-1]
        yield _text(LABELS - 6, y + 11, entry.title, anchor="end")
        x = float(LABELS)
        for fate, (colour, _) in FATE_COLOURS.items():
            share = room * getattr(verdict, fate) / (verdict.apart + verdict.together)
            if share:
                yield _bar(x, y + 1, share, colour)
                x += share
    y = top + HEAD + ROW * len(entries)
    for number, (colour, words) in enumerate(FATE_COLOURS.values()):
        x = LABELS + number * 140
        yield _bar(x, y + 3, 10, colour)
        yield _text(x + 13, y + 12, words, size=8)


def _line(x1: float, x2: float, y1: float, y2: float, colour: str, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 1.0):.1f}" height="13" fill="{colour}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "", size: int = 12) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{bold}>{escape(words)}</text>'
