"""The service behind offers: what devices hold of a past that a restore has lost comes back in.

| offer | answer |
|---|---|
| its seal is not ours, or of another tenant, or of another state | `seal_invalid` |
| of a kind that the schema does not have | `schema_ahead` |
| of a record whose tombstone was collected | none: nothing comes back by itself |
| else | joined with what is here, in one commit |

Source: docs/explanation/semantics.md, section 8; `rightfit_sync.ingest.offers`.
"""

from collections.abc import Callable, Sequence

from rightfit_server.feed.cursors import Seals
from rightfit_server.ingest.commit_plan import commit_plan
from rightfit_server.ingest.loading import Loaded
from rightfit_server.ingest.service import Guard, again_while_contended, now_ms
from rightfit_server.ingest.shape import is_storable_name
from rightfit_server.ports.application import Application
from rightfit_server.ports.storage import Identity, IngestTransaction, Pusher, Storage
from rightfit_sync.ingest.offers import take_offers
from rightfit_sync.ingest.snapshot import Decision
from rightfit_sync.records import Entity
from rightfit_sync.wire.messages import Offer, Refused


class Offers:
    """Takes offers in. `clock` returns the authority's time in milliseconds since 1970 UTC."""

    def __init__(
        self, storage: Storage, application: Application, seals: Seals, clock: Callable[[], int] = now_ms
    ) -> None:
        self._storage = storage
        self._application = application
        self._seals = seals
        self._clock = clock

    async def take(self, identity: Identity, offers: Sequence[Offer], guard: Guard) -> Sequence[Refused]:
        """Join what `offers` bring into what is here; return those that are refused.

        Raises what `guard` raises, and `ContentionError` where others were quicker again and again.
        """
        genuine: list[Entity] = []
        refused: list[Refused] = []
        for offer in offers:
            code = self._problem(identity.tenant_id, offer)
            if code:
                refused.append(Refused(offer.entity.kind, offer.entity.entity_id, code))
            else:
                genuine.append(offer.entity)

        async def attempt() -> None:
            async with self._storage.ingest(identity.tenant_id) as transaction:
                pusher = await transaction.pusher(identity)
                await guard(transaction, pusher.viewer)
                if genuine:
                    await self._join(transaction, identity, pusher, genuine)

        await again_while_contended(attempt)
        return refused

    def _problem(self, tenant_id: str, offer: Offer) -> str:
        entity = offer.entity
        is_named = is_storable_name(entity.kind) and is_storable_name(entity.entity_id)
        if not is_named or not self._seals.is_genuine(entity, offer.seal, tenant_id):
            return "seal_invalid"
        return "" if entity.kind in self._application.schema.kinds else "schema_ahead"

    async def _join(
        self, transaction: IngestTransaction, identity: Identity, pusher: Pusher, offered: Sequence[Entity]
    ) -> None:
        loaded = Loaded(transaction, self._application.schema, pusher, ())
        await loaded.begin_joining(offered)
        taken = [entity for entity in offered if (entity.kind, entity.entity_id) not in loaded.collected]
        decision = take_offers(taken, loaded.snapshot(), self._application.schema, now=self._clock())
        while not isinstance(decision, Decision):
            await loaded.add(decision)
            decision = take_offers(taken, loaded.snapshot(), self._application.schema, now=self._clock())
        if decision.entities:
            plan = await commit_plan(transaction, identity, pusher, loaded, decision, self._application)
            await transaction.commit(plan)
