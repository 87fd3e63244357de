"""The entities while a push goes in: what is loaded, what has changed, and what may be taken back."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from rightfit_sync.ingest.snapshot import Key, NeedMore, Recorded, Snapshot
from rightfit_sync.records import Entity
from rightfit_sync.references import references
from rightfit_sync.schema.spec import Schema


class MissingError(Exception):
    """The snapshot lacks something; control flow inside this room only, `decide` answers it with `NeedMore`."""

    def __init__(self, need: NeedMore) -> None:
        super().__init__()
        self.need = need


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A point to roll back to."""

    undo_length: int
    recorded_length: int
    authority_counter: int


def next_counter(spent: int, now: int) -> int:
    """Return the counter of the authority's next own change; `now` is its clock, milliseconds since 1970 UTC.

    It runs with the clock, so that after a restore that nobody noticed no counter of the lost past is used again.
    """
    return max(spent + 1, now)


class Draft:
    """An overlay on a snapshot, with a journal, so that a refused change or transaction leaves no trace."""

    def __init__(self, snapshot: Snapshot, schema: Schema) -> None:
        self._snapshot = snapshot
        self._schema = schema
        self._undo: list[tuple[Key, Entity | None, Sequence[str] | None]] = []
        self._orphans: dict[Key, Sequence[str]] = {}
        self.changed: dict[Key, Entity] = {}
        self.recorded: list[Recorded] = []
        self.authority_counter = snapshot.authority_counter

    def mark(self) -> Mark:
        """Return the present point."""
        return Mark(len(self._undo), len(self.recorded), self.authority_counter)

    def roll_back(self, mark: Mark) -> None:
        """Undo everything since `mark`."""
        while len(self._undo) > mark.undo_length:
            key, entity, orphans = self._undo.pop()
            _put_back(self.changed, key, entity)
            _put_back(self._orphans, key, orphans)
        del self.recorded[mark.recorded_length :]
        self.authority_counter = mark.authority_counter

    def entity(self, key: Key) -> Entity | None:
        """Return the entity as it stands; raise `MissingError` if the snapshot does not say."""
        if key in self.changed:
            return self.changed[key]
        if key not in self._snapshot.entities:
            raise MissingError(NeedMore(entities=[key]))
        return self._snapshot.entities[key]

    def put(self, key: Key, entity: Entity, orphans: Sequence[str] | None = None) -> None:
        """Replace the entity, and the paths of its orphaned references where they are given."""
        self._undo.append((key, self.changed.get(key), self._orphans.get(key)))
        self.changed[key] = entity
        if orphans is not None:
            self._orphans[key] = orphans

    def orphans(self, key: Key) -> Sequence[str]:
        """Return the paths of `key`'s references whose target is gone."""
        return self._orphans.get(key, self._snapshot.orphans.get(key, ()))

    def all_orphans(self) -> dict[Key, Sequence[str]]:
        """Return those paths of each changed entity, as far as it has any or had some."""
        if not self._orphans and not self._snapshot.orphans:
            return {}
        return {key: self.orphans(key) for key in self.changed}

    def referrers(self, key: Key) -> list[tuple[Key, str]]:
        """Return `(holder, path)` of every reference to `key` as things stand, sorted."""
        if key not in self._snapshot.referrers:
            raise MissingError(NeedMore(referrers=[key]))
        holders = {*self._snapshot.referrers[key], *self.changed}
        missing = [
            holder
            for holder in holders
            if holder not in self.changed and holder not in self._snapshot.entities
        ]
        if missing:
            raise MissingError(NeedMore(entities=sorted(missing)))
        found = []
        for holder in sorted(holders):
            entity = self.entity(holder)
            if entity is not None:
                found += [
                    (holder, reference.path)
                    for reference in references(entity, self._schema)
                    if (reference.kind, reference.entity_id) == key
                ]
        return found


_T = TypeVar("_T")


def _put_back(into: dict[Key, _T], key: Key, previous: _T | None) -> None:
    if previous is None:
        into.pop(key, None)
    else:
        into[key] = previous
