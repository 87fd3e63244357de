"""Sums: a counter is right if every difference that somebody made is in it, exactly once."""

from collections.abc import Iterable

from rightfit_server.demo.journal import Entry
from rightfit_sync.values import Value

WriteName = tuple[str, int]
"""A person and the number of the write in that person's journal."""


def missing(entries: Iterable[Entry], field: str, shown: Value) -> set[WriteName]:
    """Return whose differences are not in the sum `shown`, of those that `entries` made to `field`.

    Differences that may not have become durable may be in it or not. Where no single missing one explains the
    sum, none can be trusted, and all are called missing.
    """
    sure: dict[WriteName, float] = {}
    sums = {0.0}
    for entry in entries:
        write = entry.write
        difference = _number(write.wrote.get(field)) - _number(write.saw.get(field))
        if entry.is_durable:
            sure[write.person, write.number] = difference
        else:
            sums |= {one + difference for one in sums}
    sums = {one + sum(sure.values()) for one in sums}
    total = _number(shown)
    if total in sums:
        return set()
    culprit = next((name for name, difference in sure.items() if total + difference in sums), None)
    return set(sure) if culprit is None else {culprit}


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
