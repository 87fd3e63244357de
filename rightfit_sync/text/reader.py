"""Reads an operation piece by piece, so that two operations can be walked side by side.

Past its last component an operation keeps everything: `length` is then None, and `take` gives keeps.
"""

from __future__ import annotations

from rightfit_sync.text.operation import Component, Operation


class OperationReader:
    """A place in an operation: a component, and how much of it was taken already."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._index = 0
        self._offset = 0

    @property
    def component(self) -> Component | None:
        """The component to be read next, as a whole, or None past the end."""
        return self._operation[self._index] if self._index < len(self._operation) else None

    @property
    def at_insert(self) -> bool:
        """Whether an insert comes next."""
        return isinstance(self.component, str)

    @property
    def at_delete(self) -> bool:
        """Whether a delete comes next."""
        return isinstance(self.component, tuple)

    @property
    def length(self) -> int | None:
        """How many code points of the component are left; None past the end, where there is no bound."""
        component = self.component
        if component is None:
            return None
        if isinstance(component, int):
            return component - self._offset
        return len(component if isinstance(component, str) else component[0]) - self._offset

    def take(self, count: int | None = None) -> Component:
        """The next `count` code points of the component, or its rest. `count` is at most `length`."""
        component = self.component
        if component is None:
            return 0 if count is None else count
        start = self._offset
        length = self.length
        if count is None or count == length:
            self._index, self._offset = self._index + 1, 0
            end = None
        else:
            end = self._offset = start + count
        if isinstance(component, int):
            return (component if end is None else end) - start
        if isinstance(component, str):
            return component[start:end]
        return (component[0][start:end],)


def shorter(one: OperationReader, other: OperationReader) -> int | None:
    """The length over which both components go on unchanged; None where both are at their end."""
    if one.length is None or other.length is None:
        return other.length if one.length is None else one.length
    return min(one.length, other.length)
