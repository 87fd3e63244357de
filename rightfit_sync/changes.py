"""Authoring changes: from what a person did on a screen to a `Change` that says what was seen and replaced.

Everything here is a pure function of the entity as shown, the wanted values and the caller's dot and clock. The
same functions serve the replica SDK, the authority's own writes and tests.

A routine edit of a field in conflict replaces only the sibling that was on screen; a resolution lists every sibling.
`written_at` is the later of the caller's clock and what is replaced plus 1, so that a device with a slow clock sees
its own edit. Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rightfit_sync.apply import final_value
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import LocalError
from rightfit_sync.merge.registry import MisplacedPathError, rules_of
from rightfit_sync.paths import escape, is_inside
from rightfit_sync.positions import between, longest_rise
from rightfit_sync.records import Change, Entity, Patch, Sibling
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec, Schema
from rightfit_sync.values import Value, same
from rightfit_sync.view import item_order, shown


class Stamp(msgspec.Struct, frozen=True):
    """Who writes, when: the next dot, the clock in milliseconds since 1970 UTC, the transaction if any.

    `base` is what the screen showed, where that is less than the entity's version vector (a frozen text).
    """

    dot: Dot
    now: int
    transaction_id: str | None = None
    base: Mapping[str, int] | None = None


def create(kind: str, entity_id: str, wanted: Mapping[str, Value], stamp: Stamp, schema: Schema) -> Change:
    """Return the change that brings a new entity into being with the values `wanted`, `{field or path: value}`."""
    nothing = Entity(kind=kind, entity_id=entity_id, version_vector={}, fields={})
    flat = _flattened(nothing, wanted, _kind(schema, kind))
    patches = {path: Patch(value=value) for path, value in flat.items() if value is not None}
    return Change(
        dot=stamp.dot,
        kind=kind,
        entity_id=entity_id,
        op="create",
        patches=patches,
        written_at=stamp.now,
        transaction_id=stamp.transaction_id,
    )


def edit(entity: Entity, wanted: Mapping[str, Value], stamp: Stamp, schema: Schema) -> Change | None:
    """Return the change that makes the shown entity hold `wanted`, `{field or path: value}`; None if it does already.

    A container may be given whole (a list for a set, a dict for a map, a list of `{"id", ...}` for a keyed list):
    only the elements that differ are patched, and those left out are removed. A path (`tags/leak`, `items/7/done`)
    patches one element. A group's member stands for the group with its other members unchanged.
    """
    patches = _patches(entity, wanted, _kind(schema, entity.kind))
    return _change(entity, patches, stamp, "edit") if patches else None


def delete(entity: Entity, stamp: Stamp, cascade_of: Sequence[str] | UnsetType = UNSET) -> Change:
    """Return the delete of `entity` as shown; `cascade_of` names the entity whose delete brought it about."""
    return _life_change(entity, stamp, "delete", cascade_of)


def restore(entity: Entity, stamp: Stamp) -> Change:
    """Return the change that undoes every delete that the author can see."""
    return _life_change(entity, stamp, "restore")


def again(change: Change, entity: Entity, stamp: Stamp, schema: Schema) -> Change | None:
    """Return the edit that does to the shown entity what `change`, which was not accepted, meant to do.

    Where the field has moved on and its policy can merge, the new edit replaces nothing and names the old base: it is
    merged (three more are counted, the same words are typed) instead of putting an old value over a newer one.
    """
    kind = _kind(schema, entity.kind)
    plain: dict[str, Value] = {}
    patches: dict[str, Patch] = {}
    for path, patch in change.patches.items():
        siblings = entity.fields.get(path, ())
        base = None if patch.base is UNSET else patch.base
        wanted = final_value(patch)
        moved_on = bool(siblings) and not same(shown(siblings).value, base)
        if moved_on and wanted is not None and rules_of(kind).policy(path).merges:
            patches[path] = replace(patch, replaces=[])
        else:
            plain[path] = wanted
    patches.update(_patches(entity, plain, kind))
    return _change(entity, patches, stamp, "edit") if patches else None


def replacing(patches: Mapping[str, Patch], names: Mapping[Dot, Dot]) -> Mapping[str, Patch]:
    """Return `patches` with the dots that they replace under their other names, for those that `names` gives one."""
    named = {path: patch for path, patch in patches.items() if not names.keys().isdisjoint(patch.replaced)}
    if not named:
        return patches
    return {**patches} | {
        path: replace(patch, replaces=sorted({names.get(dot, dot) for dot in patch.replaced}))
        for path, patch in named.items()
    }


def resolve(entity: Entity, conflict: Conflict, choice: Value, stamp: Stamp, schema: Schema) -> Change:
    """Return the resolution of `conflict` by `choice`.

    `choice` is the value for a field, a group or a reference (a map with all members for a group); `"keep"` or
    `"delete"` for a delete/edit conflict; `None` (gone) or a position (kept) for a removed item; a map of fields to
    values for an invariant.
    """
    if conflict.reason == "delete_edit":
        if choice not in ("keep", "delete"):
            raise LocalError("invalid_choice", f"choose 'keep' or 'delete', not {choice!r}", conflict.path)
        return restore(entity, stamp) if choice == "keep" else delete(entity, stamp)
    if conflict.reason != "invariant":
        return resolution(entity, {conflict.path: choice}, stamp)
    if not isinstance(choice, Mapping) or not choice:
        raise LocalError(
            "invalid_choice", "choose values for the fields of this invariant, as a map", conflict.path
        )
    wanted = _patches(entity, cast("Mapping[str, Value]", choice), _kind(schema, entity.kind))
    if not wanted:
        raise LocalError(
            "invalid_choice", "the values chosen are those that break the invariant", conflict.path
        )
    return resolution(entity, {path: patch.value for path, patch in wanted.items()}, stamp)


def resolution(entity: Entity, wanted: Mapping[str, Value], stamp: Stamp) -> Change:
    """Return the change that settles each path of `wanted`, `{path: value}`, replacing every sibling that it has."""
    patches = {path: _resolution(entity, path, value) for path, value in wanted.items()}
    return _change(entity, patches, stamp, "resolve")


def _resolution(entity: Entity, path: str, value: Value) -> Patch:
    siblings = list(entity.fields.get(path, ()))
    base = shown(siblings).value if siblings else UNSET
    if value is None:
        siblings += [one for inner, kept in entity.fields.items() if is_inside(inner, path) for one in kept]
    return Patch(value=value, base=base, replaces=sorted({dot.dot for one in siblings for dot in one.dots}))


def _kind(schema: Schema, name: str) -> KindSpec:
    kind = schema.kinds.get(name)
    if kind is None:
        known = ", ".join(sorted(schema.kinds))
        raise LocalError("unknown_kind", f"the schema has no kind {name!r}: it has {known}", name)
    return kind


def _patches(entity: Entity, wanted: Mapping[str, Value], kind: KindSpec) -> dict[str, Patch]:
    patches: dict[str, Patch] = {}
    for path, value in _flattened(entity, wanted, kind).items():
        _add(patches, entity, path, value, kind)
    return patches


def _flattened(entity: Entity, wanted: Mapping[str, Value], kind: KindSpec) -> dict[str, Value]:
    """Return `{path: value}`: containers taken apart into elements, members put together into groups."""
    flat: dict[str, Value] = {}
    # What has a policy of its own is neither a container nor a member of a group.
    whole = rules_of(kind).known
    groups = {member: name for name, group in kind.groups.items() for member in group.members}
    composites: dict[str, dict[str, Value]] = {}
    for name, value in wanted.items():
        if name in whole:
            flat[name] = value
            continue
        declared = kind.fields.get(name)
        if name in groups:
            composites.setdefault(groups[name], {})[name] = value
        elif declared is not None and declared.merge in CONTAINERS:
            flat.update(_elements(entity, name, declared, value))
        else:
            flat[name] = value
    for name, members in composites.items():
        flat[name] = _composite(entity, name, members, kind)
    return flat


def _composite(entity: Entity, name: str, members: Mapping[str, Value], kind: KindSpec) -> Value:
    siblings = entity.fields.get(name)
    current = shown(siblings).value if siblings else None
    known = current if isinstance(current, Mapping) else {}
    return {member: members.get(member, known.get(member)) for member in kind.groups[name].members}


def _add(patches: dict[str, Patch], entity: Entity, path: str, value: Value, kind: KindSpec) -> None:
    siblings = entity.fields.get(path, ())
    if not siblings:
        if value is not None:
            patches[path] = Patch(value=value, replaces=[])
        return
    current = shown(siblings)
    if same(current.value, value):
        return
    replaced = _seen(siblings, path, kind)
    hidden: set[Dot] = set()
    if value is None and "/" in path:
        inner = {name: kept for name, kept in entity.fields.items() if is_inside(name, path)}
        replaced = [*replaced, *(one for name, kept in inner.items() for one in _seen(kept, name, kind))]
        # One change may have placed the item and written a value, and only one of the two be on screen. What is not
        # must survive, so its dot is not named, and the item comes to be in conflict rather than gone.
        hidden = {
            dot.dot
            for kept in (siblings, *inner.values())
            for one in kept
            if one not in replaced
            for dot in one.dots
        }
    replaces = sorted({dot.dot for sibling in replaced for dot in sibling.dots} - hidden)
    patches[path] = Patch(value=value, base=current.value, replaces=replaces)


def _seen(siblings: Sequence[Sibling], path: str, kind: KindSpec) -> list[Sibling]:
    """Return those of `siblings` that a person sees: the one that is shown, and those that say the same.

    Equal values stand beside each other where two states were joined.
    """
    current = shown(siblings)
    try:
        is_sum = not rules_of(kind).policy(path).coalesces
    except MisplacedPathError:
        is_sum = True
    return [one for one in siblings if one == current or (not is_sum and same(one.value, current.value))]


def _elements(entity: Entity, name: str, declared: FieldSpec, value: Value) -> dict[str, Value]:
    """Return `{path: value}` for every element that is wanted, and null for every other one that is shown."""
    wanted: dict[str, Value] = {}
    if declared.merge == "set" and isinstance(value, list | tuple | set | frozenset | None):
        wanted = {f"{name}/{escape(str(element))}": True for element in value or ()}
    elif declared.merge == "map" and isinstance(value, Mapping | None):
        wanted = {f"{name}/{escape(str(key))}": inner for key, inner in (value or {}).items()}
    elif declared.merge == "keyed_list" and isinstance(value, list | tuple | None):
        wanted = _item_elements(entity, name, value or ())
    else:
        raise LocalError(
            "invalid_type", f"{name} is a {declared.merge}: give it a whole one or patch a path", name
        )
    for path in entity.fields:
        depth = path.count("/")
        if is_inside(path, name) and depth == 1 and path not in wanted:
            wanted[path] = None
    return wanted


def _item_elements(entity: Entity, name: str, items: Sequence[Value]) -> dict[str, Value]:
    wanted: dict[str, Value] = {}
    last: Place | None = None
    staying = _staying(entity, name, items)
    for index, item in enumerate(items):
        if not isinstance(item, Mapping) or "id" not in item:
            raise LocalError("invalid_type", f"{name}[{index}]: an item is a map with an id", name)
        item_id = str(item["id"])
        path = f"{name}/{escape(item_id)}"
        wanted[path] = position = _position(entity, path, item_id, last, may_stay=index in staying)
        if position is not None:
            last = Place(position, item_id)
        for field, inner in item.items():
            if field not in ("id", "position"):
                wanted[f"{path}/{escape(str(field))}"] = inner
    return wanted


def _staying(entity: Entity, name: str, items: Sequence[Value]) -> set[int]:
    """Return the indexes of the items that keep their positions: as many as can, so that a move touches the moved."""
    known: list[tuple[int, tuple[int, float, str, str]]] = []
    for index, item in enumerate(items):
        item_id = str(item.get("id")) if isinstance(item, Mapping) else ""
        siblings = entity.fields.get(f"{name}/{escape(item_id)}", ())
        position = shown(siblings).value if siblings else None
        if position is not None:
            known.append((index, item_order(position, item_id)))
    rising = longest_rise([order for _, order in known])
    return {known[place][0] for place in rising}


class Place(NamedTuple):
    """Where the former item of a list stands."""

    position: Value
    item_id: str


def _position(entity: Entity, path: str, item_id: str, last: Place | None, *, may_stay: bool) -> Value:
    """Return the item's own position where it `may_stay` and sorts after `last`, else a new one just after it.

    An item that somebody removed while another edited it is shown without a position; it stays so (None), since a
    routine edit must not settle a conflict that nobody looked at.
    """
    siblings = entity.fields.get(path, ())
    known = shown(siblings).value if siblings else None
    if known is not None and may_stay and (last is None or item_order(known, item_id) > item_order(*last)):
        return known
    if siblings and known is None and any(is_inside(inner, path) for inner in entity.fields):
        return None
    before = last.position if last is not None and isinstance(last.position, str) else None
    others = [shown(kept).value for other, kept in entity.fields.items() if _is_beside(other, path)]
    later = [value for value in others if isinstance(value, str) and (before is None or value > before)]
    try:
        return between(before, min(later, default=None))
    except LocalError:
        # Somebody else's positions leave no room: this item goes just after the former one, and what follows it
        # moves along.
        return f"{before or ''}V"


def _is_beside(path: str, item: str) -> bool:
    return path.count("/") == 1 and path.rpartition("/")[0] == item.rpartition("/")[0]


def _change(entity: Entity, patches: Mapping[str, Patch], stamp: Stamp, op: str) -> Change:
    replaced = {(dot.device_id, dot.counter) for patch in patches.values() for dot in patch.replaced}
    seen = [
        dot.written_at
        for siblings in entity.fields.values()
        for sibling in siblings
        for dot in sibling.dots
        if (dot.device_id, dot.counter) in replaced
    ]
    return Change(
        dot=stamp.dot,
        kind=entity.kind,
        entity_id=entity.entity_id,
        op="resolve" if op == "resolve" else "edit",
        base=entity.version_vector if stamp.base is None else stamp.base,
        patches=patches,
        written_at=max([stamp.now, *(written_at + 1 for written_at in seen)]),
        transaction_id=stamp.transaction_id,
    )


def _life_change(
    entity: Entity, stamp: Stamp, op: str, cascade_of: Sequence[str] | UnsetType = UNSET
) -> Change:
    written = [record.written_at + 1 for record in entity.life]
    return Change(
        dot=stamp.dot,
        kind=entity.kind,
        entity_id=entity.entity_id,
        op="delete" if op == "delete" else "restore",
        base=entity.version_vector if stamp.base is None else stamp.base,
        written_at=max([stamp.now, *written]),
        transaction_id=stamp.transaction_id,
        cascade_of=cascade_of,
    )
