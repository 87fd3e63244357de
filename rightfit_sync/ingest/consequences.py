"""What the birth, death and revival of an entity mean for those that refer to it.

| what happened | a reference with | consequence |
|---|---|---|
| delete | `restrict`, its holder alive | the delete is rejected |
| delete | `cascade` | the authority deletes the holder, naming what brought it about |
| delete | `set_null` | the authority sets the reference to null |
| a reference is written | target unknown | rejected; an orphan, where somebody else's is shown there |
| a reference is written | target deleted | an orphan: a conflict of the holder |
| revival | | references to it are orphans no more; those that it holds to the dead are orphans |

Source: docs/explanation/semantics.md, section 6.
"""

from collections.abc import Mapping

from msgspec import UNSET

from rightfit_sync import changes as author
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.draft import Draft, next_counter
from rightfit_sync.ingest.snapshot import Key, Recorded
from rightfit_sync.life import is_deleted
from rightfit_sync.records import Change, Entity, Outcome, digest, rejected
from rightfit_sync.references import references
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value


class Consequences:
    """Works on a draft; `device_id` and `now` (milliseconds since 1970 UTC) are the authority's.

    `is_restored` says that records may be referred to before they are known here (see `offers`).
    """

    def __init__(self, schema: Schema, device_id: str, now: int, *, is_restored: bool = False) -> None:
        self._schema = schema
        self._device_id = device_id
        self._now = now
        self._is_restored = is_restored
        self._referred = {spec.kind for kind in schema.kinds.values() for spec in kind.references.values()}
        self._alone = {name for name, kind in schema.kinds.items() if not kind.references} - self._referred

    def follow(self, draft: Draft, before: Entity | None, change: Change) -> Outcome | None:
        """Carry out what `change`, already in the draft, brings about; return a rejection if it may not stand."""
        if change.kind in self._alone and (before is None or not before.life):
            # It refers to nobody, nobody refers to it, and it did not come back either.
            return None
        key = (change.kind, change.entity_id)
        after = draft.entity(key)
        if after is None:
            return None
        was_alive, is_alive = self._is_alive(before), self._is_alive(after)
        refused = self._check_references(draft, key, after, change)
        if refused is None and before is not None and is_alive and not was_alive:
            self._find_orphans(draft, key, after)
        if refused is not None or change.kind not in self._referred:
            return refused
        if was_alive and not is_alive:
            return self._died(draft, key)
        if is_alive and not was_alive and (before is not None or self._is_restored):
            self._revived(draft, key)
        return None

    def came_back(self, draft: Draft, before: Entity | None, key: Key) -> None:
        """See to references after a state of an entity, already in the draft, was joined in."""
        after = draft.entity(key)
        if after is None:
            return
        is_alive = self._is_alive(after)
        if is_alive:
            self._find_orphans(draft, key, after)
        if key[0] not in self._referred or is_alive == self._is_alive(before):
            return
        if is_alive:
            self._revived(draft, key)
        else:
            self._orphaned(draft, key)

    def _is_alive(self, entity: Entity | None) -> bool:
        return entity is not None and not is_deleted(entity, self._schema.kinds[entity.kind])

    def _check_references(self, draft: Draft, key: Key, after: Entity, change: Change) -> Outcome | None:
        kind = self._schema.kinds[after.kind]
        if not kind.references or not change.patches:
            return None
        touched = set(change.patches)
        for name in touched & set(kind.groups):
            touched.update(kind.groups[name].members)
        orphans = set(draft.orphans(key)) - touched
        for reference in references(after, self._schema):
            if reference.path not in touched:
                continue
            target = draft.entity((reference.kind, reference.entity_id))
            if target is None and reference.entity_id in _written(change, reference.path):
                message = (
                    f"{reference.path} names the {reference.kind} {reference.entity_id}, which does not exist"
                )
                return rejected("unknown_reference", f"{message}: create it first", reference.path)
            if not self._is_alive(target):
                orphans.add(reference.path)
        if orphans != set(draft.orphans(key)):
            draft.put(key, after, sorted(orphans))
        return None

    def _find_orphans(self, draft: Draft, key: Key, after: Entity) -> None:
        """Look at every reference of an entity that came back: what it names may have died meanwhile."""
        held = references(after, self._schema)
        gone = [one.path for one in held if not self._is_alive(draft.entity((one.kind, one.entity_id)))]
        if gone != list(draft.orphans(key)):
            draft.put(key, after, gone)

    def _died(self, draft: Draft, key: Key) -> Outcome | None:
        holders = [
            (holder, path) for holder, path in draft.referrers(key) if self._is_alive(draft.entity(holder))
        ]
        for holder, path in holders:
            if self._schema.kinds[holder[0]].references[path].on_delete == "restrict":
                # The holder's id is not told: whoever may delete the target need not be able to see the holder.
                message = f"{key[0]} {key[1]} is still named by {path} of a {holder[0]}: change that first"
                return rejected("restricted", message, path)
        for holder, path in holders:
            refused = self._reach(draft, holder, path, key)
            if refused is not None:
                return refused
        return None

    def _reach(self, draft: Draft, holder: Key, path: str, cause: Key) -> Outcome | None:
        entity = draft.entity(holder)
        if entity is None or not self._is_alive(entity):
            return None
        counter = next_counter(draft.authority_counter, self._now)
        stamp = author.Stamp(dot=Dot(self._device_id, counter), now=self._now)
        change: Change | None
        if self._schema.kinds[holder[0]].references[path].on_delete == "cascade":
            change = author.delete(entity, stamp, cascade_of=list(cause))
        else:
            change = author.edit(entity, {path: None}, stamp, self._schema)
        return None if change is None else self._write(draft, holder, entity, change)

    def _write(self, draft: Draft, key: Key, before: Entity, change: Change) -> Outcome | None:
        after, outcome = apply(before, change, self._schema)
        if outcome.status == "rejected" or after is None:
            return outcome
        draft.authority_counter = change.dot.counter
        draft.put(key, after)
        draft.recorded.append(Recorded(change, digest(change), outcome))
        return self.follow(draft, before, change)

    def _orphaned(self, draft: Draft, key: Key) -> None:
        for holder, path in draft.referrers(key):
            entity = draft.entity(holder)
            orphans = draft.orphans(holder)
            if entity is not None and self._is_alive(entity) and path not in orphans:
                draft.put(holder, entity, sorted([*orphans, path]))

    def _revived(self, draft: Draft, key: Key) -> None:
        for holder, path in draft.referrers(key):
            entity = draft.entity(holder)
            orphans = draft.orphans(holder)
            if entity is not None and path in orphans:
                draft.put(holder, entity, [orphan for orphan in orphans if orphan != path])


def _written(change: Change, path: str) -> list[Value]:
    """Return what `change` itself writes at a field that may be a group's member."""
    values = [patch.value for patch in change.patches.values() if patch.value is not UNSET]
    members = [value.get(path) for value in values if isinstance(value, Mapping)]
    plain = change.patches.get(path)
    return members if plain is None or plain.value is UNSET else [*members, plain.value]
