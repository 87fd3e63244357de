"""Carries out a text operation, or undoes it (grammar: operation.py).

Law: `apply(invert(operation), apply(operation, text)) == text`.
"""

from __future__ import annotations

from rightfit_sync.text.errors import OperationMismatchError
from rightfit_sync.text.operation import Component, Operation


def apply(operation: Operation, text: str) -> str:
    """The text after the operation.

    Raises `OperationMismatchError` where the operation does not fit: it keeps or deletes past the end, keeps
    a count below one, or deletes other text than there is.
    """
    pieces: list[str] = []
    position = 0
    for component in operation:
        if isinstance(component, str):
            pieces.append(component)
            continue
        end = _end(component, text, position)
        if isinstance(component, int):
            pieces.append(text[position:end])
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _end(component: int | tuple[str], text: str, position: int) -> int:
    """Where the component ends in `text`, if it fits there."""
    if isinstance(component, int):
        end = position + component
        if component < 1:
            raise OperationMismatchError(position, f"cannot keep {component} code points")
    else:
        end = position + len(component[0])
    if end > len(text):
        raise OperationMismatchError(
            position, f"reads {end - position} code points, the text has {len(text) - position} left"
        )
    if isinstance(component, tuple) and not text.startswith(component[0], position):
        raise OperationMismatchError(position, _disagreement(component[0], text[position:end]))
    return end


def _disagreement(deleted: str, found: str) -> str:
    return f"deletes {deleted[:40]!r}, the text has {found[:40]!r}"


def invert(operation: Operation) -> Operation:
    """The operation that undoes `operation`, on the text that it leaves. Inverting twice gives it back."""
    inverse: list[Component] = []
    for component in operation:
        if isinstance(component, int):
            inverse.append(component)
        elif isinstance(component, str):
            inverse.append((component,))
        elif inverse and isinstance(inverse[-1], tuple):
            # A replacement: the canonical form wants the insert, which was the delete, first.
            inverse.insert(-1, component[0])
        else:
            inverse.append(component[0])
    return tuple(inverse)
