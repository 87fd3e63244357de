"""The comparison as an SVG picture: a panel a workload, a bar a peer on a logarithmic scale, and W4's outcome.

Rates are better to the right, times to the left, and each panel says which. The whisker is the least and the greatest
of the rounds. Plain SVG, so that it needs no library.
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
WIDTH, LABELS, NUMBERS, ROW, HEAD, GAP = 860, 150, 190, 19, 30, 14
OURS, THEIRS = "#0b6e4f", "#8aa1b4"
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
    better = "more is better" if measure.label.endswith("/s") or "/s," in measure.label else "less is better"
    yield _text(8, top + 16, f"{measure.label} ({better}, logarithmic)", weight="bold")
    values = [value * measure.factor for entry in entries for value in entry.values(measure.figure)]
    # From the power of ten below the least, so that the least has a bar too.
    low, high = math.floor(math.log10(min(values)) - 1e-9), math.log10(max(values))
    room = WIDTH - LABELS - NUMBERS

    def place(value: float) -> float:
        return LABELS + room * (math.log10(value) - low) / (high - low)

    for number, entry in enumerate(entries):
        y = top + HEAD + ROW * number
        own = [value * measure.factor for value in entry.values(measure.figure)]
        middle = (entry.median(measure.figure) or 0.0) * measure.factor
        colour = OURS if entry.title == "RightFit" else THEIRS
        yield _text(LABELS - 6, y + 11, entry.title, anchor="end")
        yield _bar(LABELS, y + 1, place(middle) - LABELS, colour)
        yield (
            f'<line x1="{place(min(own)):.1f}" x2="{place(max(own)):.1f}" y1="{y + 7.5}" y2="{y + 7.5}"'
            ' stroke="#222222" stroke-width="1.5"/>'
        )
        yield _text(WIDTH - NUMBERS + 8, y + 11, cell(entry, measure))


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
        x = LABELS + number * 142
        yield _bar(x, y + 3, 10, colour)
        yield _text(x + 13, y + 12, words, size=9)


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 1.0):.1f}" height="13" fill="{colour}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "", size: int = 12) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{bold}>{escape(words)}</text>'
