"""Maximum and minimum: monotone over the values that an edit replaces, also on fast-forward; commute.

Only a resolution goes back. Null is outside the order: clearing the field is a plain edit.
"""

from collections.abc import Sequence
from decimal import Decimal

from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.schema.types import as_decimal
from rightfit_sync.values import Value, canonical, same


class Extremum(Policy):
    """The greatest (or least) value that anybody wrote. Strings (dates, versions) compare as code points."""

    merges = True

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        self._greatest = spec.merge != "minimum"

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return the further of the two, or `CONFLICT` where they cannot be compared."""
        left, right = self._ordered(theirs), self._ordered(mine)
        if left is None or type(left) is not type(right):
            return CONFLICT
        if left == right:
            # One number in two spellings ("1.0", "1.00"): the one that is new, else whichever, but not who came first.
            moved = [value for value in (theirs, mine) if not same(value, base)]
            return max(moved or [theirs], key=canonical)
        return mine if self._is_beyond(mine, theirs) else theirs

    def advance(self, replaced: Sequence[Value], mine: Value) -> Value:
        """Return the furthest of `mine` and the values that it replaces."""
        for value in replaced:
            if self._is_beyond(value, mine):
                mine = value
        return mine

    def _is_beyond(self, value: Value, other: Value) -> bool:
        left, right = self._ordered(value), self._ordered(other)
        if isinstance(left, Decimal) and isinstance(right, Decimal):
            return left > right if self._greatest else left < right
        if isinstance(left, str) and isinstance(right, str):
            return left > right if self._greatest else left < right
        return False

    def _ordered(self, value: Value) -> Decimal | str | None:
        return value if isinstance(value, str) and self.spec.type != "decimal" else as_decimal(value)
