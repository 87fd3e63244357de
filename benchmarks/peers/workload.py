"""What every peer plays: the records of `benchmarks.workload` and the edits of W3, W4 and W6, as one JSON file.

The edits are those of `benchmarks.syncing`: W3 moves the status of the first records that can move, W4 edits the next
ones on both sides, the first half of them in different fields (title, status), the other half in the same (title).
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.application import TRANSITIONS
from benchmarks.workload import Record, records

EDITS_MAX = 1_000
_RECORDS_PER_EDIT = 3
_LIVE_EDITS = 105


class Edit(msgspec.Struct, frozen=True):
    """One field of one record gets a value."""

    id: str
    field: str
    value: str


class Conflicts(msgspec.Struct, frozen=True):
    """What the one and the other replica do while both are offline: an edit of each record on each side."""

    one: Sequence[Edit]
    other: Sequence[Edit]


class Workload(msgspec.Struct, frozen=True):
    """All that a peer needs to know."""

    records: Sequence[Record]
    one_field: Sequence[Edit]
    conflicts: Conflicts
    live: Sequence[Edit]

    def keep(self, path: Path) -> Path:
        """Write it to a file, and return that."""
        path.write_bytes(msgspec.json.encode(self))
        return path


def edit_count(count: int) -> int:
    """Return how many of `count` records W3 edits, and how many others W4."""
    return min(EDITS_MAX, count // _RECORDS_PER_EDIT)


def workload(count: int) -> Workload:
    """Return the workload with `count` records."""
    made = records(count)
    edits = edit_count(count)
    editable = [one for one in made if one.status in TRANSITIONS]
    both = editable[edits : 2 * edits]
    apart, together = both[: len(both) // 2], both[len(both) // 2 :]
    return Workload(
        records=made,
        one_field=[_status(one) for one in editable[:edits]],
        conflicts=Conflicts(
            one=[_title("One", one) for one in both],
            other=[*map(_status, apart), *(_title("Other", one) for one in together)],
        ),
        live=[Edit(made[-1].id, "title", f"live {number}") for number in range(_LIVE_EDITS)],
    )


def _status(record: Record) -> Edit:
    return Edit(record.id, "status", TRANSITIONS[record.status][0])


def _title(side: str, record: Record) -> Edit:
    return Edit(record.id, "title", f"{side} {record.id}")
