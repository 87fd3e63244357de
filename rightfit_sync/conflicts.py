"""Conflicts: what is concurrent *and* not resolved by rule, computed from an entity alone.

| reason | path | what stands against each other |
|---|---|---|
| `siblings` | the field's path | its concurrent values |
| `removed_item` | `items/<id>` | the removal of an item and edits of its fields |
| `delete_edit` | `life` | a delete and edits or a restore that it had not seen |
| `invariant` | the invariant's name | the values of its fields |
| `orphan` | the reference's path | the holder and the delete of what it refers to |

A conflict's id is a hash of kind, entity, path and sorted dots: equal on every replica, and another one as soon as
the siblings change. An orphan's says so besides: it may stand beside the siblings of the same reference.
Source: docs/explanation/semantics.md, sections 5 and 6.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.invariants import broken
from rightfit_sync.life import LIFE_PATH, delete_conflict, is_deleted
from rightfit_sync.paths import is_inside
from rightfit_sync.records import Entity, LifeRecord, Sibling
from rightfit_sync.schema.spec import KindSpec, Schema
from rightfit_sync.values import Value
from rightfit_sync.view import assemble, values

Reason: TypeAlias = Literal["siblings", "removed_item", "delete_edit", "invariant", "orphan"]


class Conflict(msgspec.Struct, frozen=True, omit_defaults=True):
    """One open conflict.

    `siblings` are the values to choose from (of every field concerned), `life` the deletes and restores, `suggestion`
    a merged text that a person may take.
    """

    conflict_id: str
    kind: str
    entity_id: str
    path: str
    reason: Reason
    dots: Sequence[Dot]
    siblings: Sequence[Sibling] = ()
    life: Sequence[LifeRecord] = ()
    suggestion: str | None = None


def conflict_id(
    kind: str, entity_id: str, path: str, dots: Sequence[Dot], reason: Reason = "siblings"
) -> str:
    """Return 32 hexadecimal digits: the same on every replica for the same siblings. `dots` are sorted."""
    named = [kind, entity_id, path, dots, *(["orphan"] if reason == "orphan" else [])]
    return blake2b(msgspec.json.encode(named), digest_size=16).hexdigest()


def conflicts(entity: Entity, schema: Schema, orphans: Iterable[str] = ()) -> list[Conflict]:
    """Return the open conflicts of `entity`, sorted by path.

    `orphans` are the paths of references whose target is gone, which only a holder of all entities can know. A
    deleted entity has none, unless its kind keeps what the delete had not seen (`on_delete_conflict="delete"`).
    """
    kind = schema.kinds.get(entity.kind)
    if kind is None:
        return []
    found = []
    dots = delete_conflict(entity, kind) if entity.life else None
    if dots is not None:
        found.append(_conflict(entity, LIFE_PATH, "delete_edit", dots, life=entity.life))
    if not entity.life or not is_deleted(entity, kind):
        found.extend(_sibling_conflicts(entity))
        found.extend(_broken_invariants(entity, kind))
        for path in orphans:
            siblings = entity.fields.get(path, ())
            found.append(_conflict(entity, path, "orphan", _dots(siblings), siblings))
    return sorted(found, key=lambda conflict: (conflict.path, conflict.reason))


def is_surely_without(by_path: Mapping[str, Value], kind: KindSpec) -> bool:
    """Whether an entity that has one value at each path, and was never deleted, is in no conflict for certain.

    Then no siblings and no delete stand against each other. What is left are removed items, and invariants.
    """
    if None in by_path.values() and any(value is None and "/" in path for path, value in by_path.items()):
        return False
    return not kind.invariants or not any(broken(kind, assemble(by_path, kind)))


def _sibling_conflicts(entity: Entity) -> Iterable[Conflict]:
    # Hardly any record has one, so the paths are sorted only once some are found.
    suspected = [
        path
        for path, siblings in entity.fields.items()
        if len(siblings) > 1 or (siblings[0].value is None and "/" in path)
    ]
    for path in sorted(suspected):
        siblings = entity.fields[path]
        if len(siblings) > 1:
            yield _conflict(entity, path, "siblings", _dots(siblings), siblings)
        else:
            survivors = [
                one for inner, kept in sorted(entity.fields.items()) if is_inside(inner, path) for one in kept
            ]
            if survivors:
                beside = [*siblings, *survivors]
                yield _conflict(entity, path, "removed_item", _dots(beside), beside)


def _broken_invariants(entity: Entity, kind: KindSpec) -> Iterable[Conflict]:
    if not kind.invariants:
        return
    for name, invariant in broken(kind, values(entity, kind)):
        groups = [group for group, spec in kind.groups.items() if set(spec.members) & set(invariant.fields)]
        concerned = [
            sibling
            for path, siblings in sorted(entity.fields.items())
            if path.partition("/")[0] in (*invariant.fields, *groups)
            for sibling in siblings
        ]
        yield _conflict(entity, name, "invariant", _dots(concerned), concerned)


def _dots(siblings: Iterable[Sibling]) -> list[Dot]:
    return sorted({dot.dot for sibling in siblings for dot in sibling.dots})


def _conflict(
    entity: Entity,
    path: str,
    reason: Reason,
    dots: Sequence[Dot],
    siblings: Sequence[Sibling] = (),
    life: Sequence[LifeRecord] = (),
) -> Conflict:
    name = conflict_id(entity.kind, entity.entity_id, path, dots, reason)
    return Conflict(name, entity.kind, entity.entity_id, path, reason, dots, siblings, life)
