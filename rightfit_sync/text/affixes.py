"""What two texts begin and end with in common.

Slices are compared, not code points: a few microseconds for a text of 20,000.
"""

from __future__ import annotations


def common_prefix(one: str, other: str) -> int:
    """How many code points both begin with."""
    low, high = 0, min(len(one), len(other))
    if one.startswith(other[:high]):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[low:middle], low):
            low = middle
        else:
            high = middle - 1
    return low


def common_suffix(one: str, other: str, at_most: int) -> int:
    """How many code points, no more than `at_most`, both end with."""
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        if one.endswith(other[len(other) - middle : len(other) - low], 0, len(one) - low):
            low = middle
        else:
            high = middle - 1
    return low
