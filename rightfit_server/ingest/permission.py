"""Whether a subject may make a change.

What it cannot see does not exist for it, then the application decides.

The answer to a change of an invisible entity is word for word that to a change of a missing one; so is
that to a reference to an invisible one. What the subject created in this push it sees for the rest of
the push, whatever audience the record ends up with. Fault T09 of docs/explanation/faults.md.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from rightfit_server.ingest.shape import name_problem
from rightfit_server.ports.application import Application, Subject
from rightfit_server.ports.storage import StoredEntity
from rightfit_sync.audience import own_tags
from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.records import Change, Entity, Outcome, rejected
from rightfit_sync.references import references
from rightfit_sync.schema.spec import KindSpec


class Permission:
    """The `authorize` of one decision; it remembers what the push has created so far.

    `poison` are changes whose effects the application could not name, each with what it raised.
    """

    def __init__(
        self,
        application: Application,
        subject: Subject,
        stored: Mapping[Key, StoredEntity],
        poison: Mapping[Dot, Exception],
    ) -> None:
        self._application = application
        self._subject = subject
        self._stored = stored
        self._poison = poison
        self._created: set[Key] = set()

    def authorize(self, before: Entity | None, change: Change) -> Outcome | None:
        """Return the rejection of `change` on `before`, or None; raises what the application could not cope with."""
        if self._poison and change.dot in self._poison:
            raise self._poison[change.dot]
        key = (change.kind, change.entity_id)
        refused = name_problem(change)
        if refused is None and before is not None:
            refused = self._hidden(key, before, change)
        if refused is None:
            refused = self._hidden_target(before, change)
        if refused is None:
            refused = self._application.authorize(self._subject, before, change)
        if refused is None and before is None and change.op == "create":
            self._created.add(key)
        return refused

    def _hidden(self, key: Key, before: Entity, change: Change) -> Outcome | None:
        if self._sees(key, before):
            return None
        if change.op == "create":
            return rejected("id_taken", f"{change.entity_id} cannot be used for this: make it with a new id")
        message = f"{change.kind} {change.entity_id} does not exist here: create it first"
        return rejected("unknown_entity", message)

    def _sees(self, key: Key, entity: Entity) -> bool:
        stored = self._stored.get(key)
        if key in self._created or stored is None:
            return True
        if entity is stored.entity:
            return not self._subject.tags.isdisjoint((*stored.own_tags, *stored.neighbour_tags))
        own = own_tags(entity, self._application.schema)
        return not self._subject.tags.isdisjoint((*own, *stored.neighbour_tags))

    def _hidden_target(self, before: Entity | None, change: Change) -> Outcome | None:
        kind = self._application.schema.kinds.get(change.kind)
        written = list(_written(change, kind)) if kind is not None and kind.references else []
        if not written:
            return None
        present = {} if before is None else self._present(before)
        for path, target in written:
            stored = self._stored.get(target)
            if stored is None or target in self._created or present.get(path) == target:
                continue
            if not self._sees(target, stored.entity):
                message = f"{path} names the {target[0]} {target[1]}, which does not exist: create it first"
                return rejected("unknown_reference", message, path)
        return None

    def _present(self, entity: Entity) -> dict[str, Key]:
        found = references(entity, self._application.schema)
        return {reference.path: (reference.kind, reference.entity_id) for reference in found}


def _written(change: Change, kind: KindSpec) -> Iterable[tuple[str, Key]]:
    """Return `(path, target)` of every reference that the change writes, alone or inside a group."""
    for path, patch in change.patches.items():
        members = {path: patch.value}
        if isinstance(patch.value, Mapping):
            members = cast("dict[str, object]", dict(patch.value))
        for name, value in members.items():
            reference = kind.references.get(name)
            if reference is not None and isinstance(value, str):
                yield name, (reference.kind, value)
