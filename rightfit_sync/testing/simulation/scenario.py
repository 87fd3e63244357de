"""A scenario: whose application is simulated, and what the simulation must know about it beyond its schema."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from random import Random

import msgspec
from msgspec.structs import replace

from rightfit_sync.schema.spec import KindSpec, Schema
from rightfit_sync.testing.simulation.ledger import Holds
from rightfit_sync.testing.simulation.ports import Authorize
from rightfit_sync.testing.simulation.sample import SCHEMA
from rightfit_sync.values import Value

EVERYBODY = "everybody"
"""The tag of kinds that declare no audience: without one, nobody would receive them."""

TAG_VALUES: Sequence[str] = ("a", "b")
"""What a field named in an audience holds, unless it is a reference: so a record changes hands."""

_FIELD = re.compile(r"\{([^{}]+)\}")


class Scenario(msgspec.Struct, frozen=True):
    """One application.

    `authorize` is its own rule for writing (None: whoever sees a record may write it). `values` draw what people type
    into fields of a merge word, `holds` tell the ledger what such a word keeps: both are for the application's own
    policies, a field of which otherwise holds values of its type.
    """

    schema: Schema = SCHEMA
    authorize: Authorize | None = None
    values: Mapping[str, Callable[[Random], Value]] = {}
    holds: Mapping[str, Holds] = {}


def prepared(scenario: Scenario) -> Scenario:
    """Return the scenario with an audience for every kind."""
    kinds = {
        name: kind if _is_seen(kind) else _with_audience(kind, [EVERYBODY])
        for name, kind in scenario.schema.kinds.items()
    }
    return replace(scenario, schema=Schema(scenario.schema.schema_version, kinds))


def _is_seen(kind: KindSpec) -> bool:
    inherits = any(one.inherits_audience for one in kind.references.values())
    return bool(kind.audience) or inherits


def _with_audience(kind: KindSpec, audience: Sequence[str]) -> KindSpec:
    return KindSpec(
        kind.fields, kind.groups, kind.references, kind.invariants, audience, kind.on_delete_conflict
    )


def older(schema: Schema) -> Schema:
    """Return the version before: without the last kind that nobody refers to, and a field less in each kind."""
    referred = {one.kind for kind in schema.kinds.values() for one in kind.references.values()}
    free = [name for name in schema.kinds if name not in referred]
    dropped = free[-1] if len(schema.kinds) > 1 and free else None
    kinds = {name: _less_a_field(kind) for name, kind in schema.kinds.items() if name != dropped}
    return Schema(schema.schema_version - 1, kinds)


def _less_a_field(kind: KindSpec) -> KindSpec:
    free = [
        name for name, spec in kind.fields.items() if spec.merge == "register" and name not in _needed(kind)
    ]
    if len(free) < 2:
        return kind
    fields = {name: spec for name, spec in kind.fields.items() if name != free[-1]}
    return KindSpec(
        fields, kind.groups, kind.references, kind.invariants, kind.audience, kind.on_delete_conflict
    )


def _needed(kind: KindSpec) -> set[str]:
    """Return the fields that something else in the kind names."""
    named = {member for group in kind.groups.values() for member in group.members}
    named.update(field for invariant in kind.invariants.values() for field in invariant.fields)
    return named | set(kind.references) | set(audience_fields(kind))


def audience_fields(kind: KindSpec) -> list[str]:
    """Return the fields that decide who sees an entity of this kind."""
    return [name for template in kind.audience for name in _FIELD.findall(template)]


def first_ids(kind: str) -> list[str]:
    """Return the ids of the records that everybody begins with."""
    return [f"{kind}-1", f"{kind}-2"]


def pool(kind: KindSpec, field: str) -> Sequence[str]:
    """Return what a field that decides an audience may hold."""
    if field in kind.references:
        return first_ids(kind.references[field].kind)
    spec = kind.fields.get(field)
    return TAG_VALUES if spec is None or not spec.choices else spec.choices


def tags_of(schema: Schema) -> list[str]:
    """Return every tag that a record of this schema may come to have, plain ones first."""
    plain: dict[str, None] = {}
    filled: dict[str, None] = {}
    for kind in schema.kinds.values():
        for template in kind.audience:
            names = _FIELD.findall(template)
            for chosen in product(*(pool(kind, name) for name in names)):
                values = iter(chosen)
                tag = _FIELD.sub(lambda _, values=values: next(values), template)  # type: ignore[misc]
                (filled if names else plain)[tag] = None
    return [*plain, *(tag for tag in filled if tag not in plain)]
