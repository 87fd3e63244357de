"""Finds an operation between two texts.

1. What both texts begin and end with is set aside. If one of the two rests is empty, or neither holds more
   than one token, that is the answer: a single span, found by slicing alone. Typing always ends here.
2. Otherwise the rests, widened to whole tokens, are compared line by line, what differs word by word, and
   what then differs token by token (Myers' greedy algorithm). A token is a run of letters and digits, or one
   other code point; the words are the tokens that are no white space, so that no space is matched at the cost
   of a word. A replaced word is replaced whole, and not mixed with the letters that old and new word happen
   to share; but a word edited in several places ("colour", "Colours") keeps the letters that stand between
   them, or somebody else's edit of those would be undone.
3. A comparison that exceeds `DIFF_STEPS_MAX` is given up for "everything here was replaced".

Where several places are equally good (an "l" inserted into "hello"), slide.py chooses. The result depends on
the two texts alone, not on platform, Python or Unicode version.

Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from rightfit_sync.limits import DIFF_LETTERS_MAX, DIFF_STEPS_MAX
from rightfit_sync.text.affixes import common_prefix, common_suffix
from rightfit_sync.text.matching import Budget, Hunk, hunks
from rightfit_sync.text.operation import Operation
from rightfit_sync.text.slide import settle
from rightfit_sync.text.spans import Span, operation_of
from rightfit_sync.text.words import IDEOGRAPH, SPACE

_MARKS: Final = r"\x00-\x08\x0e-\x1f!-/:-@\[-`{-\x84\x86-\x9f\u2010-\u2027"
_ALONE: Final = _MARKS + SPACE + IDEOGRAPH
_BREAK: Final = re.compile(f"[{_ALONE}]")
_LEVELS: Final = (
    re.compile(r"[^\n]*\n|[^\n]+"),
    re.compile(f"[{_MARKS}{IDEOGRAPH}]|[^{_ALONE}]+"),
    re.compile(f"[{_ALONE}]|[^{_ALONE}]+"),
)

Token: TypeAlias = re.Match[str]


def diff(before: str, after: str) -> Operation:
    """The operation that makes `after` of `before`: `apply(diff(before, after), before) == after`."""
    return operation_of(diff_spans(before, after), before)


def diff_spans(before: str, after: str) -> list[Span]:
    """The same as spans of `before`, from left to right."""
    span = _strip(before, after, 0)
    if span is None:
        return []
    shift = len(after) - len(before)
    if _is_simple(span, before):
        by_letters = _by_letters(before[span.start : span.end], span.inserted, span.start)
        return settle(before, by_letters or [span])
    start, end = _widen(before, span)
    new = after[start : end + shift]
    spans = _refine(before[start:end], new, start, Budget(DIFF_STEPS_MAX), _LEVELS)
    return settle(before, spans)


def _strip(before: str, after: str, offset: int) -> Span | None:
    """The span between what both begin and end with, or None where they are equal.

    `before` starts at `offset` of the text that the span counts in.
    """
    if before == after:
        return None
    start = common_prefix(before, after)
    tail = common_suffix(before, after, min(len(before), len(after)) - start)
    return Span(offset + start, offset + len(before) - tail, after[start : len(after) - tail])


def _is_simple(span: Span, before: str) -> bool:
    """Whether there is nothing to be gained from looking closer."""
    if span.start == span.end or not span.inserted:
        return True
    return not (_BREAK.search(span.inserted) or _BREAK.search(before, span.start, span.end))


def _widen(before: str, span: Span) -> tuple[int, int]:
    """The bounds of `span` in `before`, moved outwards to whole tokens."""
    start, end = span.start, span.end
    while start > 0 and not _BREAK.match(before, start - 1):
        start -= 1
    following = _BREAK.search(before, end)
    return start, following.start() if following else len(before)


def _refine(
    before: str, after: str, offset: int, budget: Budget, levels: Sequence[re.Pattern[str]]
) -> list[Span]:
    """Compare by the first of `levels`, and what differs by the next; `before` starts at `offset`."""
    whole = _strip(before, after, offset)
    if whole is None:
        return []
    if not before or not after:
        return [whole]
    if len(levels) <= 1:
        by_letters = _by_letters(before, after, offset)
        if by_letters is not None:
            return by_letters
    if not levels:
        return [whole]
    old, new = list(levels[0].finditer(before)), list(levels[0].finditer(after))
    found = hunks([token.group() for token in old], [token.group() for token in new], budget)
    if found is None:
        return [whole]
    spans: list[Span] = []
    for start, end, left, right in _gaps(len(before), len(after), _anchors(old, new, found)):
        spans += _refine(before[start:end], after[left:right], offset + start, budget, levels[1:])
    return spans


def _by_letters(before: str, after: str, offset: int) -> list[Span] | None:
    """Compare letter by letter; None unless this is plainly `before` with a few edits in it."""
    if not before or not after or len(before) + len(after) > DIFF_LETTERS_MAX:
        return None
    found = hunks(before, after, Budget(DIFF_LETTERS_MAX**2)) or []
    kept = len(before) - sum(hunk.old_end - hunk.old_start for hunk in found)
    if kept * 2 <= len(before) or kept < 2 * len(found):
        return None
    return [
        Span(offset + hunk.old_start, offset + hunk.old_end, after[hunk.new_start : hunk.new_end])
        for hunk in found
    ]


def _anchors(old: list[Token], new: list[Token], found: list[Hunk]) -> Iterator[tuple[Token, Token]]:
    """The tokens outside of all hunks, in pairs."""
    old_at = new_at = 0
    for hunk in (*found, Hunk(len(old), len(old), len(new), len(new))):
        yield from zip(old[old_at : hunk.old_start], new[new_at : hunk.new_start], strict=True)
        old_at, new_at = hunk.old_end, hunk.new_end


def _gaps(
    old_length: int, new_length: int, anchors: Iterator[tuple[Token, Token]]
) -> Iterator[tuple[int, int, int, int]]:
    """What lies between the anchors: `before[start:end]` stands against `after[left:right]`."""
    start = left = 0
    for old, new in anchors:
        if start < old.start() or left < new.start():
            yield start, old.start(), left, new.start()
        start, left = old.end(), new.end()
    if start < old_length or left < new_length:
        yield start, old_length, left, new_length
