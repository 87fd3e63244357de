"""The two ladders of a work order: which state can follow which, and which urgency outranks which.

The `workflow` policy reads them when two people write at once: where one state can be reached from the other,
the later one stands; where neither can (DONE beside CANCELLED) or both (ON_HOLD beside IN_PROGRESS), people
must choose.

| state | means |
|---|---|
| OPEN | reported, nobody's job yet |
| ASSIGNED | a contractor has it |
| IN_PROGRESS, ON_HOLD | work has begun; it waits for a part or for access |
| DONE | the contractor says so, and has signed |
| CLOSED | the office has checked it |
| CANCELLED | will not be done |
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["OPEN", "ASSIGNED", "IN_PROGRESS", "ON_HOLD", "DONE", "CLOSED", "CANCELLED"]
Priority: TypeAlias = Literal["LOW", "MEDIUM", "HIGH", "EMERGENCY"]

STATUS_TRANSITIONS: Mapping[str, Sequence[str]] = {
    "OPEN": ["ASSIGNED", "CANCELLED"],
    "ASSIGNED": ["IN_PROGRESS", "CANCELLED"],
    "IN_PROGRESS": ["ON_HOLD", "DONE", "CANCELLED"],
    "ON_HOLD": ["IN_PROGRESS", "CANCELLED"],
    "DONE": ["CLOSED"],
}
"""What can follow each state. `CLOSED` and `CANCELLED` are ends."""

PRIORITY_LADDER: Mapping[str, Sequence[str]] = {"LOW": ["MEDIUM"], "MEDIUM": ["HIGH"], "HIGH": ["EMERGENCY"]}
"""Of two urgencies written at once the greater one stands: a needless visit costs less than a gas leak."""

CONTRACTOR_STATUSES = frozenset({"IN_PROGRESS", "ON_HOLD", "DONE"})
"""The states that a contractor may put a work order into; the others are the office's."""
