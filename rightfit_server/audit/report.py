"""What an audit finds: each change in exactly one state, and where the database contradicts itself.

| check | the database must say |
|---|---|
| `counter` | every device's counters are there without a gap, up to the one that its row names |
| `fold` | each stored record is what its accepted changes come to through `apply`, and nothing else |
| `missing` | what has accepted changes is stored, or was collected as a tombstone |
| `purged` | what was collected was deleted, nobody can have missed it, and no record names it |
| `document` | what SQL and reports read is what the record holds |
| `conflict` | each record's conflicts are open in the list, and no others |
| `payload` | a change that was not accepted is kept, with its reason |
| `feed` | the feed's numbers are given out once, and none is beyond the tenant's head |
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

Check: TypeAlias = Literal["counter", "fold", "missing", "document", "conflict", "payload", "feed", "purged"]
State: TypeAlias = Literal["visible", "superseded", "in conflict", "rejected", "void", "repeated", "lost"]


class Finding(msgspec.Struct, frozen=True):
    """One contradiction: which check, where (a device, a record), and what is wrong."""

    check: Check
    place: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """The audit of one tenant: its changes by state, and what is wrong."""

    tenant_id: str
    changes: int
    states: Mapping[State, int]
    entities: int
    findings: Sequence[Finding]

    @property
    def is_good(self) -> bool:
        """Whether every change is accounted for."""
        return not self.findings
