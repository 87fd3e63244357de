"""Writes operations in canonical form (grammar: operation.py), whatever order the parts arrive in.

Invariant: while `_inserted` or `_deleted` hold anything, `_kept` is zero; all three are empty after `finish`.
"""

from __future__ import annotations

from rightfit_sync.text.operation import Component, Operation


class OperationBuilder:
    """Collects keeps, inserts and deletes from left to right; empty parts are ignored."""

    def __init__(self) -> None:
        self._components: list[Component] = []
        self._kept = 0
        self._inserted = ""
        self._deleted = ""

    def keep(self, count: int) -> None:
        """Go on behind `count` code points of the base."""
        if count:
            self._flush_change()
            self._kept += count

    def insert(self, text: str) -> None:
        """Put `text` here; before what is deleted here, if anything is."""
        if text:
            self._flush_keep()
            self._inserted += text

    def delete(self, text: str) -> None:
        """Remove `text`, which comes next in the base."""
        if text:
            self._flush_keep()
            self._deleted += text

    def finish(self) -> Operation:
        """The operation. A keep at its end is dropped: what is not mentioned is kept."""
        self._flush_change()
        self._kept = 0
        operation = tuple(self._components)
        self._components.clear()
        return operation

    def _flush_keep(self) -> None:
        if self._kept:
            self._components.append(self._kept)
            self._kept = 0

    def _flush_change(self) -> None:
        if self._inserted:
            self._components.append(self._inserted)
            self._inserted = ""
        if self._deleted:
            self._components.append((self._deleted,))
            self._deleted = ""
