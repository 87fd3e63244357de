"""Counters: both deltas count. `merge(base, theirs, mine) = theirs + mine - base`; commutes."""

from decimal import Context, Decimal
from math import isfinite

from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.values import Value

_EXACT = Context(prec=100)


class Counter(Policy):
    """A number that people add to. A missing base is 0."""

    merges = True
    coalesces = False

    def problem(self, value: Value) -> str | None:
        """Return why `value` cannot be counted, or None."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or is_number or self.spec.type == "decimal":
            return super().problem(value)
        return "expected a number"

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return `theirs + mine - base` in the field's type, or `CONFLICT` where no such number can be kept."""
        start = 0 if base is None else base
        if isinstance(theirs, str) and isinstance(mine, str):
            return f"{_EXACT.subtract(_EXACT.add(Decimal(theirs), Decimal(mine)), Decimal(str(start))):f}"
        if not isinstance(start, int | float) or not isinstance(theirs, int | float) or not isinstance(mine, int | float):
            return CONFLICT
        total = theirs + mine - start
        if isinstance(total, int):
            return total if abs(total) <= INTEGER_MAX else CONFLICT
        return total if isfinite(total) else CONFLICT
