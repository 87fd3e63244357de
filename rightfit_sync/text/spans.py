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


def spans_of(operation: Operation) -> list[Span]:
    """The spans of an operation, from left to right; between two of them at least one code point is kept."""
    spans: list[Span] = []
    position, inserted = 0, ""
    for component in operation:
        if isinstance(component, str):
            inserted = component
            continue
        if isinstance(component, int):
            if inserted:
                spans.append(Span(position, position, inserted))
            position += component
        else:
            spans.append(Span(position, position + len(component[0]), inserted))
            position = spans[-1].end
        inserted = ""
    if inserted:
        spans.append(Span(position, position, inserted))
    return spans


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
