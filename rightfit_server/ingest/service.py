"""The service behind a push: load under locks, let the core decide, write everything, in one transaction.

A receipt repeats exactly, because it is read before anything is decided and written with what it stands
for. Where two transactions get into each other's way, the later one is done again from the start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time
from typing import TypeAlias, TypeVar

import msgspec
import structlog

from rightfit_server.feed.ahead import Written
from rightfit_server.feed.lineage import EpochChangedError
from rightfit_server.ingest.commit_plan import commit_plan
from rightfit_server.ingest.loading import Loaded
from rightfit_server.ingest.permission import Permission
from rightfit_server.ingest.plan import EffectsError
from rightfit_server.ingest.shape import NAME_LENGTH_MAX, check_push
from rightfit_server.ports.application import Application, Subject
from rightfit_server.ports.storage import (
    Chains,
    CommitPlan,
    ContentionError,
    Identity,
    IngestTransaction,
    Pusher,
    Storage,
    Viewer,
)
from rightfit_sync.causality.dot import Dot
from rightfit_sync.echo import own_changes
from rightfit_sync.ingest.decide import decide
from rightfit_sync.ingest.snapshot import Decision, Key, NeedMore, Pushed, Receipt

ATTEMPTS_MAX = 8
"""How often a push is tried when others get into its way, before the device is told to come back later."""

Guard: TypeAlias = Callable[[Chains, Viewer], Awaitable[object]]
"""Asked under the replica's lock, before anything of a push or an offer is looked at: what it raises refuses all."""

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def now_ms() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return int(time() * 1000)


async def again_while_contended(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Carry out `attempt`, again where others were quicker; raises `ContentionError` after `ATTEMPTS_MAX`."""
    for number in range(1, ATTEMPTS_MAX + 1):
        try:
            return await attempt()
        except ContentionError as contention:
            _log.info("push_again", attempt=number, reason=str(contention))
            await asyncio.sleep(0.01 * number)
    raise ContentionError("the same records are being changed by many: try again")


async def _anything(_transaction: Chains, _viewer: Viewer) -> None:
    """Refuse nothing."""


class Answer(msgspec.Struct, frozen=True):
    """What a push came to; `head` is the commit that it made, None if it wrote nothing new.

    `own` are the entities that it alone has moved on, as it said (see `rightfit_sync.echo`): the place of the last
    change of each, and the number that the row had before (0: none). `written` is what the feed says since, where that
    is known.
    """

    receipts: Sequence[Receipt]
    deferred: Sequence[Dot]
    epoch: str
    head: int | None
    own: Mapping[Key, tuple[int, int]] = {}
    written: Written | None = None


class Ingest:
    """Takes pushes in. `clock` returns the authority's time in milliseconds since 1970 UTC."""

    def __init__(
        self,
        storage: Storage,
        application: Application,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._storage = storage
        self._application = application
        self._clock = clock

    async def push(self, identity: Identity, push: Sequence[Pushed], guard: Guard = _anything) -> Answer:
        """Decide about `push` and make the decision durable.

        Raises `RemoteError` where the push as a whole is refused, also what `guard` raises; `ContentionError` where
        others were quicker again and again.
        """
        check_push(push)

        async def attempt() -> Answer:
            async with self._storage.ingest(identity.tenant_id) as transaction:
                pusher = await transaction.pusher(identity)
                await guard(transaction, pusher.viewer)
                _check_epoch(pusher)
                return await self.take(transaction, identity, pusher, push)

        return await again_while_contended(attempt)

    async def take(
        self, transaction: IngestTransaction, identity: Identity, pusher: Pusher, push: Sequence[Pushed]
    ) -> Answer:
        """Do one push inside `transaction`; `pusher.device` is locked, and its changes are pushed."""
        loaded = Loaded(transaction, self._application.schema, pusher, push)
        await loaded.begin()
        poison: dict[Dot, Exception] = {}
        plan: CommitPlan | None = None
        while True:
            decision = await self._decided(identity, pusher, loaded, push, poison)
            # A deferred change has spent its counter, too: those behind it would leave a gap otherwise.
            if not decision.recorded and decision.device_counter <= pusher.device.counter:
                break
            try:
                plan = await commit_plan(transaction, identity, pusher, loaded, decision, self._application)
            except EffectsError as error:
                poison[error.blamed(decision, pusher.device.device_id)] = error.failure
                continue
            break
        committed = None if plan is None else await transaction.commit(plan)
        _tell(identity, push, decision)
        epoch = pusher.viewer.position.epoch
        own = {
            key: (place, loaded.stored[key].seq if key in loaded.stored else 0)
            for key, place in own_changes(push, decision.recorded).items()
        }
        if plan is None or committed is None:
            return Answer(decision.receipts, decision.deferred, epoch, None, own)
        written = Written.of(plan, committed, pusher.viewer)
        return Answer(decision.receipts, decision.deferred, epoch, committed.head, own, written)

    async def _decided(
        self,
        identity: Identity,
        pusher: Pusher,
        loaded: Loaded,
        push: Sequence[Pushed],
        poison: Mapping[Dot, Exception],
    ) -> Decision:
        """Return the decision, in which changes in `poison` fail as their effects did."""
        subject = Subject(identity.tenant_id, identity.subject_id, pusher.viewer.tags)
        while True:
            decision = self._decide(loaded, subject, push, poison)
            if isinstance(decision, Decision):
                return decision
            await loaded.add(decision)

    def _decide(
        self, loaded: Loaded, subject: Subject, push: Sequence[Pushed], poison: Mapping[Dot, Exception]
    ) -> Decision | NeedMore:
        permission = Permission(self._application, subject, loaded.stored, poison)
        return decide(
            push,
            loaded.snapshot(),
            self._application.schema,
            authorize=permission.authorize,
            now=self._clock(),
        )


def _check_epoch(pusher: Pusher) -> None:
    """Refuse an id of another epoch.

    What it has spent in a past that is lost is not known here: it must not spend anything again.
    """
    if pusher.viewer.entered_epoch != pusher.viewer.position.epoch:
        raise EpochChangedError("device_id")


def _tell(identity: Identity, push: Sequence[Pushed], decision: Decision) -> None:
    if not decision.failures:
        return
    kinds = {pushed.change.dot: pushed.change.kind for pushed in push}
    for dot, failure in decision.failures.items():
        _log.error(
            "change_failed",
            tenant_id=identity.tenant_id,
            dot=str(dot),
            kind=kinds.get(dot, "")[:NAME_LENGTH_MAX],
            failure=failure,
        )
