"""Merge groups: several fields as one path with a composite value; never half of one side and half of the other.

A group merges by the policy of its lead member, if the loser's other members equal `base` or the winner's; it
conflicts as a whole otherwise, and so do equal leads with different members. Without a lead it is a register.
"""

from collections.abc import Mapping

from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.schema.spec import FieldSpec, GroupSpec
from rightfit_sync.values import Value, same


class Group(Policy):
    """The path of a group. Each value is a map that holds exactly the members."""

    def __init__(self, spec: GroupSpec, members: Mapping[str, Policy]) -> None:
        super().__init__(FieldSpec(merge="group", type="map"))
        self._group = spec
        self._members = members
        self._lead = members[spec.lead] if spec.lead is not None else None
        self.merges = self._lead is not None and self._lead.merges

    def problem(self, value: Value) -> str | None:
        """Return why `value` is not a whole group, or None."""
        if not isinstance(value, Mapping) or set(value) != set(self._members):
            return f"a patch of this group carries all members: {', '.join(sorted(self._members))}"
        for name, policy in self._members.items():
            found = policy.problem(value[name])
            if found is not None:
                return f"member {name}: {found}"
        return None

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        """Return the whole value of the side that the lead chooses, or `CONFLICT`."""
        if self._lead is None or not isinstance(theirs, Mapping) or not isinstance(mine, Mapping):
            return CONFLICT
        lead = self._group.lead
        start = base if isinstance(base, Mapping) else {}
        left, right = theirs[lead], mine[lead]
        if left is None or right is None or same(left, right):
            return CONFLICT
        chosen = self._lead.merge(start.get(lead), left, right, mine_first=mine_first)
        if chosen is CONFLICT or not (same(chosen, left) or same(chosen, right)):
            return CONFLICT
        winner, loser = (theirs, mine) if same(chosen, left) else (mine, theirs)
        for name in self._members:
            kept = same(loser[name], start.get(name)) or same(loser[name], winner[name])
            if name != lead and not kept:
                return CONFLICT
        return dict(winner)
