"""Where two sequences of tokens differ: Myers' greedy algorithm, bounded in work rather than in result.

Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Hunk(NamedTuple):
    """`old[old_start:old_end]` was replaced with `new[new_start:new_end]`; one of the two may be empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


class Budget:
    """The steps that one diff may still take, over all the comparisons that it is made of."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


def hunks(old: Sequence[str], new: Sequence[str], budget: Budget) -> list[Hunk] | None:
    """The hunks from left to right, fewest changed tokens; None if the budget does not reach that far."""
    rounds = _search(old, new, budget)
    return None if rounds is None else _trace_back(len(old), len(new), rounds)


def _search(old: Sequence[str], new: Sequence[str], budget: Budget) -> list[list[int]] | None:
    """For each number of changes, the furthest place in `old` reached on each diagonal `-changes - 1 ...`."""
    goal = len(old) - len(new)
    rounds: list[list[int]] = []
    reached = [0, 0, 0]
    for changes in range(len(old) + len(new) + 1):
        current = [0] * (2 * changes + 5)
        for diagonal in range(-changes, changes + 1, 2):
            place = _step(reached, changes, diagonal)
            end = _slide(old, new, place, place - diagonal)
            budget.steps -= 1 + end - place
            current[diagonal + changes + 2] = end
            if diagonal == goal and end >= len(old):
                return rounds
            if budget.steps <= 0:
                return None
        rounds.append(current)
        reached = current
    return None


def _step(reached: list[int], changes: int, diagonal: int) -> int:
    """One change further: down (a token of `new` inserted) or right (one of `old` deleted)."""
    if changes == 0:
        return 0
    # `reached` belongs to `changes - 1`: diagonal d stands at index d + (changes - 1) + 2.
    above, left = reached[diagonal + changes + 2], reached[diagonal + changes] + 1
    if diagonal == -changes or (diagonal != changes and left <= above):
        return above
    return left


def _slide(old: Sequence[str], new: Sequence[str], place: int, opposite: int) -> int:
    """Follow equal tokens; the place in `old` where they end."""
    while place < len(old) and opposite < len(new) and old[place] == new[opposite]:
        place += 1
        opposite += 1
    return place


def _trace_back(old_length: int, new_length: int, rounds: list[list[int]]) -> list[Hunk]:
    """Walk the changes from the end to the start, merging neighbours to hunks."""
    found: list[Hunk] = []
    place, opposite = old_length, new_length
    for changes in range(len(rounds), 0, -1):
        diagonal = place - opposite
        reached = rounds[changes - 1]
        after = _step(reached, changes, diagonal)
        inserted = after == reached[diagonal + changes + 2] and diagonal != changes
        start = after if inserted else after - 1
        # The change itself: from (start, start_opposite) to (after, after - diagonal).
        start_opposite = start - (diagonal + 1) if inserted else start - (diagonal - 1)
        _prepend(found, Hunk(start, after, start_opposite, after - diagonal))
        place, opposite = start, start_opposite
    found.reverse()
    return found


def _prepend(found: list[Hunk], hunk: Hunk) -> None:
    if found and found[-1].old_start == hunk.old_end and found[-1].new_start == hunk.new_end:
        later = found.pop()
        hunk = Hunk(hunk.old_start, later.old_end, hunk.new_start, later.new_end)
    found.append(hunk)
