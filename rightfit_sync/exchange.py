"""One sync, without I/O: which requests to send, and what to do with each answer.

`Exchange.steps()` is a generator that yields a `Call` and is sent the response to it, or is thrown the error
that came instead; whoever drives it decides how to wait (a thread, an event loop, a test). An answer is taken
in by one local transaction: receipts, the page and its cursor together.

| answer | what happens |
|---|---|
| receipts, a page | taken in; on while something is pending or the page said `more` |
| 413, or 400 and 422 to a push | the batch is halved; what is refused alone is set aside by name |
| `device_cloned` | a new device id, under which what is pending is said again |
| `epoch_changed`, `counter_gap` | the authority was restored: the same, and what it lacks is offered and sent again |
| `cursor_invalid`, `cursor_foreign` | it may have been restored: likewise |
| `cursor_expired` | what is pending is pushed, then the copy is compared with the authority's and mended |
| a response too large to read | a smaller page is asked for |
| rows left to this side, which comes to others | the receipts are taken in, the page is asked for again in full |
| a row offered in vain | `offer_refused` is raised, after everything else has been done |
| anything else | raised: the outbox stays as it is |

Faults B04, F05, F08, F10; docs/explanation/semantics.md, sections 6 to 8.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeAlias

import msgspec

from rightfit_sync.echo import completed
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import Page
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import (
    CHANGES_PER_PUSH_MAX,
    HEALINGS_PER_EXCHANGE_MAX,
    PROTOCOL_VERSION,
    PUSH_BYTES_MAX,
    ROWS_PER_PAGE,
)
from rightfit_sync.reconcile import Reconciled, Reconciliation
from rightfit_sync.records import Outcome, rejected
from rightfit_sync.replica import ReplicaCore, too_large
from rightfit_sync.store import Key
from rightfit_sync.wire.messages import ReconcileRequest, ReconcileResponse, SyncRequest, SyncResponse

RESPONSE_TOO_LARGE: Final = "response_too_large"
"""The code of the error that a driver throws in where it will not read a response of such a size."""

_ENVELOPE_BYTES = 4_096
_TOO_LARGE = 413
_WHOLE = frozenset({400, _TOO_LARGE, 422})
"""Statuses that say "not this push as a whole": something smaller may pass."""
_RESTORED = frozenset({"epoch_changed", "counter_gap", "cursor_invalid", "cursor_foreign"})
"""Answers of an authority that has lost a part of its past, or the keys or device ids that went with it."""


class Call(msgspec.Struct, frozen=True):
    """One request, and how many seconds the authority may hold it while it has nothing to bring."""

    request: SyncRequest | ReconcileRequest
    wait_seconds: int = 0


class Progress(msgspec.Struct, frozen=True):
    """How far a sync has come, in changes and rows; `remaining` is what the authority has still to send."""

    pushed: int = 0
    pending: int = 0
    pulled: int = 0
    remaining: int = 0


class Synced(msgspec.Struct, frozen=True):
    """What one sync came to: changes pushed, rows pulled, changes rejected or set aside on the way."""

    pushed: int = 0
    pulled: int = 0
    rejected: int = 0


Response: TypeAlias = SyncResponse | ReconcileResponse
Steps: TypeAlias = Generator[Call, Response, Synced]
Announce: TypeAlias = Callable[[Call], None]
"""Told of a request that will be asked for next, so that it can be on its way already; it may turn out otherwise."""


class Exchange:
    """The state of one sync.

    `rows_max` rows are asked for at once; `report` is told after every answer; `taken` is called inside each local
    transaction that takes an answer in.
    """

    def __init__(
        self,
        core: ReplicaCore,
        *,
        rows_max: int = ROWS_PER_PAGE,
        report: Callable[[Progress], None] = lambda _: None,
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._core = core
        self._store = core.store
        self._report = report
        self._taken = taken
        self._changes_max = CHANGES_PER_PUSH_MAX
        self._bytes_max = PUSH_BYTES_MAX - _ENVELOPE_BYTES
        self._rows_max = rows_max
        self._is_expired = False
        self._is_probing = False
        self._has_probed = False
        self._healings = 0
        self._takes_own = True
        self._refused: Sequence[Key] = ()
        self._pushed = self._pulled = self._rejected = 0
        self._announced: Call | None = None
        self.authority_schema_version: int | None = None
        self.announce: Announce | None = None

    def steps(self, wait_seconds: int = 0) -> Steps:
        """Sync until there is nothing more to send and to fetch; the last pull may wait for news.

        Raises the `RemoteError`s (and whatever else is thrown in) that nothing can be done about here.
        """
        while True:
            if self._store.state().must_reconcile:
                yield from self._reconcile()
                continue
            call = self._standing()
            is_on_its_way = call is not None
            if call is None:
                wanted = [] if self._is_probing else self._plan()
                if self._is_expired and not wanted:
                    self._core.begin_reconciling()
                    self._is_expired = False
                    continue
                request = self._request(wanted, self._store.state().cursor)
                call = Call(request, 0 if wanted else wait_seconds)
            planned = call.request.changes if isinstance(call.request, SyncRequest) else ()
            # The authority is at work: time to see what comes next.
            following = self._plan(planned) if planned and is_on_its_way else None
            try:
                response = yield call
            except RemoteError as problem:
                self._mend(problem, planned)
                continue
            goes_on = self._take(planned, response, following) or self._is_probing
            self._has_probed, self._is_probing = self._is_probing, False
            if not goes_on:
                self._tell_refused()
                return Synced(self._pushed, self._pulled, self._rejected)

    def _reconcile(self) -> Generator[Call, Response, None]:
        steps = Reconciliation(self._core, rows_max=self._rows_max).steps()
        request = next(steps)
        while True:
            try:
                response = yield Call(request)
            except RemoteError as problem:
                self._mend(problem, ())
                return
            if not isinstance(response, ReconcileResponse):
                raise _unexpected(response)
            try:
                request = steps.send(response)
            except StopIteration as end:
                reconciled: Reconciled = end.value
                self._refused = reconciled.refused
                return

    def _tell_refused(self) -> None:
        """Raise `RemoteError` where rows could not be given back; everything else has been done."""
        if self._refused:
            kind, entity_id = self._refused[0]
            message = (
                f"the authority does not know {kind} {entity_id} as its own: look at it, then repair (doctor)"
            )
            raise RemoteError("offer_refused", message, status=409, path=f"{kind}/{entity_id}")

    def _plan(self, answered: Sequence[Pushed] = ()) -> list[Pushed]:
        """Return what to push once the changes of `answered` need not be any more."""
        with self._store.reading():
            return self._core.plan_push(
                changes_max=self._changes_max,
                bytes_max=self._bytes_max,
                answered=frozenset(pushed.change.dot for pushed in answered),
            )

    def _request(self, planned: Sequence[Pushed], cursor: str | None) -> SyncRequest:
        return SyncRequest(
            protocol_version=PROTOCOL_VERSION,
            schema_version=self._core.schema.schema_version,
            device_id=self._store.state().device_id,
            changes=planned,
            cursor=cursor,
            rows_max=0 if self._is_expired else self._rows_max,
            takes_own=self._takes_own and bool(planned),
        )

    def _announced_after(
        self, planned: Sequence[Pushed], response: SyncResponse, following: Sequence[Pushed] | None
    ) -> Call | None:
        """Announce the request that follows `response`, which is still to be taken in, where that is plain to see.

        Then the authority works on the one while this side works on the other. Should the request turn out to be
        another, then the answer to the announced one counts as lost, and what it pushed is pushed again. `following`
        is what to push next as far as it was known when `response` was asked for.
        """
        page, announce = response.page, self.announce
        if announce is None or page is None or response.deferred or self._is_expired or self._is_probing:
            return None
        if not (planned or page.more) or not all(one.outcome.is_accepted for one in response.receipts):
            return None
        if following is None or not self._are_ours(following):
            following = self._plan(planned)
        if not following and not page.more:
            return None
        call = Call(self._request(following, page.cursor))
        announce(call)
        return call

    def _are_ours(self, planned: Sequence[Pushed]) -> bool:
        """Whether changes still have the device id that this side writes under: what is pending is said under it."""
        device_id = self._store.state().device_id
        return all(pushed.change.dot.device_id == device_id for pushed in planned[:1])

    def _standing(self) -> Call | None:
        """Return the request that was announced, unless it is another by now."""
        call, state = self._announced, self._store.state()
        self._announced = None
        if call is None or not isinstance(call.request, SyncRequest):
            return None
        is_same = (call.request.device_id, call.request.cursor) == (state.device_id, state.cursor)
        return call if is_same else None

    def _take(
        self, planned: Sequence[Pushed], response: Response, following: Sequence[Pushed] | None
    ) -> bool:
        """Take in an answer; return whether there is more to do."""
        if not isinstance(response, SyncResponse):
            raise _unexpected(response)
        self.authority_schema_version = response.schema_version
        answered = {receipt.dot for receipt in response.receipts} | {one.dot for one in response.deferred}
        if planned and not answered.intersection(pushed.change.dot for pushed in planned):
            message = "the authority answered a push without a receipt for any of its changes"
            raise RemoteError("no_receipts", message, status=200)
        self._announced = self._announced_after(planned, response, following)
        is_whole = self._is_idle(response) or self._apply(response, planned)
        page = response.page
        self._pushed += len(response.receipts)
        self._pulled += len(page.rows) if page is not None and is_whole else 0
        self._changes_max = min(self._changes_max * 2, CHANGES_PER_PUSH_MAX)
        self._bytes_max = min(self._bytes_max * 2, PUSH_BYTES_MAX - _ENVELOPE_BYTES)
        left = self._store.count_pending()
        self._report(Progress(self._pushed, left, self._pulled, 0 if page is None else page.remaining))
        if (
            self._is_expired
            or self._announced is not None
            or (page is not None and page.more)
            or not is_whole
        ):
            return True
        return left > 0 and self._has_more()

    def _has_more(self) -> bool:
        with self._store.reading():
            return bool(self._core.plan_push(changes_max=1, bytes_max=self._bytes_max))

    def _is_idle(self, response: SyncResponse) -> bool:
        """Whether the answer brings nothing at all, so that nothing need be written (and waited for)."""
        page, state = response.page, self._store.state()
        if page is None or response.receipts or response.deferred or page.rows or page.own or page.evicted:
            return False
        same_place = page.cursor == state.cursor and list(page.tags) == list(state.tags)
        same_authority = response.epoch == state.epoch and list(response.kinds) == list(
            state.authority_kinds or ()
        )
        return same_place and same_authority and not self._store.acknowledged()

    def _apply(self, response: SyncResponse, planned: Sequence[Pushed]) -> bool:
        """Take in an answer that brings something; return whether its page was among it."""
        with self._store.transaction(), self._core.refreshing_once():
            page = self._completed(response, planned)
            self._core.take_authority(response.kinds, response.epoch)
            self._rejected += len(self._core.take_receipts(response.receipts))
            if response.deferred:
                self._core.take_deferred([one.dot for one in response.deferred])
            if page is not None:
                self._core.take_page(page)
            self._taken()
        return page is not None or response.page is None

    def _completed(self, response: SyncResponse, planned: Sequence[Pushed]) -> Page | None:
        """Return the page with the rows that it leaves to this side; None where it has to be asked for in full."""
        page = response.page
        if page is None or not (page.own or page.own_digest):
            return page
        push = [pushed.change for pushed in planned]
        held = self._core.states({(change.kind, change.entity_id) for change in push})
        whole = completed(page, push, response.receipts, held, self._core.schema)
        if whole is None and not self._takes_own:
            raise RemoteError(
                "malformed_response", "the page leaves out rows that were asked for", status=200
            )
        # Where this side and the authority do not come to the same, nothing is left to this side again.
        self._takes_own = whole is not None
        return whole

    def _mend(self, problem: RemoteError, planned: Sequence[Pushed]) -> None:
        """Do what makes the next request pass; raise `problem` where nothing does."""
        if problem.code == "device_cloned":
            self._heal(problem)
            self._core.take_new_id()
        elif problem.code in _RESTORED:
            self._heal(problem)
            self._core.begin_reconciling(is_other_past=True)
        elif problem.code == "cursor_expired" and not self._is_expired:
            self._heal(problem)
            self._is_expired = True
        elif problem.code == RESPONSE_TOO_LARGE and self._rows_max > 1:
            self._rows_max //= 2
        elif problem.status in _WHOLE and planned:
            self._halve(problem, planned)
        else:
            raise problem

    def _heal(self, problem: RemoteError) -> None:
        self._healings += 1
        if self._healings > HEALINGS_PER_EXCHANGE_MAX:
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


def _unexpected(response: Response) -> RemoteError:
    return RemoteError("malformed_response", f"the answer is a {type(response).__name__}", status=200)


def _reason(problem: RemoteError, pushed: Pushed) -> Outcome:
    if problem.status == _TOO_LARGE:
        return too_large(len(msgspec.msgpack.encode(pushed)))
    return rejected(
        problem.code,
        f"the authority could not read this change ({problem}): change it and retry",
        problem.path,
    )
