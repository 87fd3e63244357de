"""What can go wrong *around* the core, split by whose fault it is.

Outcomes of the domain (a conflict, a duplicate, a rejected change) are values, see `records.Outcome`. Exceptions
are for mistakes: of the schema's author, of the local caller, or of the remote peer.
"""


class RightFitError(Exception):
    """Root of every exception that RightFit raises on purpose."""


class SchemaError(RightFitError, ValueError):
    """The schema contradicts itself; the message names kind, field and the way out."""


class LocalError(RightFitError, ValueError):
    """The local caller asked for something impossible (an edit of nothing, a value of the wrong type).

    `code` is a stable word for programs, `path` names the field (or is empty), the message is for people.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.path = path


class RemoteError(RightFitError):
    """The peer sent something that the protocol forbids; nothing of it was applied.

    `code` is a stable word for programs (`invalid_number`, `counter_gap`, ...), `status` the HTTP status that
    says the same, `path` names the offending part of the message (or is empty), `detail` holds facts for
    programs (`{"expected": 7}`).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        path: str = "",
        detail: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.path = path
        self.detail = detail or {}
