"""Chooses between equally good places for what was inserted or removed.

"foo bar baz" became "foo baz": was it "bar " that went, " bar", or "r ba"? The text does not tell. The place
is taken where the fewest words are touched, for that is what a person did; of those the rightmost, for there
somebody types who goes on typing. So two people who remove the same word are seen to remove the same code
points, and whoever inserts a word is not seen to change the next one.
"""

from __future__ import annotations

from rightfit_sync.limits import DIFF_SLIDE_MAX
from rightfit_sync.text.spans import Span
from rightfit_sync.text.word_change import words_touched


def settle(text: str, spans: list[Span]) -> list[Span]:
    """The spans of `text`, each at its best place, in the same order and with something kept between them."""
    settled: list[Span] = []
    for index, span in enumerate(spans):
        floor = settled[-1].end + 1 if settled else 0
        ceiling = spans[index + 1].start - 1 if index + 1 < len(spans) else len(text)
        settled.append(span if span.inserted and span.start < span.end else _best(text, span, floor, ceiling))
    return settled


def _best(text: str, span: Span, floor: int, ceiling: int) -> Span:
    """The best place within `text[floor:ceiling]`, at most `DIFF_SLIDE_MAX` code points away."""
    for _ in range(DIFF_SLIDE_MAX):
        if span.end >= ceiling or _first(text, span) != text[span.end]:
            break
        span = Span(span.start + 1, span.end + 1, span.inserted[1:] + span.inserted[:1])
    best, fewest = span, words_touched(text, span)
    for _ in range(DIFF_SLIDE_MAX):
        if not fewest or span.start <= floor or _last(text, span) != text[span.start - 1]:
            break
        span = Span(span.start - 1, span.end - 1, span.inserted[-1:] + span.inserted[:-1])
        if words_touched(text, span) < fewest:
            best, fewest = span, words_touched(text, span)
    return best


def _first(text: str, span: Span) -> str:
    """The first code point of what is inserted or removed."""
    return span.inserted[0] if span.inserted else text[span.start]


def _last(text: str, span: Span) -> str:
    """The last code point of what is inserted or removed."""
    return span.inserted[-1] if span.inserted else text[span.end - 1]
