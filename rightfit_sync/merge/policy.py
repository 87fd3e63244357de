"""What a merge policy is: a few answers about the values of one path. Applications subclass `Policy`.

A policy sees values, never dots, clocks or devices. Its laws (`rightfit_sync.testing.check_policy` runs them):

- `merge` is deterministic, and symmetric: `merge(base, theirs, mine, mine_first=f)` equals
  `merge(base, mine, theirs, mine_first=not f)`;
- it returns `CONFLICT` rather than lose something that a person wrote;
- a side that did not move leaves the field to the other: the merged value holds both edits.

`merge` is asked only where both values are there (null beside a value is always a conflict) and differ (equal
values coalesce before any policy is asked, unless `coalesces` is false).

Source: docs/explanation/semantics.md, sections 4 and 5.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.schema.types import Test, quick_tests, type_problem
from rightfit_sync.values import Value


class Verdict(Enum):
    """The answer of a policy that will not choose."""

    CONFLICT = "conflict"


CONFLICT: Final = Verdict.CONFLICT


class Policy:
    """A register: equal values are one, different values conflict. The root of all other policies."""

    merges = False
    """Whether `merge` may ever return a value; false saves asking."""
    coalesces = True
    """Whether equal concurrent values are one; false for a counter, where each is a delta of its own."""
    removes = False
    """Whether null takes the path away instead of being a value of it (elements of a set)."""
    freezes_view = False
    """Whether a merge needs `base` as an ancestor that the authority had (texts): the view of a path with pending
    edits then stays on the trunk that they were made on."""
    takes: Mapping[type, Test] = {}
    """By a value's exact type: what says that it is legal and that `problem` surely has nothing against it (of a text
    the latter alone), so that nearly no value of a device needs a closer look."""

    def __init__(self, spec: FieldSpec) -> None:
        self.spec = spec
        own = type(self)
        self.fast_forwards = (
            own.advance is Policy.advance and own.may_replace is Policy.may_replace and not own.removes
        )
        """Whether an edit that replaces all that was there comes to just its value."""
        if type(self).problem is Policy.problem and spec.merge != "server":
            self.takes = quick_tests(spec)

    def problem(self, value: Value) -> str | None:
        """Return a sentence saying why a patch may not hold `value`, or None."""
        return type_problem(self.spec, value)

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return the merged value, or `CONFLICT`. `base` is null where nothing was. `mine_first` breaks ties."""
        return CONFLICT

    def suggest(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> str | None:
        """Return a merged text to offer where `merge` said `CONFLICT`, or None."""
        return None

    def advance(self, replaced: Sequence[Value], mine: Value) -> Value:
        """Return what an edit to `mine` comes to, given the values that it replaces (monotone policies)."""
        return mine

    def may_replace(self, current: Value, mine: Value) -> bool:
        """Whether an edit to `mine` may supersede the value `current` that it names (write-once policies)."""
        return True
