"""The goals: which figure, which limit of the same run it is held against, and what it should come to.

| | |
|---|---|
| `limit` | another figure; the ratio is taken round by round, and its median counts |
| `ratio` | what the ratio should reach (where less is better: what it may reach) |
| `goal` | the figure itself on two cores; where there is a ratio, that decides |
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

Better = Literal["more", "less"]


class Goal(msgspec.Struct, frozen=True):
    """One line of the table."""

    workload: str
    title: str
    figure: str
    unit: str
    better: Better
    goal: float | None = None
    limit: str | None = None
    ratio: float | None = None


GOALS: Sequence[Goal] = (
    Goal("W1", "push 10,000 new records", "product.push", "/s", "more", 15_000, "floor.push", 0.6),
    Goal("W2", "first pull of them into SQLite", "product.pull", "/s", "more", 35_000, "floor.pull", 0.8),
    Goal("W2", "bytes a record on the wire, pulled", "product.pull_bytes", "B", "less", 150, "json.bytes"),
    Goal("W1", "bytes a record on the wire, pushed", "product.push_bytes", "B", "less", None, "json.bytes"),
    Goal("W3", "1,000 one-field edits across", "product.edits", "ms", "less", 90, "floor.edits"),
    Goal("W3", "their bytes on the wire, all told", "product.edit_kilobytes", "kB", "less", 45),
    Goal("W4", "1,000 conflicting records until quiet", "product.conflicts", "ms", "less", 500),
    Goal("W5", "sync with nothing to do, p50", "product.idle.p50", "ms", "less", 2.5, "floor.idle.p50"),
    Goal("W5", "sync with nothing to do, p95", "product.idle.p95", "ms", "less", 6, "floor.idle.p95"),
    Goal("W6", "an edit to the other's table, p50", "product.live.p50", "ms", "less", 5),
    Goal("W6", "an edit to the other's table, p95", "product.live.p95", "ms", "less", 12),
    Goal("W7", "save, one transaction each", "product.save", "/s", "more", 4_000, "sqlite.save", 0.8),
    Goal(
        "W7", "the same on a disk in memory", "product.save_memory", "/s", "more", None, "sqlite.save_memory"
    ),
    Goal("W7", "save, batched", "product.batch", "/s", "more", 40_000, "sqlite.batch"),
    Goal("W7", "read by id", "product.read", "/s", "more", 60_000, "sqlite.read"),
    Goal("W8", "memory of the API process after W1", "product.server", "MiB", "less", 120, "floor.server"),
    Goal("W8", "the replica's file", "product.file", "MB", "less", None, "sqlite.file", 2),
)

LIMITS: Sequence[tuple[str, str, str]] = (
    ("floor.push", "floor: push, SQLite to Litestar to PostgreSQL", "/s"),
    ("floor.pull", "floor: pull", "/s"),
    ("floor.edits", "floor: 1,000 edits across", "ms"),
    ("floor.idle.p50", "floor: nothing to do, p50", "ms"),
    ("floor.server", "floor: memory of the server", "MiB"),
    ("postgres.copy", "PostgreSQL: COPY and INSERT, row level security, fsync", "/s"),
    ("sqlite.save", "SQLite: row and outbox, a transaction each, FULL", "/s"),
    ("sqlite.save_normal", "SQLite: the same, NORMAL", "/s"),
    ("sqlite.save_memory", "SQLite: the same, FULL, on a disk in memory", "/s"),
    ("sqlite.batch", "SQLite: row and outbox, one transaction", "/s"),
    ("sqlite.many", "SQLite: executemany of rows, one transaction", "/s"),
    ("sqlite.read", "SQLite: read by id", "/s"),
    ("msgspec.encode", "msgspec: encode MessagePack", "/s"),
    ("msgspec.decode", "msgspec: decode MessagePack, validated", "/s"),
)


class Standing(msgspec.Struct, frozen=True):
    """A goal with what was measured; `ratio` is to the limit, `is_met` None where nothing is asked."""

    goal: Goal
    figure: float
    lowest: float
    highest: float
    ratio: float | None
    is_met: bool | None


def standings(figures: Mapping[str, Sequence[float]]) -> list[Standing]:
    """Return how each goal stands that was measured."""
    return [_standing(goal, figures) for goal in GOALS if figures.get(goal.figure)]


def _standing(goal: Goal, figures: Mapping[str, Sequence[float]]) -> Standing:
    values = figures[goal.figure]
    limits = figures.get(goal.limit or "", ())
    # A figure that was taken once is held against the first of the limit.
    ratios = [value / limit for value, limit in zip(values, limits, strict=False)]
    ratio = median(ratios) if ratios else None
    decides, wanted = (ratio, goal.ratio) if goal.ratio is not None else (median(values), goal.goal)
    is_met = None
    if decides is not None and wanted is not None:
        is_met = decides >= wanted if goal.better == "more" else decides <= wanted
    return Standing(goal, median(values), min(values), max(values), ratio, is_met)
