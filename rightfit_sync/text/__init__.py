"""Text as operations on Unicode code points: find, apply, chain, undo, transform and merge them.

Source: docs/explanation/semantics.md, section 5 (policy `text`).
"""

from rightfit_sync.text.apply import apply, invert
from rightfit_sync.text.compose import compose
from rightfit_sync.text.diff import diff
from rightfit_sync.text.errors import MalformedOperationError, OperationMismatchError, TextError
from rightfit_sync.text.merge import merge
from rightfit_sync.text.operation import IDENTITY, Component, Operation, base_length, parse
from rightfit_sync.text.overlap import overlaps
from rightfit_sync.text.transform import Side, transform

__all__ = [
    "IDENTITY",
    "Component",
    "MalformedOperationError",
    "Operation",
    "OperationMismatchError",
    "Side",
    "TextError",
    "apply",
    "base_length",
    "compose",
    "diff",
    "invert",
    "merge",
    "overlaps",
    "parse",
    "transform",
]
