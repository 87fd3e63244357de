"""What can go wrong around a replica, split by whose fault it is.

| error | whose | way out |
|---|---|---|
| `LocalError` (from the core) | the caller's: a wrong value, an unknown entity | its message |
| `OpenError` | this file, for this program, now | its message |
| `StorageError` | the disk's: nothing of the edit was kept | make room, repair, call again |
| `Offline` | nobody's: the authority was not reached | later; edits wait in the outbox |
| `NeedsLogin` | the token's | a new token for the same subject |
| `NeedsUpgrade` | this program's age | a newer one |
| `NeedsRepair` | replica and authority cannot agree about the past by themselves (rare) | see `code` |
| `RemoteProblem` | the request's | its `remedy` |
"""

from rightfit_sync.errors import LocalError, RemoteError, RightFitError
from rightfit_sync.wire.messages import Problem

__all__ = [
    "LocalError",
    "NeedsLogin",
    "NeedsRepair",
    "NeedsUpgrade",
    "Offline",
    "OpenError",
    "RemoteError",
    "RemoteProblem",
    "ReplicaInUse",
    "RightFitError",
    "StorageError",
    "problem_error",
    "told_by_the_core",
]

UPGRADE_STATUS = 426
LOGIN_STATUS = 401
OFFER_REFUSED = "offer_refused"
REPAIR_CODES = frozenset(
    {
        "device_cloned",
        "counter_gap",
        "epoch_changed",
        "cursor_expired",
        "cursor_invalid",
        "cursor_foreign",
        OFFER_REFUSED,
        "wrong_device",
    }
)
UPGRADE_CODES = frozenset({"protocol_unsupported", "protocol_too_old", "upgrade_required"})


class OpenError(LocalError):
    """This file cannot be opened as a replica now; nothing was changed.

    `code`: `sqlite_too_old`, `not_a_replica`, `newer_format`, `in_use`, `other_subject`, `other_device`,
    `schema_older`, `older_format`, `needs_schema`, `needs_device`, `name_taken`, `unreachable`, `missing`,
    `marker_unusable`.
    """


class ReplicaInUse(OpenError):  # noqa: N818 - it reads as what it says.
    """Another process (or another `Replica` of this one) has the file open for writing."""


class StorageError(RightFitError):
    """The file could not be written or read; nothing of the edit was kept.

    `code`: `disk_full`, `io_error`, `doomed` (a part of the transaction failed), `corrupt` (the file is damaged:
    `Replica.salvage`), `busy` (another connection holds the file too long), `read_only`, `constraint` (an
    application's own unique index on a view table).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Offline(RightFitError):  # noqa: N818 - as above.
    """The authority was not reached, or wants to be left alone for `retry_after_seconds` (None: unsaid)."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RemoteProblem(RemoteError):  # noqa: N818 - as above.
    """The authority refused a request. `path` names the field, `remedy` the way out."""

    def __init__(self, problem: Problem) -> None:
        detail: dict[str, object] = {} if problem.expected is None else {"expected": problem.expected}
        said = problem.detail or problem.title or problem.code
        super().__init__(problem.code, said, status=problem.status, path=problem.field, detail=detail)
        self.remedy = problem.remedy


class NeedsLogin(RemoteProblem):
    """The token is missing, expired or revoked, and the token callback gave no better one."""


class NeedsUpgrade(RemoteProblem):
    """The authority does not speak this program's protocol any more."""


class NeedsRepair(RemoteProblem):
    """Replica and authority disagree about the past, and a sync could not mend it. The outbox is kept.

    Copied files, restored phones and restored authorities heal by themselves, so this is rare:

    - `offer_refused`: the authority lost a record and does not take it back from here, because its seal is
      not genuine (this file was damaged, or the authority lost its keys). Everything else has been synced;
      `Replica.verify` lists such records, `Replica.verify(repair=True)` forgets them. It is raised once, and the
      status says so until it is dealt with;
    - `wrong_device`: the token is for another replica;
    - `device_cloned`, `counter_gap`, `epoch_changed`, `cursor_expired`, `cursor_invalid`, `cursor_foreign`:
      healing was tried `HEALINGS_PER_EXCHANGE_MAX` times in one sync and never lasted.
    """


def problem_error(problem: Problem) -> RemoteProblem:
    """Return the error that stands for a problem document."""
    if problem.status == LOGIN_STATUS:
        return NeedsLogin(problem)
    if problem.status == UPGRADE_STATUS or problem.code in UPGRADE_CODES:
        return NeedsUpgrade(problem)
    if problem.code in REPAIR_CODES:
        return NeedsRepair(problem)
    return RemoteProblem(problem)


def told_by_the_core(error: RemoteError) -> RemoteProblem:
    """Return what the core itself has to say about an answer, as an error of ours."""
    remedy = "rightfit replica doctor --verify --repair" if error.code == OFFER_REFUSED else ""
    return problem_error(
        Problem("about:blank", error.code, error.status, error.code, str(error), error.path, remedy=remedy)
    )
