"""The schema as data: what travels as JSON (docs/explanation/semantics.md, section 10).

Unknown keys are ignored on reading, so that a newer schema does not stop an older reader; unknown kinds and
fields in *records* are kept untouched. A schema that contradicts itself is refused when it is made.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from rightfit_sync.errors import SchemaError
from rightfit_sync.values import Value

OnDelete: TypeAlias = Literal["restrict", "cascade", "set_null"]

CONTAINERS = frozenset({"set", "map", "keyed_list"})
"""Merge policies whose field is a family of paths."""

RESERVED_NAMES = frozenset({"entity_id", "life", "deleted_at", "deleted_by_device_id"})
"""Names that every view carries already."""


class FieldSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one field merges and what it may hold.

    `type` is a word of `schema.types` (of the *elements*, for a set). `transitions` belongs to `workflow`,
    `on_overlap` to `text`, `choices` to type `enum`. `fields` are the named keys of a `map` or the fields of a
    `keyed_list` item, `element` is every other key of a map. `options` are for an application's own policy.
    """

    merge: str = "register"
    type: str = "json"
    on_overlap: Literal["conflict", "merge"] = "conflict"
    transitions: Mapping[str, Sequence[str]] = {}
    choices: Sequence[str] = ()
    fields: Mapping[str, "FieldSpec"] = {}
    element: "FieldSpec | None" = None
    options: Mapping[str, Value] = {}


class GroupSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A merge group: fields that change together, as one path with a composite value."""

    members: Sequence[str]
    lead: str | None = None


class ReferenceSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field that holds the id of an entity of `kind`, and what its delete does to the holder.

    `lends_audience`: whoever may see the holder may see the target (a contractor sees the property of its work
    order). `inherits_audience`: whoever may see the target may see the holder (the comments of a work order).
    """

    kind: str
    on_delete: OnDelete = "restrict"
    lends_audience: bool = False
    inherits_audience: bool = False


class InvariantSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition over several fields: `rule` is a word of `invariants.RULES`, `options` its arguments."""

    rule: str
    fields: Sequence[str]
    options: Mapping[str, Value] = {}


class KindSpec(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One kind of entity. `audience` lists tags, with `{field}` standing for a field's value."""

    fields: Mapping[str, FieldSpec]
    groups: Mapping[str, GroupSpec] = {}
    references: Mapping[str, ReferenceSpec] = {}
    invariants: Mapping[str, InvariantSpec] = {}
    audience: Sequence[str] = ()
    on_delete_conflict: Literal["keep", "delete"] = "keep"

    def __post_init__(self) -> None:
        for name in (*self.fields, *self.groups):
            if name in RESERVED_NAMES or not name or "/" in name or "~" in name:
                raise SchemaError(f"{name!r} cannot name a field: it is reserved, empty, or holds '/' or '~'")
        for name, group in self.groups.items():
            self._check_group(name, group)
        for name in self.references:
            self._check_known("reference", name, [name])
        for name, invariant in self.invariants.items():
            self._check_known(f"invariant {name!r}", name, invariant.fields)
            if not invariant.fields:
                raise SchemaError(f"invariant {name!r} names no fields")

    def _check_group(self, name: str, group: GroupSpec) -> None:
        self._check_known(f"group {name!r}", name, group.members)
        if name in self.fields:
            raise SchemaError(f"group {name!r} has the name of a field: rename one of them")
        if group.lead is not None and group.lead not in group.members:
            raise SchemaError(f"group {name!r}: its lead {group.lead!r} is not one of its members")
        for member in group.members:
            if self.fields[member].merge in CONTAINERS:
                raise SchemaError(f"group {name!r}: {member!r} is a container and cannot be a member")
            if self.fields[member].merge == "server":
                raise SchemaError(
                    f"group {name!r}: only the server writes {member!r}, a patch carries all members"
                )

    def _check_known(self, what: str, name: str, fields: Sequence[str]) -> None:
        for field in fields:
            if field not in self.fields:
                raise SchemaError(f"{what} names the field {field!r}, which {name!r}'s kind does not declare")


class Schema(msgspec.Struct, frozen=True, dict=True):
    """All kinds of one application. `schema_version` grows by one with every published change."""

    schema_version: int
    kinds: Mapping[str, KindSpec]

    def __post_init__(self) -> None:
        for name, kind in self.kinds.items():
            for field, reference in kind.references.items():
                if reference.kind not in self.kinds:
                    raise SchemaError(
                        f"{name}.{field} refers to the kind {reference.kind!r}, which is not declared"
                    )
