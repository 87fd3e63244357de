"""Counters: both deltas count. `merge(base, theirs, mine) = theirs + mine - base`; commutes.

A decimal comes out with the finest scale that went in ("12.50" and "1" make "13.50"): keep a field to one scale.
"""

from decimal import Context

from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.schema.types import as_decimal, quick_tests
from rightfit_sync.values import Value, problem

_COUNTED = (int, float, type(None))
_EXACT = Context(prec=800)
"""Digits enough for the sum of the greatest and the least number that a float can hold."""


class Counter(Policy):
    """A number that people add to. A missing base is 0."""

    merges = True
    coalesces = False

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        if type(self).problem is Counter.problem:
            tests = quick_tests(spec)
            self.takes = {one: tests[one] for one in tests if one in _COUNTED or spec.type == "decimal"}

    def problem(self, value: Value) -> str | None:
        """Return why `value` cannot be counted, or None."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or is_number or self.spec.type == "decimal":
            return super().problem(value)
        return "expected a number"

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return `theirs + mine - base` in the field's type, or `CONFLICT` where no such number can be kept."""
        start, left, right = as_decimal(0 if base is None else base), as_decimal(theirs), as_decimal(mine)
        if start is None or left is None or right is None or isinstance(theirs, str) != isinstance(mine, str):
            return CONFLICT
        # Exact, so that 0.1 + 0.2 is 0.3, and whole where it can be: the order of additions does not matter.
        total = _EXACT.subtract(_EXACT.add(left, right), start)
        counted: Value = f"{total:f}" if isinstance(theirs, str) else float(total)
        if not isinstance(theirs, str) and total == int(total):
            is_whole = abs(total) <= INTEGER_MAX or (isinstance(theirs, int) and isinstance(mine, int))
            counted = int(total) if is_whole else counted
        return counted if problem(counted) is None and self.problem(counted) is None else CONFLICT
