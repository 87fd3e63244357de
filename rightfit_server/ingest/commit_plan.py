"""From a decision to the plan of its commit: what was drawn from it, with the audiences that follow."""

from collections.abc import Sequence
from functools import lru_cache

from rightfit_server.ingest.audience import Audiences, gather
from rightfit_server.ingest.loading import Loaded
from rightfit_server.ingest.plan import Drawn
from rightfit_server.ports.application import Application
from rightfit_server.ports.storage import (
    AudienceWrite,
    CommitPlan,
    EntityWrite,
    Identity,
    IngestTransaction,
    Pusher,
)
from rightfit_sync.ingest.snapshot import Decision


async def commit_plan(
    transaction: IngestTransaction,
    identity: Identity,
    pusher: Pusher,
    loaded: Loaded,
    decision: Decision,
    application: Application,
) -> CommitPlan:
    """Return everything that `decision` writes; audiences are gathered, and those concerned locked, on the way.

    Raises `EffectsError` where the application fails on one of the changes.
    """
    drawn = Drawn(decision, loaded.stored, application, pusher.device.device_id)
    effects = drawn.effects()
    audiences = await gather(transaction, decision.entities, loaded.stored, application.schema)
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
        effects=effects,
        joined=decision.joined,
    )


def _entity_writes(
    decision: Decision, loaded: Loaded, drawn: Drawn, audiences: Audiences
) -> list[EntityWrite]:
    writes = []
    for key in decision.entities:
        stored = loaded.stored.get(key)
        before = () if stored is None else (*stored.own_tags, *stored.neighbour_tags)
        kept = () if stored is None else stored.neighbour_tags
        own, neighbours = audiences.own[key], frozenset(audiences.neighbours.get(key, kept))
        lost = {tag for tag in before if tag not in own and tag not in neighbours}
        writes.append(drawn.write(key, _in_order(own), _in_order(neighbours), lost))
    return writes


@lru_cache(maxsize=4_096)
def _in_order(tags: frozenset[str]) -> Sequence[str]:
    """Return `tags` sorted: most records have those that many others have, too."""
    return tuple(sorted(tags))


def _audience_writes(audiences: Audiences) -> list[AudienceWrite]:
    writes = []
    for key, stored in audiences.reached.items():
        neighbours = audiences.neighbours[key]
        if neighbours != frozenset(stored.neighbour_tags):
            present = neighbours.union(stored.own_tags)
            kept = {tag: seq for tag, seq in stored.lost_tags.items() if tag not in present}
            gone = sorted(stored.audience - present)
            writes.append(AudienceWrite(key, stored.digest, sorted(neighbours), kept, gone))
    return writes
