"""Workflow: a graph of transitions decides which of two states is the later one; commutes.

If one side's state can be reached from the other's, that one; both (a cycle) or neither: a conflict.
"""

from collections.abc import Mapping, Sequence

from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.values import Value


class Workflow(Policy):
    """A state whose `transitions`, `{state: [next states]}`, the schema declares."""

    merges = True

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(spec)
        self._reachable = {state: _reachable(spec.transitions, state) for state in spec.transitions}

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return the later state, or `CONFLICT`."""
        if not isinstance(theirs, str) or not isinstance(mine, str):
            return CONFLICT
        mine_is_later = mine in self._reachable.get(theirs, ())
        theirs_is_later = theirs in self._reachable.get(mine, ())
        if mine_is_later == theirs_is_later:
            return CONFLICT
        return mine if mine_is_later else theirs


def _reachable(transitions: Mapping[str, Sequence[str]], start: str) -> frozenset[str]:
    reached: set[str] = set()
    waiting = list(transitions.get(start, ()))
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting.extend(transitions.get(state, ()))
    return frozenset(reached)
