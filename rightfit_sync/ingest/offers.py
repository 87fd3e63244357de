"""`take_offers`: what devices hold of a past that the authority has lost comes back in.

After a restore from a backup, devices offer the states that the authority had given them (the adapter has checked
their seals, and that none was collected as a tombstone meanwhile). Each is joined with what the authority has now. No
change is made by that, so nobody is asked for permission and nothing cascades; a reference whose target is gone or has
not come back is an orphan until it does.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Sequence

from rightfit_sync.digests import canonical_state
from rightfit_sync.ingest.consequences import Consequences
from rightfit_sync.ingest.draft import Draft, MissingError
from rightfit_sync.ingest.snapshot import NO_PAST, Decision, NeedMore, Snapshot
from rightfit_sync.ingest.twins import rejoined
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import Schema


def take_offers(
    offers: Sequence[Entity], snapshot: Snapshot, schema: Schema, *, now: int
) -> Decision | NeedMore:
    """Return the decision about `offers`; `joined` are those that brought something new."""
    draft = Draft(snapshot, schema)
    consequences = Consequences(schema, snapshot.authority_device_id, now)
    joined: list[Entity] = []
    try:
        for offered in offers:
            key = (offered.kind, offered.entity_id)
            before = draft.entity(key)
            after = offered if before is None else rejoined(before, offered, snapshot.pasts.get(key, NO_PAST))
            if before is not None and canonical_state(before) == canonical_state(after):
                continue
            draft.put(key, after)
            consequences.came_back(draft, before, key)
            joined.append(offered)
    except MissingError as missing:
        return missing.need
    return Decision(
        receipts=(),
        recorded=(),
        entities=draft.changed,
        orphans=draft.all_orphans(),
        deferred=(),
        device_counter=snapshot.device.counter,
        authority_counter=snapshot.authority_counter,
        joined=joined,
    )
