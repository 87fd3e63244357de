"""An operation seen from its base: the places that it changes, and what becomes of each."""

from __future__ import annotations

from typing import NamedTuple

from rightfit_sync.text.builder import OperationBuilder
from rightfit_sync.text.operation import Operation


class Span(NamedTuple):
    """`base[start:end]` becomes `inserted`. One of the two may be empty, never both."""

    start: int
    end: int
    inserted: str


def operation_of(spans: list[Span], text: str) -> Operation:
    """The operation that changes `text` at these spans, which are sorted and do not overlap."""
    builder = OperationBuilder()
    position = 0
    for span in spans:
        builder.keep(span.start - position)
        builder.insert(span.inserted)
        builder.delete(text[span.start : span.end])
        position = span.end
    return builder.finish()
