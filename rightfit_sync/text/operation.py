"""The text operation: its grammar, its canonical form, and the one door through which foreign values enter.

    operation := [component, ...]
    component := n          keep the next n code points, n >= 1
               | "text"     insert text
               | ["text"]   delete text, which the base must have at this place

So `(3, "p!", ("lo",))` makes "help!" of "hello". In JSON and MessagePack it is `[3, "p!", ["lo"]]`; in Python
tuples take the place of arrays, so an operation is hashable and cannot change. A delete carries what it
deletes: that makes an operation invertible, and lets it notice a base that it was not made for.

Positions and lengths count Unicode code points (indices of a Python `str`), never bytes or UTF-16 units.

Canonical form, the only one accepted and the only one produced:

- no empty insert or delete, no keep below one;
- neighbours of one kind are merged;
- where an insert and a delete meet, the insert comes first;
- the last component is no keep: what is not mentioned is kept. So the identity is `()`.

Two operations which keep the same code points of their base and put the same texts between them are then
equal. The grammar follows ottypes/text-unicode, where deletes hold a length only.
"""

from __future__ import annotations

from itertools import pairwise

from rightfit_sync.text.errors import MalformedOperationError

Component = int | str | tuple[str]
Operation = tuple[Component, ...]

IDENTITY: Operation = ()


def parse(value: object) -> Operation:
    """Read an operation from plain lists or tuples, as JSON and MessagePack give them.

    Raises `MalformedOperationError` for anything but a canonical operation.
    """
    if not isinstance(value, list | tuple):
        raise MalformedOperationError(0, f"an operation is an array, not {type(value).__name__}")
    operation = tuple(_component(index, part) for index, part in enumerate(value))
    _check_order(operation)
    return operation


def _component(index: int, value: object) -> Component:
    if isinstance(value, bool):
        raise MalformedOperationError(index, "a boolean is no component")
    if isinstance(value, int):
        return _keep(index, value)
    if isinstance(value, str):
        return _text(index, value)
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str):
        return (_text(index, value[0]),)
    raise MalformedOperationError(index, 'a component is a count, "text" or ["text"]')


def _keep(index: int, count: int) -> int:
    if count < 1:
        raise MalformedOperationError(index, f"cannot keep {count} code points")
    return count


def _text(index: int, text: str) -> str:
    if not text:
        raise MalformedOperationError(index, "an insert or delete is empty")
    return text


def _check_order(operation: Operation) -> None:
    for index, (former, latter) in enumerate(pairwise(operation), start=1):
        if type(former) is type(latter):
            raise MalformedOperationError(index, "neighbours of one kind must be merged")
        if isinstance(former, tuple) and isinstance(latter, str):
            raise MalformedOperationError(index, "an insert comes before the delete at its place")
    if operation and isinstance(operation[-1], int):
        raise MalformedOperationError(len(operation) - 1, "a trailing keep must be left out")


def base_length(operation: Operation) -> int:
    """The least number of code points that a text must have for the operation to fit."""
    return sum(_consumed(component) for component in operation)


def _consumed(component: Component) -> int:
    if isinstance(component, int):
        return component
    return 0 if isinstance(component, str) else len(component[0])
