"""From a decision to what must be written: conflicts opened and closed, effects, references, documents.

Pure. Audience apart (it needs neighbours, see `audience`), everything follows from the decision and what
was loaded.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rightfit_server.ingest.document import document
from rightfit_server.ports.application import Application, Effect
from rightfit_server.ports.storage import (
    ConflictOpened,
    EffectWrite,
    EntityWrite,
    ReferenceRow,
    StoredEntity,
)
from rightfit_sync.apply import apply, plain_values
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict, conflicts, is_surely_without
from rightfit_sync.digests import canonical_state, digest_of_state
from rightfit_sync.ingest.snapshot import Decision, Key, Recorded
from rightfit_sync.life import tombstone
from rightfit_sync.records import Change, Entity
from rightfit_sync.references import references
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import encode_settled
from rightfit_sync.values import Value
from rightfit_sync.view import shown_values

_CHANGING = frozenset({"applied", "merged", "conflicted"})


class EffectsError(Exception):
    """The application failed to name the effects of one change; nothing was written."""

    def __init__(self, dot: Dot, failure: Exception) -> None:
        super().__init__(f"the effects of {dot}: {failure!r}")
        self.dot = dot
        self.failure = failure

    def blamed(self, decision: Decision, device_id: str) -> Dot:
        """Return the device's change to reject for it: the change itself, or the one whose consequence it is.

        Consequences are recorded before their cause.
        """
        dots = [recorded.change.dot for recorded in decision.recorded]
        return next(dot for dot in dots[dots.index(self.dot) :] if dot.device_id == device_id)


class Drawn:
    """What was drawn from a decision, to be completed with audiences; `device_id` is the device that asked for it."""

    def __init__(
        self,
        decision: Decision,
        stored: Mapping[Key, StoredEntity],
        application: Application,
        device_id: str,
    ) -> None:
        self._decision = decision
        self._stored = stored
        self._application = application
        self._device_id = device_id
        self._schema = application.schema
        self._by_key: dict[Key, list[Recorded]] = defaultdict(list)
        for recorded in decision.recorded:
            if recorded.outcome.status in _CHANGING:
                self._by_key[recorded.change.kind, recorded.change.entity_id].append(recorded)
        self.opened: list[ConflictOpened] = []
        self.closed: list[tuple[str, str]] = []
        self._suggestions: dict[Key, dict[str, str]] = {}
        for key in decision.entities:
            self._compare(key)

    def _compare(self, key: Key) -> None:
        stored, orphans = self._stored.get(key), self._decision.orphans.get(key, ())
        before = self._conflicts_before(stored)
        if not before and not orphans and self._brings_no_conflict(key):
            return
        after = _by_id(self._decision.entities[key], self._schema, orphans)
        recorded = self._by_key.get(key, ())
        device_id = recorded[-1].change.dot.device_id if recorded else self._device_id
        offered = dict(stored.suggestions) if stored is not None else {}
        for one in recorded:
            offered.update(one.outcome.suggestions)
        open_paths = {conflict.path for conflict in after.values() if conflict.reason == "siblings"}
        self._suggestions[key] = {path: text for path, text in offered.items() if path in open_paths}
        self.closed += [(name, device_id) for name in before if name not in after]
        self.opened += [
            ConflictOpened(conflict, device_id, self._suggestions[key].get(conflict.path))
            for name, conflict in after.items()
            if name not in before
        ]

    def _conflicts_before(self, stored: StoredEntity | None) -> dict[str, Conflict]:
        if stored is None:
            return {}
        values, kind = stored.undisputed, self._schema.kinds[stored.entity.kind]
        if values is not None and not stored.orphans and is_surely_without(values, kind):
            return {}
        return _by_id(stored.entity, self._schema, stored.orphans)

    def _brings_no_conflict(self, key: Key) -> bool:
        """Whether no conflict can have come to an entity that had none, as the outcomes of its changes tell.

        They do not tell of invariants whose fields nobody touched, of what a delete had hidden, of states joined in.
        """
        stored = self._stored.get(key)
        is_told = not self._schema.kinds[key[0]].invariants and not self._decision.joined
        has_hidden = stored is not None and bool(stored.entity.life)
        outcomes = [one.outcome.status for one in self._by_key.get(key, ())]
        return is_told and not has_hidden and bool(outcomes) and "conflicted" not in outcomes

    def effects(self) -> list[EffectWrite]:
        """Return the side effects of every change that was accepted for the first time, in its order.

        Raises `EffectsError` where the application fails on one.
        """
        return [
            EffectWrite(effect, recorded.change.dot)
            for key, queue in self._by_key.items()
            for before, after, recorded in self._steps(key, queue)
            for effect in self._effects_of(before, after, recorded.change)
        ]

    def _effects_of(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        try:
            return self._application.effects(before, after, change)
        except Exception as failure:
            raise EffectsError(change.dot, failure) from failure

    def _steps(self, key: Key, queue: Sequence[Recorded]) -> Iterable[tuple[Entity | None, Entity, Recorded]]:
        stored = self._stored.get(key)
        entity = None if stored is None else stored.entity
        for number, recorded in enumerate(queue, 1):
            # The history stands as it was applied, so folding it again gives the states between.
            is_last = number == len(queue)
            after = (
                self._decision.entities.get(key)
                if is_last
                else apply(entity, recorded.change, self._schema)[0]
            )
            if after is not None:
                yield entity, after, recorded
                entity = after

    def write(
        self, key: Key, own: Sequence[str], neighbour_tags: Sequence[str], lost: Iterable[str]
    ) -> EntityWrite:
        """Return the row of one changed entity.

        With the audience that it has now and the tags that it lost.
        """
        entity, stored = self._decision.entities[key], self._stored.get(key)
        kind = self._schema.kinds[entity.kind]
        gone = tombstone(entity, kind) if entity.life else None
        known = {} if stored is None else stored.lost_tags
        state, by_path = self._encoded(key, entity)
        orphans = self._decision.orphans.get(key, ())
        return EntityWrite(
            entity=entity,
            state=state,
            digest=digest_of_state(state, orphans),
            document=document(by_path, kind),
            own_tags=own,
            neighbour_tags=neighbour_tags,
            lost_tags={
                tag: seq for tag, seq in known.items() if tag not in own and tag not in neighbour_tags
            },
            newly_lost=sorted(lost),
            orphans=orphans,
            suggestions=self._suggestions.get(key, {}),
            is_new=stored is None,
            deleted_at=None if gone is None else gone.deleted_at,
            deleted_by_device_id=None if gone is None else gone.deleted_by_device_id,
            references=self._references(entity, stored) if kind.references else None,
        )

    def _encoded(self, key: Key, entity: Entity) -> tuple[bytes, Mapping[str, Value]]:
        """Return the state of `entity`, and the value that it shows at each path.

        What one plain create has made is told by that: its siblings need not be looked at.
        """
        recorded = [] if key in self._stored else self._by_key.get(key, [])
        if len(recorded) == 1:
            change = recorded[0].change
            written = plain_values(change)
            if written is not None:
                return encode_settled(change, written), written
        return canonical_state(entity), shown_values(entity)

    def _references(self, entity: Entity, stored: StoredEntity | None) -> Sequence[ReferenceRow] | None:
        """Return the references that `entity` holds, or None where they are what they were."""
        held = reference_rows(entity, self._schema)
        before = [] if stored is None else reference_rows(stored.entity, self._schema)
        return None if held == before else held


def reference_rows(entity: Entity, schema: Schema) -> list[ReferenceRow]:
    """Return the references that `entity` holds."""
    found = references(entity, schema)
    return [ReferenceRow(reference.path, (reference.kind, reference.entity_id)) for reference in found]


def _by_id(entity: Entity, schema: Schema, orphans: Iterable[str]) -> dict[str, Conflict]:
    return {conflict.conflict_id: conflict for conflict in conflicts(entity, schema, orphans)}
