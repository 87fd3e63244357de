"""Audience: the set of tags that decides who receives an entity, computed from it by the schema.

A subject holds tags; a pull sends what shares one. An entity's *own* tags come from its kind's templates
(`"landlord"`, `"contractor:{contractor_id}"`; a template whose field is null gives none). Its audience adds what it
*inherits* (a comment from its work order) and what is *lent* to it (a property by the work orders that refer to it),
each one step: only own tags are inherited or lent.

Source: docs/explanation/semantics.md, section 7.
"""

import re
from collections.abc import Iterable, Sequence
from typing import cast

from rightfit_sync.life import is_deleted
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import KindSpec, Schema
from rightfit_sync.values import Value
from rightfit_sync.view import values

_FIELD = re.compile(r"\{([^{}]+)\}")


def own_tags(entity: Entity, schema: Schema) -> frozenset[str]:
    """Return the tags that the entity's own fields give it."""
    kind = schema.kinds.get(entity.kind)
    if kind is None:
        return frozenset()
    always, templates = _templates(kind)
    if not templates:
        return always
    tags = set(always)
    shown = values(entity, kind)
    for template, names in templates:
        for chosen in _choices([shown.get(name) for name in names]):
            filled = iter(chosen)
            tags.add(_FIELD.sub(lambda _, filled=filled: next(filled), template))  # type: ignore[misc]
    return frozenset(tags)


def _templates(kind: KindSpec) -> tuple[frozenset[str], Sequence[tuple[str, Sequence[str]]]]:
    """Return the tags that every entity of `kind` has, and the templates with the fields they name; once per kind."""
    cache = kind.__dict__
    found = cache.get("tags")
    if found is None:
        always = frozenset(template for template in kind.audience if "{" not in template)
        filled = [(one, _FIELD.findall(one)) for one in kind.audience if one not in always]
        found = cache["tags"] = (always, filled)
    return cast("tuple[frozenset[str], Sequence[tuple[str, Sequence[str]]]]", found)


def _choices(found: list[Value]) -> Iterable[list[str]]:
    """Return every way to fill a template; a set or list stands for each of its elements."""
    ways: list[list[str]] = [[]]
    for value in found:
        options = value if isinstance(value, list | tuple) else [value]
        ways = [[*way, str(option)] for way in ways for option in options if option not in (None, "")]
    return ways


def audience(own: Iterable[str], inherited: Iterable[str] = (), lent: Iterable[str] = ()) -> list[str]:
    """Return the whole audience, sorted."""
    return sorted({*own, *inherited, *lent})


def lends(entity: Entity, schema: Schema) -> bool:
    """Whether `entity` lends its tags to what it refers to: deleted entities lend nothing."""
    kind = schema.kinds.get(entity.kind)
    return kind is not None and not is_deleted(entity, kind)
