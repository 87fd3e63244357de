"""Charts as plain SVG: points, and lines through some of them, on linear or logarithmic axes.

A file that any browser shows and that two runs can be compared by; nothing to install.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

import msgspec

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 52, 46
COLOURS = ("#2f6fab", "#c8553d", "#4b8f4b", "#8b5fa8", "#b8862b", "#4a4a4a")

Point = tuple[float, float]


class Series(msgspec.Struct, frozen=True):
    """`points` are dots, `line` is drawn through; either may be empty."""

    name: str
    points: Sequence[Point] = ()
    line: Sequence[Point] = ()
    is_dashed: bool = False


class Chart(msgspec.Struct, frozen=True):
    """One chart; `ticks` name places on a linear x axis, which has numbers otherwise."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    is_x_log: bool = False
    is_y_log: bool = False
    ticks: Sequence[tuple[float, str]] = ()


def write(path: Path, charts: Sequence[Chart]) -> None:
    """Write charts below each other into one file."""
    body = "".join(
        f'<g transform="translate(0 {number * HEIGHT})">{"".join(_drawn(chart))}</g>'
        for number, chart in enumerate(charts)
    )
    style = "text{font:11px sans-serif;fill:#333}.title{font-size:13px;font-weight:bold}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(charts)}">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="white"/>{body}</svg>\n',
        encoding="utf-8",
    )


def _drawn(chart: Chart) -> Iterator[str]:
    every = [point for series in chart.series for point in (*series.points, *series.line)]
    x_ticks = list(chart.ticks) or _ticks([x for x, _ in every], is_log=chart.is_x_log)
    y_ticks = _ticks([y for _, y in every], is_log=chart.is_y_log)
    xs, ys = [*(x for x, _ in every), *(x for x, _ in x_ticks)], [y for y, _ in y_ticks]
    at_x = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, is_log=chart.is_x_log)
    at_y = _scale(min(ys), max(ys), HEIGHT - BOTTOM, TOP, is_log=chart.is_y_log)
    yield f'<text class="title" x="{LEFT}" y="18">{escape(chart.title)}</text>'
    for y, name in y_ticks:
        yield f'<path d="M{LEFT} {at_y(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    for x, name in x_ticks:
        yield f'<path d="M{at_x(x):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>'
        yield f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(name)}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(chart.x)}</text>'
    yield f'<text x="{LEFT}" y="{TOP - 16}">{escape(chart.y)}</text>'
    for number, series in enumerate(chart.series):
        yield from _series(series, number, at_x, at_y)


def _series(
    series: Series, number: int, at_x: Callable[[float], float], at_y: Callable[[float], float]
) -> Iterator[str]:
    colour = COLOURS[number % len(COLOURS)]
    dash = ' stroke-dasharray="5 4"' if series.is_dashed else ""
    for x, y in series.points:
        yield f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}" fill-opacity="0.6"/>'
    if series.line:
        way = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in series.line)
        yield f'<path d="M{way}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
    top = TOP + 10 + 18 * number
    yield f'<path d="M{WIDTH - RIGHT + 12} {top}h18" stroke="{colour}" stroke-width="3"{dash}/>'
    yield f'<text x="{WIDTH - RIGHT + 36}" y="{top + 4}">{escape(series.name)}</text>'


def _scale(low: float, high: float, start: float, end: float, *, is_log: bool) -> Callable[[float], float]:
    if is_log:
        low, high = math.log10(low), math.log10(high)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        place = math.log10(value) if is_log else value
        return start + (place - low) / span * (end - start)

    return at


def _ticks(values: Sequence[float], *, is_log: bool) -> list[tuple[float, str]]:
    low, high = min(values), max(values)
    if is_log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        marks = [10.0**power * step for power in range(first, last + 1) for step in (1, 2, 5)]
        below = max(mark for mark in marks if mark <= low)
        above = min((mark for mark in marks if mark >= high), default=marks[-1])
        return [(mark, _number(mark)) for mark in marks if below <= mark <= above]
    step = 10.0 ** math.floor(math.log10(high or 1))
    step = next(size for size in (step / 5, step / 2, step, 2 * step) if high / size <= 6)
    return [(number * step, _number(number * step)) for number in range(math.ceil(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
