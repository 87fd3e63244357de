"""The service behind a push: load under locks, let the core decide, write everything, in one transaction.

A receipt repeats exactly, because it is read before anything is decided and written with what it stands
for. Where two transactions get into each other's way, the later one is done again from the start.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import time

import msgspec
import structlog

from rightfit_server.ingest.audience import Audiences, gather
from rightfit_server.ingest.loading import Loaded
from rightfit_server.ingest.permission import Permission
from rightfit_server.ingest.plan import Drawn
from rightfit_server.ingest.shape import check_push
from rightfit_server.ports.application import Application, Subject
from rightfit_server.ports.storage import (
    AudienceWrite,
    CommitPlan,
    ContentionError,
    EntityWrite,
    Identity,
    IngestTransaction,
    Pusher,
    Storage,
)
from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.decide import decide
from rightfit_sync.ingest.snapshot import Decision, NeedMore, Pushed, Receipt

ATTEMPTS_MAX = 8
"""How often a push is tried when others get into its way, before the device is told to come back later."""

_log = structlog.get_logger(__name__)


class Answer(msgspec.Struct, frozen=True):
    """What a push came to; `head` is the commit that it made, None if it wrote nothing new."""

    receipts: Sequence[Receipt]
    deferred: Sequence[Dot]
    epoch: str
    head: int | None


class Ingest:
    """Takes pushes in. `clock` returns the authority's time in milliseconds since 1970 UTC."""

    def __init__(
        self,
        storage: Storage,
        application: Application,
        clock: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._storage = storage
        self._application = application
        self._clock = clock

    async def push(self, identity: Identity, push: Sequence[Pushed]) -> Answer:
        """Decide about `push` and make the decision durable.

        Raises `RemoteError` where the push as a whole is refused, `ContentionError` where others were
        quicker again and again.
        """
        check_push(push)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                async with self._storage.ingest(identity.tenant_id) as transaction:
                    pusher = await transaction.pusher(identity)
                    return await self.take(transaction, identity, pusher, push)
            except ContentionError as contention:
                _log.info("push_again", attempt=attempt, reason=str(contention))
                await asyncio.sleep(0.01 * attempt)
        raise ContentionError("the same records are being changed by many: try again")

    async def take(
        self, transaction: IngestTransaction, identity: Identity, pusher: Pusher, push: Sequence[Pushed]
    ) -> Answer:
        """Do one push inside `transaction`; `pusher.device` is locked, and its changes are pushed."""
        subject = Subject(identity.tenant_id, identity.subject_id, pusher.viewer.tags)
        loaded = Loaded(transaction, self._application.schema, pusher, push)
        await loaded.begin()
        decision = self._decide(loaded, subject, push)
        while isinstance(decision, NeedMore):
            await loaded.add(decision)
            decision = self._decide(loaded, subject, push)
        head = None
        # A deferred change has spent its counter, too: those behind it would leave a gap otherwise.
        if decision.recorded or decision.device_counter > pusher.device.counter:
            plan = await self._plan(transaction, identity, pusher, loaded, decision)
            head = await transaction.commit(plan)
        epoch = pusher.viewer.position.epoch
        return Answer(decision.receipts, decision.deferred, epoch, head)

    def _decide(self, loaded: Loaded, subject: Subject, push: Sequence[Pushed]) -> Decision | NeedMore:
        permission = Permission(self._application, subject, loaded.stored)
        return decide(
            push,
            loaded.snapshot(),
            self._application.schema,
            authorize=permission.authorize,
            now=self._clock(),
        )

    async def _plan(
        self,
        transaction: IngestTransaction,
        identity: Identity,
        pusher: Pusher,
        loaded: Loaded,
        decision: Decision,
    ) -> CommitPlan:
        drawn = Drawn(decision, loaded.stored, self._application)
        audiences = await gather(transaction, decision.entities, loaded.stored, self._application.schema)
        return CommitPlan(
            device=pusher.device,
            position=pusher.viewer.position,
            subject_id=identity.subject_id,
            device_counter=decision.device_counter,
            authority_counter=decision.authority_counter,
            recorded=decision.recorded,
            entities=_entity_writes(decision, loaded, drawn, audiences),
            audiences=_audience_writes(audiences),
            opened=drawn.opened,
            closed=drawn.closed,
            effects=drawn.effects(),
        )


def _entity_writes(
    decision: Decision, loaded: Loaded, drawn: Drawn, audiences: Audiences
) -> list[EntityWrite]:
    writes = []
    for key in decision.entities:
        stored = loaded.stored.get(key)
        kept = () if stored is None else stored.neighbour_tags
        own, neighbours = audiences.own[key], frozenset(audiences.neighbours.get(key, kept))
        before = frozenset() if stored is None else stored.audience
        lost = before - own - neighbours
        writes.append(drawn.write(key, sorted(own), sorted(neighbours), lost))
    return writes


def _audience_writes(audiences: Audiences) -> list[AudienceWrite]:
    writes = []
    for key, stored in audiences.reached.items():
        neighbours = audiences.neighbours[key]
        if neighbours != frozenset(stored.neighbour_tags):
            present = neighbours.union(stored.own_tags)
            kept = {tag: seq for tag, seq in stored.lost_tags.items() if tag not in present}
            writes.append(AudienceWrite(key, sorted(neighbours), kept, sorted(stored.audience - present)))
    return writes
