"""What a user interface shows about a replica: one word, the numbers behind it, and what to do.

The first word that fits:

| word | meaning |
|---|---|
| `needs_login` | the token was refused: edits are kept, nothing moves until somebody logs in |
| `needs_upgrade` | the authority no longer speaks this program's protocol |
| `needs_repair` | replica and authority disagree about the past (see `code`); edits are kept |
| `syncing` | an exchange is under way |
| `offline` | the authority was not reached at the last attempt |
| `problem` | the authority refused the last request (see `code`) |
| `rejected` | the authority refused changes: somebody should look at `rejected()` |
| `conflict` | two people disagree: somebody should look at `conflicts()` |
| `pending` | edits wait to be sent |
| `up_to_date` | everything has been sent and fetched |
"""

from typing import Literal, TypeAlias

import msgspec

from rightfit_client.errors import NeedsLogin, NeedsRepair, NeedsUpgrade, Offline
from rightfit_sync.errors import RightFitError
from rightfit_sync.exchange import Progress

State: TypeAlias = Literal[
    "needs_login",
    "needs_upgrade",
    "needs_repair",
    "syncing",
    "offline",
    "problem",
    "rejected",
    "conflict",
    "pending",
    "up_to_date",
]

_STOPPED: tuple[tuple[type[RightFitError], State], ...] = (
    (NeedsLogin, "needs_login"),
    (NeedsUpgrade, "needs_upgrade"),
    (NeedsRepair, "needs_repair"),
)


class Status(msgspec.Struct, frozen=True):
    """A replica at one moment. Times are milliseconds since 1970 UTC, on this device's clock.

    `authority_schema_version` is greater than `schema_version` where the authority knows more than this
    program.
    """

    state: State
    pending: int
    conflicts: int
    rejected: int
    last_synced_at: int | None
    code: str
    message: str
    progress: Progress | None
    device_id: str
    subject: str
    schema_version: int
    authority_schema_version: int | None


def state_of(
    problem: RightFitError | None, *, is_syncing: bool, rejected: int, conflicts: int, pending: int
) -> State:
    """Return the first word of the table that fits; `problem` is what ended the last attempt."""
    stopped = next((state for error, state in _STOPPED if isinstance(problem, error)), None)
    rules: tuple[tuple[bool, State], ...] = (
        (is_syncing, "syncing"),
        (isinstance(problem, Offline), "offline"),
        (problem is not None, "problem"),
        (rejected > 0, "rejected"),
        (conflicts > 0, "conflict"),
        (pending > 0, "pending"),
    )
    if stopped is not None:
        return stopped
    return next((state for holds, state in rules if holds), "up_to_date")
