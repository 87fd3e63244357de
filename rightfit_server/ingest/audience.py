"""Who sees an entity after a push: its own tags, and those that its neighbours lend or leave to it.

A push may change the audience of entities that it does not touch: a work order given to another
contractor lends its property to him and no longer to the former one; its comments follow. Those
neighbours are locked, their tags are gathered anew, and where they changed they get a new place in the
feed. Each step is one query for all of them.

Source: docs/explanation/semantics.md, section 7; `rightfit_sync.audience`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from rightfit_server.ports.storage import IngestTransaction, StoredEntity
from rightfit_sync.audience import lends, own_tags
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.records import Entity
from rightfit_sync.references import references
from rightfit_sync.schema.spec import ReferenceSpec, Schema


class Standing(msgspec.Struct, frozen=True):
    """What an entity means for its neighbours: its own tags, whether it lends them, what it refers to."""

    own: frozenset[str]
    is_lending: bool
    lent_to: frozenset[Key]
    inherited_from: frozenset[Key]


class Audiences(msgspec.Struct, frozen=True):
    """The own tags of each changed entity.

    And the neighbour tags of every entity for which they were gathered.
    """

    own: Mapping[Key, frozenset[str]]
    neighbours: Mapping[Key, frozenset[str]]
    reached: Mapping[Key, StoredEntity]


_NOBODY = Standing(frozenset(), is_lending=False, lent_to=frozenset(), inherited_from=frozenset())


def standing(entity: Entity, schema: Schema) -> Standing:
    """Return what `entity` means for its neighbours."""
    held = references(entity, schema)
    return Standing(
        own=own_tags(entity, schema),
        is_lending=lends(entity, schema),
        lent_to=frozenset((one.kind, one.entity_id) for one in held if one.spec.lends_audience),
        inherited_from=frozenset((one.kind, one.entity_id) for one in held if one.spec.inherits_audience),
    )


async def gather(
    transaction: IngestTransaction,
    changed: Mapping[Key, Entity],
    stored: Mapping[Key, StoredEntity],
    schema: Schema,
) -> Audiences:
    """Return the audiences that follow from `changed`, on top of what is `stored`."""
    if not _paths(schema, "lends_audience") and not _paths(schema, "inherits_audience"):
        return Audiences({key: own_tags(entity, schema) for key, entity in changed.items()}, {}, {})
    now = {key: standing(entity, schema) for key, entity in changed.items()}
    own = {key: one.own for key, one in now.items()}
    then = {key: standing(stored[key].entity, schema) if key in stored else _NOBODY for key in changed}
    concerned = _concerned(now, then)
    moved = [key for key in changed if now[key].own != then[key].own]
    inheriting = _paths(schema, "inherits_audience")
    if moved and inheriting:
        holders = await transaction.holders(moved, inheriting)
        concerned.update(holder for found in holders.values() for holder in found)
    concerned.update(key for key, one in now.items() if one.inherited_from.intersection(moved))
    reached = await transaction.lock(sorted(concerned - stored.keys() - changed.keys()))
    known = {**stored, **reached}
    present = [key for key in sorted(concerned) if key in changed or key in known]
    standings = {key: now[key] if key in now else standing(known[key].entity, schema) for key in present}
    inherited = await _inherited(transaction, standings, now)
    lent = await _lent(transaction, standings, now, _paths(schema, "lends_audience"))
    neighbours = {key: inherited[key] | lent[key] for key in present}
    return Audiences(own, neighbours, {key: known[key] for key in present if key not in changed})


def _concerned(now: Mapping[Key, Standing], then: Mapping[Key, Standing]) -> set[Key]:
    """Return whose neighbour tags may differ by what changed.

    Of the changed ones and of what they lend to.
    """
    concerned: set[Key] = set()
    for key, one in now.items():
        before = then[key]
        if before is _NOBODY or one.inherited_from != before.inherited_from:
            concerned.add(key)
        if (one.own, one.is_lending, one.lent_to) != (before.own, before.is_lending, before.lent_to):
            concerned |= one.lent_to | before.lent_to
    return concerned


def _paths(schema: Schema, word: str) -> list[Key]:
    """Return `(kind, field)` of every reference that has the trait `word`."""

    def has(reference: ReferenceSpec) -> bool:
        return reference.lends_audience if word == "lends_audience" else reference.inherits_audience

    return [
        (kind, path)
        for kind, spec in schema.kinds.items()
        for path, one in spec.references.items()
        if has(one)
    ]


async def _inherited(
    transaction: IngestTransaction, standings: Mapping[Key, Standing], now: Mapping[Key, Standing]
) -> dict[Key, frozenset[str]]:
    sources = {source for one in standings.values() for source in one.inherited_from}
    tags: dict[Key, Iterable[str]] = {key: now[key].own for key in sources & now.keys()}
    missing = sources - now.keys()
    if missing:
        tags.update(await transaction.own_tags(missing))
    return {
        key: frozenset(tag for source in one.inherited_from for tag in tags.get(source, ()))
        for key, one in standings.items()
    }


async def _lent(
    transaction: IngestTransaction,
    targets: Collection[Key],
    now: Mapping[Key, Standing],
    paths: Sequence[Key],
) -> dict[Key, frozenset[str]]:
    lent: dict[Key, set[str]] = {key: set() for key in targets}
    for one in now.values():
        for target in one.lent_to if one.is_lending else ():
            if target in lent:
                lent[target] |= one.own
    if paths and targets:
        for target, tags in (await transaction.lent_tags(targets, paths, now.keys())).items():
            lent[target] |= tags
    return {key: frozenset(tags) for key, tags in lent.items()}
