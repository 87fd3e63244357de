"""Who refers to whom in a `MemoryAuthority`, and who sees what by that: searched, not indexed."""

from collections.abc import Mapping

from rightfit_sync.audience import audience, lends, own_tags
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.records import Entity
from rightfit_sync.references import references
from rightfit_sync.schema.spec import ReferenceSpec, Schema
from rightfit_sync.testing.held import Held


def referrers(records: Mapping[Key, Held], target: Key, schema: Schema) -> list[Key]:
    """Return the records that refer to `target`."""
    return [key for key, held in records.items() if target in _targets(held.entity, schema)]


def reached(records: Mapping[Key, Held], entity: Entity, schema: Schema) -> set[Key]:
    """Return the records whose audience may follow from `entity`."""
    inheriting = any(one.inherits_audience for one in _reference_specs(schema))
    holders = referrers(records, (entity.kind, entity.entity_id), schema) if inheriting else ()
    return _targets(entity, schema).union(holders)


def audience_of(records: Mapping[Key, Held], entity: Entity, schema: Schema) -> list[str]:
    """Return the tags that let a subject see `entity`: its own, those it inherits, those that are lent to it."""
    inherited: set[str] = set()
    for one in references(entity, schema):
        target = records.get((one.kind, one.entity_id))
        if one.spec.inherits_audience and target is not None:
            inherited |= own_tags(target.entity, schema)
    return audience(own_tags(entity, schema), inherited, _lent(records, entity, schema))


def _lent(records: Mapping[Key, Held], entity: Entity, schema: Schema) -> set[str]:
    lent: set[str] = set()
    lending = any(one.lends_audience for one in _reference_specs(schema))
    for held in records.values() if lending else ():
        for one in references(held.entity, schema):
            is_here = (one.kind, one.entity_id) == (entity.kind, entity.entity_id)
            if is_here and one.spec.lends_audience and lends(held.entity, schema):
                lent |= own_tags(held.entity, schema)
    return lent


def _targets(entity: Entity, schema: Schema) -> set[Key]:
    return {(one.kind, one.entity_id) for one in references(entity, schema)}


def _reference_specs(schema: Schema) -> list[ReferenceSpec]:
    return [one for kind in schema.kinds.values() for one in kind.references.values()]
