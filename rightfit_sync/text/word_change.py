"""An edit seen as a person sees it: which words of the base became what.

A span touches a word if it removes or adds something inside it, or leaves something standing right against
it. So with the base "boiler leaks":

- "boilers leaks" touches "boiler", and makes it "boilers";
- "boiler, leaks" touches "boiler", and makes it "boiler,";
- "boiler now leaks" touches no word: "now " stands between white space and is a change by itself;
- "leaks" touches "boiler " and makes it nothing;
- "boilerleaks" touches both words.
"""

from __future__ import annotations

from typing import NamedTuple

from rightfit_sync.text.spans import Span
from rightfit_sync.text.words import joins, word_end, word_start


class WordChange(NamedTuple):
    """`base[start:end]`, in whole words, becomes `replacement`; the `spans` say how.

    `start == end` where something was inserted that touches no word.
    """

    start: int
    end: int
    replacement: str
    spans: tuple[Span, ...]

    def is_same_as(self, other: WordChange) -> bool:
        """Whether both put the same words in the place of the same words. Insertions are never the same."""
        return self.start < self.end and self[:3] == other[:3]


def word_changes(base: str, spans: list[Span]) -> list[WordChange]:
    """The spans, which are in order, grouped by the words that they share."""
    changes: list[WordChange] = []
    for span in spans:
        reach = changes[-1].end if changes else 0
        start = span.start if span.start < reach else _left_end(base, span)
        end = reach if span.end < reach else _right_end(base, span)
        if changes and start < reach:
            changes[-1] = _extend(base, changes[-1], span, end)
        else:
            replacement = base[start : span.start] + span.inserted + base[span.end : end]
            changes.append(WordChange(start, end, replacement, (span,)))
    return changes


def _extend(base: str, change: WordChange, span: Span, end: int) -> WordChange:
    """The change with one more span of the same word."""
    unchanged = change.replacement[: len(change.replacement) - (change.end - change.spans[-1].end)]
    kept = base[change.spans[-1].end : span.start]
    replacement = unchanged + kept + span.inserted + base[span.end : end]
    return WordChange(change.start, end, replacement, (*change.spans, span))


def words_touched(base: str, span: Span) -> int:
    """How many words beside the span it touches: 0, 1 or 2 (inside one word: 2)."""
    return _touches_left(base, span) + _touches_right(base, span)


def _left_end(base: str, span: Span) -> int:
    """Where the change begins: before the word on the left, if the span touches it."""
    return word_start(base, span.start) if _touches_left(base, span) else span.start


def _right_end(base: str, span: Span) -> int:
    """Where the change ends: behind the word on the right, if the span touches it."""
    return word_end(base, span.end) if _touches_right(base, span) else span.end


def _touches_left(base: str, span: Span) -> bool:
    before = base[max(span.start - 1, 0) : span.start]
    now = span.inserted[:1] or base[span.end : span.end + 1]
    return joins(before, now) or joins(before, base[span.start : span.start + 1])


def _touches_right(base: str, span: Span) -> bool:
    after = base[span.end : span.end + 1]
    now = span.inserted[-1:] or base[max(span.start - 1, 0) : span.start]
    return joins(now, after) or joins(base[max(span.end - 1, 0) : span.end], after)
