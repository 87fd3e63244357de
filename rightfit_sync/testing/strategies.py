"""Hypothesis strategies for schemas and for the values of their fields.

A generated schema has the kind `record` with some fields of every built-in policy, groups with and without a lead,
invariants and a reference to the kind `place`. Values come from small pools, so that two writers often choose the
same one, and every pool holds null. `paths` names what a change of a kind may patch, `values_at` what may stand there.

Needs the package `hypothesis`; nothing else in the core imports this module.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from hypothesis import strategies as st

from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.merge.group import Group
from rightfit_sync.merge.policy import Policy
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

ELEMENTS: Sequence[str] = ("leak", "a/b~")
"""Names of elements, keys and items; one of them needs escaping."""

STATES: Sequence[str] = ("OPEN", "ASSIGNED", "HELD", "DONE")

_POOLS: Mapping[str, Sequence[Value]] = {
    "str": ("tap drips", "boiler leaks", "Boiler", ""),
    "int": (0, 1, 7, -3, INTEGER_MAX - 12),
    "float": (0, 1.0, 0.1, 2.5, -7),
    "bool": (True, False),
    "decimal": ("1", "1.0", "12.50", "-3", "0.10"),
    "date": ("2026-05-01", "2026-05-02", "2025-12-31"),
    "datetime": ("2026-05-01T09:30:00Z", "2026-05-01T11:30:00+02:00"),
    "bytes": ("", "AAEC", "/w=="),
    "list": ([], [1, "a"], [1.0, "a"], [[None]]),
    "map": ({}, {"k": 1}, {"k": {"l": True}}),
    "enum": STATES,
    "json": (True, 1, 1.0, "1", [1], {"k": 1}, "", False),
}
_COUNTED: Mapping[str, Sequence[Value]] = {
    "int": (0, 1, 5, 10, -3),
    "float": (0, 1, 0.1, 0.7, -2.5),
    "decimal": ("0", "1.0", "0.10", "-3", "12.50"),
}
_WORDS = ("the", "teh", "boiler", "leaks", "badly", "\n")
_TEXTS: Sequence[Value] = ("", "the boiler leaks", "teh boiler leaks", "the boiler leaks badly", "the tap")
_ORDERED_TYPES = ("int", "decimal", "date", "float", "json")
_REGISTER_TYPES = tuple(_POOLS)
_POSITIONS: Sequence[Value] = ("F", "V", "VF", "k", 1, 2.5)


@cache
def values(spec: FieldSpecKey) -> st.SearchStrategy[Value]: ...
