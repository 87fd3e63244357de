"""The view: what an app sees of an entity, containers assembled.

Of several siblings the greatest by `(written_at, dots)` is shown. This is display only: causality alone decides
what replaces what. Source: docs/explanation/semantics.md, sections 3 and 4.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.life import is_deleted
from rightfit_sync.paths import unescape
from rightfit_sync.records import Entity, Sibling
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.values import Value, canonical


def shown(siblings: Sequence[Sibling]) -> Sibling:
    """Return the sibling that is displayed: the greatest by `(written_at, dots)`."""
    return siblings[0] if len(siblings) == 1 else max(siblings, key=_display_order)


def _display_order(sibling: Sibling) -> tuple[int, list[WrittenDot]]:
    return sibling.written_at, sorted(sibling.dots)


def view(entity: Entity, schema: Schema) -> dict[str, Value]:
    """Return `{field: value}` as an app sees it; empty for a deleted entity.

    A set is a sorted list, a map a dict, a keyed list a list of `{"id", "position", **fields}` in order; the
    members of a group stand beside the other fields. Fields that the schema does not know are left out (they are
    kept in the entity).
    """
    kind = schema.kinds.get(entity.kind)
    if kind is None or is_deleted(entity, kind):
        return {}
    return values(entity, kind)


def values(entity: Entity, kind: KindSpec) -> dict[str, Value]:
    """Return what `view` returns, for a deleted entity too: what a restore would bring back."""
    return assemble(shown_values(entity), kind)


def shown_values(entity: Entity) -> dict[str, Value]:
    """Return the value that is shown at each path."""
    return {
        path: siblings[0].value if len(siblings) == 1 else shown(siblings).value
        for path, siblings in entity.fields.items()
    }


def undisputed_values(entity: Entity) -> dict[str, Value] | None:
    """Return the value at each path of an entity that has one at each, and was never deleted; None for any other."""
    if entity.life:
        return None
    try:
        return {path: sibling.value for path, (sibling,) in entity.fields.items()}
    except ValueError:
        # A path has several.
        return None


def assemble(by_path: Mapping[str, Value], kind: KindSpec) -> dict[str, Value]:
    """Return `{field: value}` of the values shown `by_path`; each container and group by its paths alone."""
    assembled: dict[str, Value] = {}
    families: dict[str, dict[str, Value]] = {}
    declared = kind.fields
    for path, value in by_path.items():
        if path in declared:
            assembled[path] = value
        elif "/" in path:
            name, _, rest = path.partition("/")
            families.setdefault(unescape(name) if "~" in name else name, {})[rest] = value
        elif path in kind.groups and isinstance(value, Mapping):
            assembled.update(cast("Mapping[str, Value]", value))
    for name, family in families.items():
        if name in declared:
            assembled[name] = _assemble(declared[name], family)
    return assembled


def _assemble(spec: FieldSpec, family: Mapping[str, Value]) -> Value:
    if spec.merge == "set":
        elements = [unescape(rest) if "~" in rest else rest for rest in family]
        return _integers(elements) if spec.type == "int" else sorted(elements)
    if spec.merge == "map":
        return {unescape(key): value for key, value in sorted(family.items()) if value is not None}
    return _items(family)


def _integers(elements: Iterable[str]) -> list[Value]:
    """Return the integers, sorted; what is none (it was a set of texts in a former schema) is left out."""
    return [*sorted(int(element) for element in elements if element.removeprefix("-").isdecimal())]


def _items(family: Mapping[str, Value]) -> list[Value]:
    items: dict[str, dict[str, Value]] = {}
    for rest, value in family.items():
        item_id, is_inner, field = rest.partition("/")
        if is_inner or value is not None:
            item = items.setdefault(item_id, {"id": unescape(item_id)})
            item[unescape(field) if is_inner else "position"] = value
    return [*sorted(items.values(), key=lambda item: item_order(item.get("position"), str(item["id"])))]


def item_order(position: Value, item_id: str) -> tuple[int, float, str, str]:
    """Return what the items of a keyed list are sorted by: other positions, then numbers, then texts; then ids."""
    if isinstance(position, str):
        return 2, 0, position, item_id
    if isinstance(position, int | float) and not isinstance(position, bool):
        return 1, position, "", item_id
    return 0, 0, canonical(position).decode(), item_id
