"""Shrinking: from a failing seed to the few operations that it takes.

Source: "Simplifying and Isolating Failure-Inducing Input" (Zeller and Hildebrandt, 2002), the algorithm `ddmin`.
"""

from collections.abc import Callable, Sequence


def ddmin(
    numbers: Sequence[int], fails: Callable[[Sequence[int]], bool], tries_max: int = 2_000
) -> list[int]:
    """Return a part of `numbers` that still `fails` and of which nothing single can be left out.

    After `tries_max` tries it returns the smallest part found so far.
    """
    kept, pieces, tries = list(numbers), 2, 0
    while len(kept) >= 2 and tries < tries_max:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tries += 1
            if fails(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if pieces >= len(kept):
                return kept
            pieces = min(len(kept), pieces * 2)
    if len(kept) == 1 and fails([]):
        return []
    return kept
