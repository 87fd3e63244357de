r"""Decides whether two concurrent edits meet in the same words, so that a person should look.

They do if, for a change of words on each side (word_change.py) that is not the very same on both,

- both touch one word of the base; or
- one inserts inside of what the other removes or replaces; or
- what both leave would stand together without white space between, as one word that nobody wrote.

With the base "boiler leaks":

    "boiler drips"         "boiler leaked"         yes: both changed "leaks"
    "boilers leaks"        "boiler leaked"         no
    "the boiler leaks"     "boiler leaks badly"    no
    "boiler leaks."        "boiler leaks again"    yes: does the full stop belong to "leaks" or to "again"?
    "boiler leaks. Sent."  "boiler leaks. Ours."   no: both sentences are kept, left's first
    "boiler leaks\n- Ann"  "boiler leaks\n- Bob"   no: both lines are kept, left's first
    "boiler"               "boiler often leaks"    yes: " leaks" is gone, and "often" was written inside of it
    "tap leaks"            "tap leaks badly"       no: both made a tap of the boiler

and with an empty base, "Ann" and "Bob" overlap: they would become "AnnBob".

The answer is the same with left and right exchanged.
"""

from __future__ import annotations

from rightfit_sync.text.diff import diff_spans
from rightfit_sync.text.word_change import WordChange, word_changes
from rightfit_sync.text.words import holds_word, joins


def overlaps(base: str, left: str, right: str) -> bool:
    """Whether the edits that made `left` and `right` of `base` touch the same words."""
    if left in (base, right) or right == base:
        return False
    theirs = word_changes(base, diff_spans(base, right))
    first = 0
    for own in word_changes(base, diff_spans(base, left)):
        while first < len(theirs) and theirs[first].end < own.start:
            first += 1
        for index in range(first, len(theirs)):
            if theirs[index].start > own.end:
                break
            if not own.is_same_as(theirs[index]) and _meet(base, own, theirs[index]):
                return True
    return False


def _meet(base: str, one: WordChange, other: WordChange) -> bool:
    """Whether two changes that are at least neighbours are about the same words."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    if start < end and holds_word(base, start, end):
        return True
    inside = start == end and (one.start < start < one.end or other.start < start < other.end)
    return inside or _tied(one, other) or _fuse(base, *sorted((one, other)))


def _tied(one: WordChange, other: WordChange) -> bool:
    """Whether two inserts at one place would make one word, in whichever order they come to stand."""
    return any(
        joins(span.inserted[-1:], rival.inserted[:1]) or joins(rival.inserted[-1:], span.inserted[:1])
        for span in one.spans
        for rival in other.spans
        if span.start == rival.start
    )


def _fuse(base: str, first: WordChange, second: WordChange) -> bool:
    """Whether the end of `first` and the beginning of `second`, now side by side, would become one word."""
    last = first.replacement[-1:] or base[max(first.start - 1, 0) : first.start]
    following = second.replacement[:1] or base[second.end : second.end + 1]
    return joins(last, following)
