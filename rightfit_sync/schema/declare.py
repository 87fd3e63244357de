"""Declaring a schema in Python, as annotated msgspec Structs.

For example::

    @kind("packing_item", audience=["family"])
    class PackingItem(msgspec.Struct):
        name: str
        count: Annotated[int, merge("counter")] = 0
        notes: Annotated[str, merge("text", on_overlap="merge")] = ""
        packed_by: Annotated[str | None, ref("person", on_delete="set_null")] = None
        tags: set[str] = set()

    schema = declare(1, PackingItem, Person)

A field without `merge` is a register; a `set[...]` is a set, a list of Structs a keyed list. The Python type gives the
field's type word: `Decimal`, `date`, `datetime`, `bytes`, enums and `Literal`s travel as strings.
"""

import datetime as dt
import enum
import types
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from rightfit_sync.errors import SchemaError
from rightfit_sync.schema.spec import (
    FieldSpec,
    GroupSpec,
    InvariantSpec,
    KindSpec,
    OnDelete,
    ReferenceSpec,
    Schema,
)
from rightfit_sync.values import Value

_Class = TypeVar("_Class", bound=type[msgspec.Struct])

_WORDS: Mapping[object, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    Decimal: "decimal",
    dt.date: "date",
    dt.datetime: "datetime",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    dict: "map",
}


class _Kind(msgspec.Struct, frozen=True):
    name: str
    groups: Mapping[str, GroupSpec]
    invariants: Mapping[str, InvariantSpec]
    audience: Sequence[str]
    on_delete_conflict: Literal["keep", "delete"]


def merge(
    policy: str,
    *,
    on_overlap: Literal["conflict", "merge"] = "conflict",
    transitions: Mapping[str, Sequence[str]] | None = None,
    options: Mapping[str, Value] | None = None,
) -> FieldSpec:
    """Return the annotation that gives a field its merge policy."""
    return FieldSpec(
        merge=policy, on_overlap=on_overlap, transitions=transitions or {}, options=options or {}
    )


def ref(
    kind: str,
    *,
    on_delete: OnDelete = "restrict",
    lends_audience: bool = False,
    inherits_audience: bool = False,
) -> ReferenceSpec:
    """Return the annotation that makes a field the id of an entity of `kind`."""
    return ReferenceSpec(kind, on_delete, lends_audience, inherits_audience)


def group(*members: str, lead: str | None = None) -> GroupSpec:
    """Return a merge group of these fields."""
    return GroupSpec(list(members), lead)


def invariant(rule: str, *fields: str, **options: Value) -> InvariantSpec:
    """Return an invariant over these fields; `rule` is a word of `invariants.RULES`."""
    return InvariantSpec(rule, list(fields), options)


def kind(
    name: str,
    *,
    groups: Mapping[str, GroupSpec] | None = None,
    invariants: Mapping[str, InvariantSpec] | None = None,
    audience: Sequence[str] = (),
    on_delete_conflict: Literal["keep", "delete"] = "keep",
) -> Callable[[_Class], _Class]:
    """Return the decorator that names a kind and gives it what belongs to no single field."""

    def named(cls: _Class) -> _Class:
        _KINDS[cls] = _Kind(name, groups or {}, invariants or {}, audience, on_delete_conflict)
        return cls

    return named


_KINDS: dict[type[msgspec.Struct], _Kind] = {}


def declare(schema_version: int, *classes: type[msgspec.Struct]) -> Schema:
    """Return the schema of these classes, each decorated with `kind`."""
    kinds: dict[str, KindSpec] = {}
    for cls in classes:
        if cls not in _KINDS:
            raise SchemaError(f"{cls.__name__} is no kind: decorate it with @kind(...)")
        facts = _KINDS[cls]
        fields, references = _fields(cls)
        kinds[facts.name] = KindSpec(
            fields=fields,
            references=references,
            groups=facts.groups,
            invariants=facts.invariants,
            audience=facts.audience,
            on_delete_conflict=facts.on_delete_conflict,
        )
    return Schema(schema_version, kinds)


def _fields(cls: type[msgspec.Struct]) -> tuple[dict[str, FieldSpec], dict[str, ReferenceSpec]]:
    fields: dict[str, FieldSpec] = {}
    references: dict[str, ReferenceSpec] = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        bare, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        chosen = next((note for note in notes if isinstance(note, FieldSpec)), None)
        fields[name] = _field(f"{cls.__name__}.{name}", _not_null(bare), chosen)
        reference = next((note for note in notes if isinstance(note, ReferenceSpec)), None)
        if reference is not None:
            references[name] = reference
    return fields, references


def _not_null(hint: object) -> object:
    if get_origin(hint) in (Union, types.UnionType):
        left = [option for option in get_args(hint) if option is not type(None)]
        return left[0] if len(left) == 1 else object
    return hint


def _field(place: str, hint: object, chosen: FieldSpec | None) -> FieldSpec:
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    base = chosen or FieldSpec()
    element = arguments[0] if arguments else None
    if origin in (set, frozenset):
        return msgspec.structs.replace(base, merge="set", type=_word(element))
    if origin is list and isinstance(element, type) and issubclass(element, msgspec.Struct):
        return msgspec.structs.replace(base, merge="keyed_list", type="list", fields=_fields(element)[0])
    if base.merge == "map" and origin is dict:
        return msgspec.structs.replace(base, type="map", element=_field(place, arguments[1], None))
    choices = _choices(hint)
    word = "enum" if choices else _word(origin)
    if chosen is not None and chosen.merge == "text" and word != "str":
        raise SchemaError(f"{place}: merge('text') is for str, not {word}")
    return msgspec.structs.replace(base, type=word, choices=choices or ())


def _word(hint: object) -> str:
    return _WORDS.get(hint, "json")


def _choices(hint: object) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [str(member.value) for member in hint]
    return []
