"""Positions: strings that sort, with room between any two of them, for the items of a keyed list.

A position is a fraction in base 62 without the leading "0.", never ending in "0", compared as code points. So an
item moves or is inserted by writing one path, and two people may insert at one place (the item id breaks the tie).

Source: "fractional indexing" (Figma, 2017; D. Greenspan, Implementing Fractional Indexing, 2020).
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

from rightfit_sync.errors import LocalError

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_POSITION = re.compile(r"[0-9A-Za-z]*[1-9A-Za-z]")


def between(left: str | None, right: str | None) -> str:
    """Return a position after `left` and before `right`; None stands for the start or the end of the list."""
    for position in (left, right):
        if position is not None and not _POSITION.fullmatch(position):
            raise LocalError("invalid_position", f"{position!r} is no position: see the module's docstring")
    if left is not None and right is not None and left >= right:
        raise LocalError("invalid_position", f"{left!r} is not before {right!r}: there is no room between")
    return _midpoint(left or "", right)


def _midpoint(left: str, right: str | None) -> str:
    if right is not None:
        shared = 0
        while shared < len(right) and (left[shared] if shared < len(left) else "0") == right[shared]:
            shared += 1
        if shared:
            return right[:shared] + _midpoint(left[shared:], right[shared:])
    low = DIGITS.index(left[0]) if left else 0
    high = DIGITS.index(right[0]) if right else len(DIGITS)
    if high - low > 1:
        return DIGITS[(low + high) // 2]
    if right is not None and len(right) > 1:
        return right[0]
    return DIGITS[low] + _midpoint(left[1:], None)


def longest_rise(orders: Sequence[tuple[int, float, str, str]]) -> list[int]:
    """Return the indexes of the longest strictly rising subsequence of `orders` (patience sorting)."""
    tails: list[tuple[int, float, str, str]] = []
    ends: list[int] = []
    former: list[int] = []
    for index, order in enumerate(orders):
        length = bisect_left(tails, order)
        tails[length : length + 1] = [order]
        ends[length : length + 1] = [index]
        former.append(ends[length - 1] if length else -1)
    rise: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        rise.append(index)
        index = former[index]
    return rise[::-1]
