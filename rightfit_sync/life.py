"""Life and death of an entity, from its life records.

A newer life record removes those that its author had seen. The entity is deleted when only deletes remain and
every dot in its fields was seen by one of them (dots of `server` fields do not count). A delete beside a concurrent
restore, or beside an edit that no delete saw, is a delete/edit conflict: the entity stays alive until a person
decides, or is deleted with the edit kept in the record where its kind says `on_delete_conflict="delete"`.

Source: docs/explanation/semantics.md, section 6.
"""

from collections.abc import Sequence

import msgspec

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.twins import NO_TWINS, Twins
from rightfit_sync.merge.registry import MisplacedPathError, rules_of
from rightfit_sync.records import Entity, LifeRecord
from rightfit_sync.schema.spec import KindSpec

LIFE_PATH = "life"
"""The path under which a delete/edit conflict is listed; no field may have this name."""


class Tombstone(msgspec.Struct, frozen=True):
    """What other systems and SQL see of a deleted entity; `deleted_at` in milliseconds since 1970 UTC."""

    deleted_at: int
    deleted_by_device_id: str


def with_record(life: Sequence[LifeRecord], record: LifeRecord, twins: Twins = NO_TWINS) -> list[LifeRecord]:
    """Return `life` with `record` added and those that its author had seen removed, sorted by dot."""
    kept = [known for known in life if not record.saw(known.dot, twins)]
    return sorted([*kept, record], key=lambda known: known.dot)


def unseen_dots(entity: Entity, kind: KindSpec) -> list[WrittenDot]:
    """Return the dots in the fields of `entity` that no delete had seen, sorted; empty without a delete."""
    deletes = [record for record in entity.life if record.op == "delete"]
    if not deletes:
        return []
    twins = entity.twins
    unseen: set[WrittenDot] = set()
    for path, siblings in entity.fields.items():
        for sibling in siblings:
            for dot in sibling.dots:
                if not _is_seen(dot, deletes, twins) and not _is_server_field(kind, path):
                    unseen.add(dot)
    return sorted(unseen)


def _is_seen(dot: WrittenDot, deletes: Sequence[LifeRecord], twins: Twins) -> bool:
    return any(record.saw(dot.dot, twins) for record in deletes)


def _is_server_field(kind: KindSpec, path: str) -> bool:
    try:
        return rules_of(kind).spec(path).merge == "server"
    except MisplacedPathError:
        return False


def delete_conflict(entity: Entity, kind: KindSpec) -> list[Dot] | None:
    """Return the dots that stand against each other in a delete/edit conflict, sorted, or None without one."""
    if not any(record.op == "delete" for record in entity.life):
        return None
    unseen = unseen_dots(entity, kind)
    if not unseen and not any(record.op == "restore" for record in entity.life):
        return None
    return sorted({*(record.dot for record in entity.life), *(dot.dot for dot in unseen)})


def is_deleted(entity: Entity, kind: KindSpec) -> bool:
    """Whether the entity is gone for the app."""
    if not any(record.op == "delete" for record in entity.life):
        return False
    return kind.on_delete_conflict == "delete" or delete_conflict(entity, kind) is None


def tombstone(entity: Entity, kind: KindSpec) -> Tombstone | None:
    """Return when and by which device a deleted entity was deleted (the newest delete), or None if it is alive."""
    if not is_deleted(entity, kind):
        return None
    newest = max((record.written_at, record.dot) for record in entity.life if record.op == "delete")
    return Tombstone(deleted_at=newest[0], deleted_by_device_id=newest[1].device_id)
