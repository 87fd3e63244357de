"""Elements of a set: observed-remove.

A removal takes away the dots that it lists and leaves none of its own; an element is present while the dot of an
add remains. So an add that the remover had not seen survives, in any order (Shapiro et al., 2011, OR-set).
"""

from rightfit_sync.merge.policy import Policy
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.schema.types import quick_tests
from rightfit_sync.values import Value


class SetElement(Policy):
    """The path `tags/<element>`: true while present, gone otherwise."""

    removes = True

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        if type(self).problem is SetElement.problem:
            tests = quick_tests(FieldSpec(type="bool"))
            self.takes = {**tests, bool: True.__eq__}

    def problem(self, value: Value) -> str | None:
        """Return why `value` is neither true (add) nor null (remove), or None."""
        return (
            None if value is True or value is None else "a set element is added with true, removed with null"
        )
