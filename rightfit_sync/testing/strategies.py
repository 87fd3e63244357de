"""Hypothesis strategies for schemas and for the values of their fields.

A generated schema has the kind `record` with fields of some of the built-in policies, groups with and without
a lead, invariants and a reference to the kind `place`. Values come from small pools, so that two writers
often choose the same one, and every pool holds null. `patchable` names what a change of a kind may patch,
`values_at` what may stand there.

Needs the package `hypothesis`; nothing else in the core imports this module.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from hypothesis import strategies as st

from rightfit_sync.merge.group import Group
from rightfit_sync.merge.registry import rules_of
from rightfit_sync.paths import join
from rightfit_sync.schema.spec import (
    CONTAINERS,
    FieldSpec,
    GroupSpec,
    InvariantSpec,
    KindSpec,
    ReferenceSpec,
    Schema,
)
from rightfit_sync.values import Value

KIND = "record"
"""The kind that generated schemas are about."""

TARGET_KIND = "place"
"""The kind that `record` may refer to."""

POLICIES: Sequence[str] = (
    *(
        "register",
        "text",
        "set",
        "counter",
        "map",
        "keyed_list",
        "maximum",
        "minimum",
        "workflow",
        "once",
        "server",
    ),
)
"""The built-in policies, each of which a generated field may have."""

STATES: Sequence[str] = ("OPEN", "ASSIGNED", "HELD", "DONE")
"""What workflows and enums hold."""

_ELEMENTS: Sequence[str] = ("leak", "a/b~")  # One of them needs escaping.
_POOLS: Mapping[str, Sequence[Value]] = {
    "str": ("tap drips", "boiler leaks", "Boiler", ""),
    "int": (0, 1, 7, -3),
    "float": (0, 1, 1.0, 0.1, 2.5, -7.0),
    "bool": (True, False),
    "decimal": ("1", "1.0", "12.50", "-3", "0.10"),
    "date": ("2026-05-01", "2026-05-02", "2025-12-31"),
    "datetime": ("2026-05-01T09:30:00Z", "2026-05-01T11:30:00+02:00"),
    "bytes": ("", "AAEC", "/w=="),
    "list": ([], [1, "a"], [1.0, "a"], [[None]]),
    "map": ({}, {"k": 1, "l": "m"}, {"l": "m", "k": 1}, {"k": {"l": True}}),
    "enum": STATES,
    "json": (True, 1, 1.0, "1", [1], {"k": 1}, "", False),
}
_WORDS = ("the", "teh", "boiler", "leaks", "badly", "\n")
_TEXTS: Sequence[Value] = ("", "the boiler leaks", "teh boiler leaks", "the boiler leaks badly", "the tap")
_POSITIONS: Sequence[Value] = ("F", "V", "VF", "k", 1, 2.5, None)
_MONEY: Sequence[Value] = ("0.00", "1.00", "12.50", "-3.10")  # A field of sums keeps to one scale.
_ORDERED_TYPES: Sequence[str] = ("int", "decimal", "date", "float", "json")
_COUNTED_TYPES: Sequence[str] = ("int", "decimal", "float")


def values(spec: FieldSpec) -> st.SearchStrategy[Value]:
    """Return values that a field declared as `spec` (no container) may hold; null is one of them."""
    return _pool(spec.merge, spec.type)


@cache
def _pool(merge: str, type_word: str) -> st.SearchStrategy[Value]:
    if merge == "text":
        chosen: st.SearchStrategy[Value] = st.sampled_from([*_TEXTS, None])
        return st.one_of(chosen, st.lists(st.sampled_from(_WORDS), max_size=5).map(" ".join))
    if (merge, type_word) == ("counter", "decimal"):
        return st.sampled_from([*_MONEY, None])
    return st.sampled_from([*_POOLS["enum" if merge == "workflow" else type_word], None])


_REGISTERS = st.sampled_from([FieldSpec(type=word) for word in _POOLS])
_TRANSITIONS = st.dictionaries(
    st.sampled_from(STATES), st.lists(st.sampled_from(STATES), max_size=2), max_size=4
)
_PLAIN: Mapping[str, st.SearchStrategy[FieldSpec]] = {
    "register": _REGISTERS,
    "text": st.sampled_from([FieldSpec("text", "str", on_overlap=way) for way in ("conflict", "merge")]),
    "counter": st.sampled_from([FieldSpec("counter", word) for word in _COUNTED_TYPES]),
    "maximum": st.sampled_from([FieldSpec("maximum", word) for word in _ORDERED_TYPES]),
    "minimum": st.sampled_from([FieldSpec("minimum", word) for word in _ORDERED_TYPES]),
    "workflow": st.builds(lambda edges: FieldSpec("workflow", "str", transitions=edges), _TRANSITIONS),
    "once": st.sampled_from([FieldSpec("once", word) for word in _POOLS]),
    "server": st.sampled_from([FieldSpec("server", word) for word in ("json", "str", "int")]),
}
_INNER = ("register", "text", "counter", "maximum", "once")
"""Policies of the keys of a map and of the fields of an item."""


def field_specs(merge: str, policies: Sequence[str] = POLICIES) -> st.SearchStrategy[FieldSpec]:
    """Return declarations of a field with the policy `merge`; `policies` are those inside containers."""
    if merge == "set":
        return st.sampled_from([FieldSpec("set", "str")])
    if merge not in CONTAINERS:
        return _PLAIN[merge]
    chosen = [name for name in _INNER if name in policies] or ["register"]
    inner = st.sampled_from(chosen).flatmap(_PLAIN.__getitem__)
    named = st.dictionaries(st.sampled_from(("done", "note")), inner, max_size=2)
    if merge == "map":
        return st.builds(_map, inner, named)
    return st.builds(_keyed_list, named)


def _map(element: FieldSpec, fields: Mapping[str, FieldSpec]) -> FieldSpec:
    return FieldSpec("map", "map", element=element, fields=fields)


def _keyed_list(fields: Mapping[str, FieldSpec]) -> FieldSpec:
    return FieldSpec("keyed_list", "list", fields=fields)


@st.composite
def schemas(
    draw: st.DrawFn, policies: Sequence[str] = POLICIES, *, fields_max: int = 3, with_invariants: bool = True
) -> Schema:
    """Return schemas whose kind `record` has up to `fields_max` fields, besides what groups need."""
    fields: dict[str, FieldSpec] = {}
    for number in range(draw(st.integers(1, fields_max))):
        merge = draw(st.sampled_from(policies))
        fields[f"{merge}_{number}"] = draw(field_specs(merge, policies))
    groups: dict[str, GroupSpec] = {}
    leads = [merge for merge in policies if merge not in CONTAINERS and merge != "server"]
    if leads and draw(st.integers(0, 2)) == 0:
        lead = draw(st.sampled_from(leads))
        fields |= {"lead": draw(_PLAIN[lead]), "beside": FieldSpec(type="str")}
        groups["group"] = GroupSpec(["lead", "beside"], draw(st.sampled_from(("lead", "lead", None))))
    references = _references(fields)
    return Schema(
        schema_version=1,
        kinds={
            KIND: KindSpec(
                fields=fields,
                groups=groups,
                references=references,
                invariants=draw(_invariants(fields)) if with_invariants else {},
                on_delete_conflict=draw(st.sampled_from(_DELETE_WAYS)),
            ),
            TARGET_KIND: KindSpec(fields={"name": FieldSpec(type="str")}),
        },
    )


_DELETE_WAYS: Sequence[Literal["keep", "delete"]] = ("keep", "delete")


def _references(fields: Mapping[str, FieldSpec]) -> dict[str, ReferenceSpec]:
    texts = [name for name, spec in fields.items() if spec.merge == "register" and spec.type == "str"]
    return {name: ReferenceSpec(TARGET_KIND, "set_null") for name in texts[:1]}


def _invariants(fields: Mapping[str, FieldSpec]) -> st.SearchStrategy[dict[str, InvariantSpec]]:
    names = [name for name, spec in fields.items() if spec.merge not in CONTAINERS]
    if len(names) < 2:
        return st.just({})
    rules = st.sampled_from(("ordered", "requires", "at_most_one"))
    one = st.builds(lambda rule: {"order": InvariantSpec(rule, names[:2])}, rules)
    return st.one_of(st.just({}), one)


def patchable(kind: KindSpec, *, by_authority: bool = False) -> list[str]:
    """Return paths that a change of this kind may patch; those of `server` fields for the authority alone."""
    members = {member for group in kind.groups.values() for member in group.members}
    found = [*kind.groups]
    for name, spec in kind.fields.items():
        if spec.merge in CONTAINERS:
            found += _inner_paths(name, spec)
        elif name not in members and (spec.merge == "server") == by_authority:
            found.append(name)
    return found


def _inner_paths(name: str, spec: FieldSpec) -> list[str]:
    elements = [*_ELEMENTS, *spec.fields] if spec.merge == "map" else [*_ELEMENTS]
    paths = [join(name, element) for element in elements]
    if spec.merge == "keyed_list":
        paths += [join(name, _ELEMENTS[0], field) for field in spec.fields]
    return paths


def values_at(kind: KindSpec, path: str) -> st.SearchStrategy[Value]:
    """Return values that a patch of `path` may carry."""
    policy = rules_of(kind).policy(path)
    spec = policy.spec
    if isinstance(policy, Group):
        members = {member: values(kind.fields[member]) for member in kind.groups[path].members}
        return st.fixed_dictionaries(members).map(dict)
    if spec.merge == "set":
        return st.sampled_from([True, None])
    declared = kind.fields.get(path.partition("/")[0])
    if declared is not None and declared.merge == "keyed_list" and path.count("/") == 1:
        return st.sampled_from(_POSITIONS)
    return values(spec)
