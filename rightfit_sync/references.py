"""References between entities: which an entity holds, and which of them are orphans.

References are checked by the authority. A reference to something that never existed is rejected; one to something
that is deleted (by somebody whom the writer could not know of) is an orphan: a conflict, never an error that stops a
page. Source: docs/explanation/semantics.md, section 6.
"""

from typing import NamedTuple

from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import ReferenceSpec, Schema
from rightfit_sync.view import values


class Reference(NamedTuple):
    """One reference that an entity holds: the field, what it points at, and the declaration."""

    path: str
    kind: str
    entity_id: str
    spec: ReferenceSpec


def references(entity: Entity, schema: Schema) -> list[Reference]:
    """Return the references that `entity` holds, by field; those of a deleted entity too (a restore needs them)."""
    kind = schema.kinds.get(entity.kind)
    if kind is None or not kind.references:
        return []
    shown = values(entity, kind)
    found = ((name, shown.get(name), spec) for name, spec in sorted(kind.references.items()))
    return [
        Reference(name, spec.kind, target, spec) for name, target, spec in found if isinstance(target, str)
    ]
