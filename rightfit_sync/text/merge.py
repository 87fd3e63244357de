"""Merges two edits of one text into one that holds both.

What is inserted by either remains, what is deleted by either is gone. Of two inserts at one place, left's
stands first; the caller says who is left by something that every replica agrees on (the dots), never by who
asks.

The same words replaced with the same words by both count once: both corrected "teh" to "the", and it says
"the". Pure insertions between words are kept from both sides, even when alike: two people have typed.
"""

from __future__ import annotations

from rightfit_sync.text.apply import apply
from rightfit_sync.text.diff import diff_spans
from rightfit_sync.text.spans import Span, operation_of
from rightfit_sync.text.transform import transform
from rightfit_sync.text.word_change import word_changes


def merge(base: str, left: str, right: str) -> str:
    """The text with both edits. Equal texts are their own merge."""
    if left in (base, right):
        return right
    if right == base:
        return left
    own, other = diff_spans(base, left), diff_spans(base, right)
    if len(own) == len(other) == 1:
        first, second = (other[0], own[0]) if _comes_before(other[0], own[0]) else (own[0], other[0])
        if first.end <= second.start:
            return _replace_two(base, first, second)
    fresh = _without_repeated(base, own, other)
    return apply(transform(operation_of(fresh, base), operation_of(own, base), side="right"), left)


def _comes_before(span: Span, other: Span) -> bool:
    """Whether `span` lies before `other` and does not begin at the same place, where the side decides."""
    return span.end <= other.start and span.start < other.start


def _replace_two(base: str, first: Span, second: Span) -> str:
    """The usual case, somebody typing here and somebody there, by slicing alone."""
    between = base[first.end : second.start]
    return base[: first.start] + first.inserted + between + second.inserted + base[second.end :]


def _without_repeated(base: str, own: list[Span], other: list[Span]) -> list[Span]:
    """The spans of `other` less those which make of the same words what `own` makes of them."""
    known = {change[:3]: change for change in word_changes(base, own)}
    return [
        span
        for change in word_changes(base, other)
        if change[:3] not in known or not change.is_same_as(known[change[:3]])
        for span in change.spans
    ]
