"""What can be wrong with a text operation.

Both errors are `ValueError`s: the operation came from outside (a patch's `ops`) and does not fit what it is
applied to. A caller that reads the wire turns them into a rejection of the one change that carried them
(fault B09 of docs/explanation/faults.md).
"""

from __future__ import annotations

from rightfit_sync.errors import RightFitError


class TextError(RightFitError, ValueError):
    """Any error of the text algebra."""


class MalformedOperationError(TextError):
    """A value is no operation in canonical form.

    `index` is the position of the offending component in the operation, `reason` a sentence for a person.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"component {index}: {reason}")
        self.index = index
        self.reason = reason


class OperationMismatchError(TextError):
    """A well-formed operation does not fit the text, or the other operation, that it meets.

    `position` counts code points from the start of that text, `reason` is a sentence for a person.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at code point {position}: {reason}")
        self.position = position
        self.reason = reason
