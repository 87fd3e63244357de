"""`apply`: the one function that changes an entity, on the authority and on every replica.

Pure, total and deterministic. The authority persists its result; a replica computes its view by folding it over its
outbox on top of the trunk. Receipts are looked up *before* (`ingest`); the check for a dot that the entity includes
already is a second guard.

Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rightfit_sync import text
from rightfit_sync.admission import check
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.twins import closed
from rightfit_sync.causality.version_vector import advance, includes
from rightfit_sync.field import FieldOp, How, less_dots, merge_field
from rightfit_sync.invariants import broken
from rightfit_sync.life import LIFE_PATH, delete_conflict, with_record
from rightfit_sync.limits import ABSENT_DOTS_MAX, SIBLINGS_PER_FIELD_MAX
from rightfit_sync.merge.registry import rules_of
from rightfit_sync.paths import is_inside
from rightfit_sync.records import Change, Entity, LifeRecord, Named, Outcome, Patch, Sibling, rejected
from rightfit_sync.schema.spec import KindSpec, Schema
from rightfit_sync.values import SCALARS, Value, one_spelling
from rightfit_sync.view import values as shown_fields

VOID = Outcome(status="void")
DUPLICATE = Outcome(status="duplicate")
APPLIED = Outcome(status="applied")
MERGED = Outcome(status="merged")


def apply(entity: Entity | None, change: Change, schema: Schema) -> tuple[Entity | None, Outcome]:
    """Return the entity after `change`, and what became of it.

    `entity` is None where nothing is known of it; then only a create brings it into being. A rejected, void or
    duplicate change returns `entity` itself.
    """
    if change.op == "void":
        return entity, VOID
    if entity is not None and _is_in(entity, change):
        return entity, DUPLICATE
    refused = check(entity, change, schema)
    if refused is not None:
        return entity, refused
    kind = schema.kinds[change.kind]
    written = plain_values(change) if entity is None else None
    if written is not None:
        return _born(change, written, kind)
    known = entity or Entity(
        kind=change.kind, entity_id=change.entity_id, version_vector={}, fields={}, life=[]
    )
    draft = _Draft(known, kind)
    for path, patch in change.patches.items():
        draft.patch(path, patch, change)
    after = Entity(
        kind=known.kind,
        entity_id=known.entity_id,
        version_vector=advance(known.version_vector, change.dot),
        fields=draft.fields,
        life=_life(known, change),
        aliases=_aliases(known, change),
        absent=_absent(known, change),
    )
    outcome = draft.outcome(after, change)
    return (entity, outcome) if outcome.status == "rejected" else (after, outcome)


def plain_values(change: Change) -> dict[str, Value] | None:
    """Return the value at each path of what a plain create makes of nothing; None where it takes more than that.

    It says nothing about its past, and no null: nearly every create. Every value stands, alone; all policies agree on
    that.
    """
    if change.op != "create" or change.was is not UNSET or change.absent is not UNSET:
        return None
    values = {path: patch.value for path, patch in change.patches.items()}
    types = set(map(type, values.values()))
    if type(None) in types:
        return None
    if types <= SCALARS:
        return values
    return {path: final_value(patch) for path, patch in change.patches.items()}


def _born(change: Change, values: Mapping[str, Value], kind: KindSpec) -> tuple[Entity, Outcome]:
    dots = [WrittenDot(change.dot.device_id, change.dot.counter, change.written_at)]
    born = Entity(
        kind=change.kind,
        entity_id=change.entity_id,
        version_vector={change.dot.device_id: change.dot.counter},
        fields={path: [Sibling(value, dots)] for path, value in values.items()},
        life=[],
    )
    violated = _violated(kind, born, change)
    return born, Outcome(status="conflicted", paths=violated) if violated else APPLIED


def _life(entity: Entity, change: Change) -> Sequence[LifeRecord]:
    if change.op not in {"delete", "restore"}:
        return entity.life
    record = LifeRecord(
        op=change.op,
        dot=change.dot,
        version_vector=change.base,
        written_at=change.written_at,
        cascade_of=change.cascade_of,
        absent=[dot for dot in entity.lacking if includes(change.base, dot)] or UNSET,
    )
    return with_record(entity.life, record, entity.twins)


def _is_in(entity: Entity, change: Change) -> bool:
    """Whether `change` is part of `entity`, under its own dot or another one."""
    if (
        change.dot.counter > 0
        and includes(entity.version_vector, change.dot)
        and not entity.lacks(change.dot)
    ):
        return True
    return change.was is not UNSET and any(one.was == change.was for one in entity.named)


def _aliases(entity: Entity, change: Change) -> Sequence[Named] | UnsetType:
    if change.was is UNSET:
        return entity.aliases
    return sorted([*entity.named, Named(change.dot, change.was)])


def _absent(entity: Entity, change: Change) -> Sequence[Dot] | UnsetType:
    if entity.absent is UNSET and change.absent is UNSET:
        return UNSET
    news = () if change.absent is UNSET else change.absent
    return sorted({*entity.lacking, *news} - {change.dot})[:ABSENT_DOTS_MAX] or UNSET


def final_value(patch: Patch) -> Value:
    """Return the value that `patch` wants, in its one spelling: `value`, or `ops` applied to `base`."""
    if patch.ops is UNSET:
        return None if patch.value is UNSET else one_spelling(patch.value)
    return text.apply(text.parse(patch.ops), patch.base if isinstance(patch.base, str) else "")


class _Draft:
    """The fields of an entity while the patches of one change go in, and what happened so far."""

    def __init__(self, entity: Entity, kind: KindSpec) -> None:
        self.fields: dict[str, Sequence[Sibling]] = dict(entity.fields)
        self._twins = entity.twins
        self._kind = kind
        self._hows: set[How] = set()
        self._paths: list[str] = []
        self._suggestions: dict[str, str] = {}

    def patch(self, path: str, patch: Patch, change: Change) -> None:
        """Take in one patch of `change`."""
        if self._twins and patch.replaced:
            patch = replace(patch, replaces=closed(patch.replaced, self._twins))
        policy = rules_of(self._kind).policy(path)
        dot = WrittenDot(change.dot.device_id, change.dot.counter, change.written_at)
        value = final_value(patch)
        merged = merge_field(policy, self.fields.get(path, ()), patch, value, dot, cast("FieldOp", change.op))
        if value is None and "/" in path:
            self._take_fields(path, patch)
        self._put(path, merged.siblings)
        self._hows.add(merged.how)
        if merged.how == "conflicted":
            self._paths.append(path)
        if merged.suggestion is not None:
            self._suggestions[path] = merged.suggestion

    def _put(self, path: str, siblings: Sequence[Sibling]) -> None:
        if siblings:
            self.fields[path] = siblings
        else:
            self.fields.pop(path, None)

    def _take_fields(self, path: str, patch: Patch) -> None:
        """Take the replaced dots from the fields of a removed item too."""
        for inner in [known for known in self.fields if is_inside(known, path)]:
            self._put(inner, less_dots(self.fields[inner], patch.replaced))

    def _disputed_items(self, change: Change) -> Sequence[str]:
        """Return the items that `change` touches, removed by one and edited by another; known once all is in."""
        touched = [item for path in change.patches for item in (path, path.rpartition("/")[0]) if "/" in item]
        return [
            item for item in dict.fromkeys(touched) if item not in self._paths and self._is_disputed(item)
        ]

    def _is_disputed(self, item: str) -> bool:
        removed = any(sibling.value is None for sibling in self.fields.get(item, ()))
        return removed and any(is_inside(path, item) for path in self.fields)

    def outcome(self, after: Entity, change: Change) -> Outcome:
        """Return what the change came to, now that `after` stands."""
        paths = [*self._paths, *self._disputed_items(change)]
        for path in change.patches:
            if len(self.fields.get(path, ())) > SIBLINGS_PER_FIELD_MAX:
                return rejected(
                    "too_many_siblings", f"{path} holds {SIBLINGS_PER_FIELD_MAX} values: resolve it", path
                )
        if after.life and delete_conflict(after, self._kind) is not None:
            paths.append(LIFE_PATH)
        violated = _violated(self._kind, after, change)
        if violated and change.op == "resolve" and self._is_settled(violated):
            return rejected(
                "invariant", f"this resolution breaks {violated[0]}: choose other values", violated[0]
            )
        paths.extend(violated)
        if paths:
            return Outcome(status="conflicted", paths=paths, suggestions=self._suggestions)
        return MERGED if "merged" in self._hows else APPLIED

    def _is_settled(self, names: Sequence[str]) -> bool:
        fields = {field for name in names for field in self._kind.invariants[name].fields}
        fields.update(name for name, group in self._kind.groups.items() if fields.intersection(group.members))
        return all(len(self.fields.get(field, ())) <= 1 for field in fields)


def _violated(kind: KindSpec, after: Entity, change: Change) -> list[str]:
    """Return the names of the broken invariants that `change` has to do with."""
    if not kind.invariants or not change.patches:
        return []
    touched = set(change.patches)
    for name in touched & set(kind.groups):
        touched.update(kind.groups[name].members)
    found = broken(kind, shown_fields(after, kind))
    return [name for name, invariant in found if touched.intersection(invariant.fields)]
