"""One sync, without I/O: which requests to send, and what to do with each answer.

`steps()` is a generator that yields a `Call` and is sent the `SyncResponse` to it, or is thrown the error
that came instead; whoever drives it decides how to wait (a thread, an event loop, a test). An answer is taken
in by one local transaction: receipts, the page and its cursor together.

| answer | what happens |
|---|---|
| receipts, a page | taken in; on while something is pending or the page said `more` |
| 413, or 400 and 422 to a push | the batch is halved; what is refused alone is set aside by name |
| 410 `cursor_expired` | what is pending is pushed without a page, then the copy is forgotten and rebuilt |
| a response too large to read | a smaller page is asked for |
| anything else | raised: the outbox stays as it is |

Faults B04, F10; docs/explanation/semantics.md, sections 6 and 7.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final

import msgspec

from rightfit_client.errors import RemoteError, RemoteProblem
from rightfit_client.layout import put_meta
from rightfit_client.limits import ROWS_PER_PAGE
from rightfit_client.status import Progress
from rightfit_client.store import SqliteStore
from rightfit_client.transport import TOO_LARGE_RESPONSE, Call
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX, PROTOCOL_VERSION, PUSH_BYTES_MAX
from rightfit_sync.records import Outcome, rejected
from rightfit_sync.replica import ReplicaCore, too_large
from rightfit_sync.wire.messages import Problem, SyncRequest, SyncResponse

LAST_SYNCED: Final = "last_synced_at"
_ENVELOPE_BYTES = 4_096
_TOO_LARGE = 413
_WHOLE = frozenset({400, _TOO_LARGE, 422})
"""Statuses that say "not this push as a whole": something smaller may pass."""


class Synced(msgspec.Struct, frozen=True):
    """What one sync came to: changes pushed, rows pulled, changes rejected or set aside on the way."""

    pushed: int = 0
    pulled: int = 0
    rejected: int = 0


class Exchange:
    """The state of one sync. `now` gives milliseconds since 1970 UTC; `report` is told after every answer."""

    def __init__(
        self,
        core: ReplicaCore,
        store: SqliteStore,
        now: Callable[[], int],
        report: Callable[[Progress], None],
    ) -> None:
        self._core = core
        self._store = store
        self._now = now
        self._report = report
        self._changes_max = CHANGES_PER_PUSH_MAX
        self._bytes_max = PUSH_BYTES_MAX - _ENVELOPE_BYTES
        self._rows_max = ROWS_PER_PAGE
        self._is_rebuilding = False
        self._is_probing = False
        self._has_probed = False
        self._pushed = self._pulled = self._rejected = 0
        self.authority_schema_version: int | None = None

    def steps(self, wait_seconds: int = 0) -> Generator[Call, SyncResponse, Synced]:
        """Sync until there is nothing more to send and to fetch; the last pull may wait for news."""
        while True:
            planned = [] if self._is_probing else self._plan()
            try:
                response = yield self._call(planned, 0 if planned else wait_seconds)
            except RemoteError as problem:
                self._shrink(problem, planned)
                continue
            goes_on = self._take(planned, response) or self._is_probing
            self._has_probed, self._is_probing = self._is_probing, False
            if not goes_on:
                return Synced(self._pushed, self._pulled, self._rejected)

    def _plan(self) -> list[Pushed]:
        with self._store.unit.lock:
            planned = self._core.plan_push(changes_max=self._changes_max, bytes_max=self._bytes_max)
            if self._is_rebuilding and not planned:
                self._core.resync()
                self._is_rebuilding = False
            return planned

    def _call(self, planned: Sequence[Pushed], wait_seconds: int) -> Call:
        rebuilding = self._is_rebuilding
        request = SyncRequest(
            protocol_version=PROTOCOL_VERSION,
            schema_version=self._core.schema.schema_version,
            changes=planned,
            cursor=None if rebuilding else self._store.state().cursor,
            rows_max=0 if rebuilding else self._rows_max,
        )
        return Call(request, wait_seconds)

    def _take(self, planned: Sequence[Pushed], response: SyncResponse) -> bool:
        """Take in an answer; return whether there is more to do."""
        self.authority_schema_version = response.schema_version
        answered = {receipt.dot for receipt in response.receipts} | {one.dot for one in response.deferred}
        if planned and not answered.intersection(pushed.change.dot for pushed in planned):
            detail = "the authority answered a push without a receipt for any of its changes"
            raise RemoteProblem(Problem("about:blank", "No receipts", 200, "no_receipts", detail))
        if not self._is_idle(response):
            self._apply(response)
        page = response.page
        self._pushed += len(response.receipts)
        self._pulled += 0 if page is None else len(page.rows)
        self._changes_max = min(self._changes_max * 2, CHANGES_PER_PUSH_MAX)
        self._bytes_max = min(self._bytes_max * 2, PUSH_BYTES_MAX - _ENVELOPE_BYTES)
        left = self._store.count_pending()
        self._report(Progress(self._pushed, left, self._pulled, 0 if page is None else page.remaining))
        return self._is_rebuilding or (page is not None and page.more) or (left > 0 and self._has_more())

    def _has_more(self) -> bool:
        with self._store.unit.lock:
            return bool(self._core.plan_push(changes_max=1, bytes_max=self._bytes_max))

    def _is_idle(self, response: SyncResponse) -> bool:
        """Whether the answer brings nothing at all, so that nothing need be written (and waited for)."""
        page, state = response.page, self._store.state()
        if page is None or response.receipts or response.deferred or page.rows or page.evicted:
            return False
        same_place = page.cursor == state.cursor and list(page.tags) == list(state.tags)
        same_authority = response.epoch == state.epoch and list(response.kinds) == list(
            state.authority_kinds or ()
        )
        return same_place and same_authority and not self._store.acknowledged()

    def _apply(self, response: SyncResponse) -> None:
        with self._store.transaction():
            self._core.take_authority(response.kinds, response.epoch)
            self._rejected += len(self._core.take_receipts(response.receipts))
            if response.deferred:
                self._core.take_deferred([one.dot for one in response.deferred])
            if response.page is not None:
                self._core.take_page(response.page)
            put_meta(self._store.unit.connection, LAST_SYNCED, str(self._now()))

    def _shrink(self, problem: RemoteError, planned: Sequence[Pushed]) -> None:
        """Make the next request smaller or other, so that it may pass; raise `problem` where it cannot."""
        if problem.code == "cursor_expired" and not self._is_rebuilding:
            self._is_rebuilding = True
        elif problem.code == TOO_LARGE_RESPONSE and self._rows_max > 1:
            self._rows_max //= 2
        elif problem.status in _WHOLE and planned:
            self._halve(problem, planned)
        else:
            raise problem

    def _halve(self, problem: RemoteError, planned: Sequence[Pushed]) -> None:
        transactions = {pushed.change.transaction_id or pushed.change.dot for pushed in planned}
        if len(transactions) > 1:
            self._changes_max = len(planned) // 2
            self._bytes_max = max(self._bytes_max // 2, 1)
            return
        if any(pushed.change.op == "void" for pushed in planned):
            raise problem
        if problem.status != _TOO_LARGE and not self._has_probed:
            # Before an edit is blamed, a request without any must pass: a proxy may refuse whatever comes.
            self._is_probing = True
            return
        for pushed in planned:
            self._core.set_aside(pushed.change.dot, _reason(problem, pushed))
        self._rejected += len(planned)


def _reason(problem: RemoteError, pushed: Pushed) -> Outcome:
    if problem.status == _TOO_LARGE:
        return too_large(len(msgspec.msgpack.encode(pushed)))
    return rejected(
        problem.code,
        f"the authority could not read this change ({problem}): change it and retry",
        problem.path,
    )
