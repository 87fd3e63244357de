"""Two operations in a row as one.

Laws: `apply(compose(a, b), text) == apply(b, apply(a, text))`; `compose` is associative, and `()` is its
unit.

Composing is not closed under transforming: what was inserted at two sides of a code point deleted meanwhile
has one place afterwards, so ties can fall differently. History is therefore never squashed before it is
transformed.
"""

from __future__ import annotations

from rightfit_sync.text.builder import OperationBuilder
from rightfit_sync.text.errors import OperationMismatchError
from rightfit_sync.text.operation import Component, Operation
from rightfit_sync.text.reader import OperationReader, shorter


def compose(first: Operation, second: Operation) -> Operation:
    """The operation that does `first`, then `second`.

    Raises `OperationMismatchError` where `second` deletes other text than `first` has inserted; the position
    counts in the text between the two.
    """
    made, used = OperationReader(first), OperationReader(second)
    builder = OperationBuilder()
    position = 0
    while made.component is not None or used.component is not None:
        if made.at_delete:
            _copy(made.take(), builder)
        elif used.at_insert:
            _copy(used.take(), builder)
        else:
            count = shorter(made, used)
            before, after = made.take(count), used.take(count)
            _chain(before, after, position, builder)
            position += count or 0
    return builder.finish()


def _copy(component: Component, builder: OperationBuilder) -> None:
    if isinstance(component, int):
        builder.keep(component)
    elif isinstance(component, str):
        builder.insert(component)
    else:
        builder.delete(component[0])


def _chain(before: Component, after: Component, position: int, builder: OperationBuilder) -> None:
    """Emit what `after` makes of a piece that `before` has kept or inserted."""
    if isinstance(after, int):
        _copy(before, builder)
    elif isinstance(before, int):
        _copy(after, builder)
    elif before != after[0]:
        raise OperationMismatchError(
            position, f"deletes {after[0][:40]!r}, the first operation inserts {str(before)[:40]!r}"
        )
