"""What became of the conflicting edits of W4, judged by what both replicas and a fresh one show after quiet.

An edit is there if all three show it. It is on record if not all show it, but one of them keeps its value as the other
side of a conflict, where an application can find it. Else it is lost, and nobody was told.
"""

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.peers.workload import Conflicts, Edit

Values = Mapping[str, object]


class Shown(msgspec.Struct, frozen=True):
    """After quiet: each replica's record by id, the server's as a fresh replica gets it, and what is on record."""

    one: Mapping[str, Values]
    other: Mapping[str, Values]
    server: Mapping[str, Values]
    kept: Mapping[str, Sequence[Values]]

    def fate(self, edit: Edit) -> str:
        """Return `there`, `on record` or `lost`."""
        views = (self.one, self.other, self.server)
        if all(view[edit.id].get(edit.field) == edit.value for view in views):
            return "there"
        on_record = any(values.get(edit.field) == edit.value for values in self.kept.get(edit.id, ()))
        return "on record" if on_record else "lost"


class Verdict(msgspec.Struct, frozen=True):
    """How many records: `apart` were edited in different fields, `together` in the same one.

    `merged`: both edits are there. `hidden`: different fields, yet one edit is on record only. `kept`: the same field,
    one edit there and the other on record. `open`: neither edit is there everywhere, each is on record. `lost`: an edit
    of the record is lost. `differ`: the replicas and the server do not show the same.
    """

    apart: int
    together: int
    merged: int
    hidden: int
    kept: int
    open: int
    lost: int
    differ: int


def judge(edits: Conflicts, shown: Shown) -> Verdict:
    """Return what became of the records that both sides edited."""
    apart = {one.id for one, other in zip(edits.one, edits.other, strict=True) if one.field != other.field}
    became: dict[str, int] = dict.fromkeys(("merged", "hidden", "kept", "open", "lost"), 0)
    for one, other in zip(edits.one, edits.other, strict=True):
        became[_became(one.id in apart, {shown.fate(one), shown.fate(other)})] += 1
    ids = [one.id for one in edits.one]
    differ = sum(not shown.one[each] == shown.other[each] == shown.server[each] for each in ids)
    return Verdict(apart=len(apart), together=len(ids) - len(apart), differ=differ, **became)


def _became(apart: bool, fates: set[str]) -> str:
    if "lost" in fates:
        return "lost"
    if fates == {"there"}:
        return "merged"
    if fates == {"on record"}:
        return "open"
    return "hidden" if apart else "kept"
