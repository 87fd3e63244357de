"""Carries an operation over a concurrent one: operational transformation.

Both operations were made on one base. With `a` to the left of `b`, TP1 holds:

    apply(transform(b, a, side="right"), apply(a, base))
    == apply(transform(a, b, side="left"), apply(b, base))

Read as one rule for both: before each code point of the base stand left's insert, then right's; the code
point itself remains unless one of them deletes it. So an insert is never lost to the other's delete, and what
both delete is deleted once.
"""

from __future__ import annotations

from typing import Literal

from rightfit_sync.text.builder import OperationBuilder
from rightfit_sync.text.errors import OperationMismatchError
from rightfit_sync.text.operation import Component, Operation
from rightfit_sync.text.reader import OperationReader, shorter

Side = Literal["left", "right"]


def transform(operation: Operation, against: Operation, *, side: Side) -> Operation:
    """What `operation` has to do once `against` was done.

    `side` is the side of `operation`: of two inserts at one position, left's comes first. Raises
    `OperationMismatchError` if both delete the same code points but disagree on what they are.
    """
    own, other = OperationReader(operation), OperationReader(against)
    builder = OperationBuilder()
    position = 0
    while own.component is not None:
        if other.at_insert and not (own.at_insert and side == "left"):
            builder.keep(other.length or 0)
            other.take()
        elif own.at_insert:
            builder.insert(str(own.take()))
        else:
            count = shorter(own, other)
            _carry(own.take(count), other.take(count), position, builder)
            position += count or 0
    return builder.finish()


def _carry(own: Component, other: Component, position: int, builder: OperationBuilder) -> None:
    """Emit what is left of a keep or delete, where the other side keeps or deletes the same code points."""
    if isinstance(own, int):
        builder.keep(own if isinstance(other, int) else 0)
    elif isinstance(other, int):
        builder.delete(own[0])
    elif own != other:
        raise OperationMismatchError(
            position, f"one side deletes {own[0][:40]!r}, the other {other[0][:40]!r}"
        )
