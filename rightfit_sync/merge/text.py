"""Text: operational transformation on code points, see `rightfit_sync.text`.

`on_overlap="conflict"` (default): edits of the same words stay beside each other, with the transformed text as a
suggestion. `on_overlap="merge"`: always one text; two inserts at one place are ordered by their dots.
"""

from rightfit_sync import text
from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.schema.types import quick_tests
from rightfit_sync.values import Value


class Text(Policy):
    """A text that several people edit. A missing base is the empty text."""

    merges = True
    freezes_view = True

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        if type(self).problem is Text.problem:
            self.takes = quick_tests(FieldSpec(type="str"))

    def problem(self, value: Value) -> str | None:
        """Return why `value` is no text, or None."""
        return None if value is None or isinstance(value, str) else "expected a text"

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return both edits in one text, or `CONFLICT` where they touch the same words and that matters."""
        start = base if isinstance(base, str) else ""
        if not isinstance(theirs, str) or not isinstance(mine, str):
            return CONFLICT
        if self.spec.on_overlap == "conflict" and text.overlaps(start, theirs, mine):
            return CONFLICT
        return _transformed(start, theirs, mine, mine_first)

    def suggest(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> str | None:
        """Return the text that `on_overlap="merge"` would have made."""
        if not isinstance(theirs, str) or not isinstance(mine, str):
            return None
        return _transformed(base if isinstance(base, str) else "", theirs, mine, mine_first)


def _transformed(base: str, theirs: str, mine: str, mine_first: bool) -> str:
    return text.merge(base, mine, theirs) if mine_first else text.merge(base, theirs, mine)
