"""The account: what became of every change in the journals, by the evidence of the server's database.

Exactly one of these is true of each (docs/explanation/semantics.md, section 1):

| fate | found how |
|---|---|
| rejected | the server's list of answers holds it as rejected, and the author's replica keeps its payload |
| in conflict | one of several values that a field holds bears it out; or a delete stands against an edit |
| visible | the record shows it; *merged* if the field shows what nobody wrote in one piece |
| superseded | somebody whose screen bore it out wrote something else there, or deleted the record |
| lost | none of these |

What was written in one change may end differently field by field: it counts by the worst.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

import msgspec
from msgspec import UNSET

from rightfit_server.demo.claims import Claim, claims_of
from rightfit_server.demo.evidence import Held, Key, Refused, ServerEvidence
from rightfit_server.demo.journal import Entry, Write
from rightfit_server.demo.sums import missing
from rightfit_sync.paths import root
from rightfit_sync.records import Change
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.values import Value, canonical, same

LIFE = "life"
"""The path of a conflict between a delete and an edit."""


class Fate(IntEnum):
    """What became of a change; the greater, the worse."""

    SUPERSEDED = 0
    VISIBLE = 1
    MERGED = 2
    IN_CONFLICT = 3
    REJECTED = 4
    LOST = 5


class Account(msgspec.Struct, frozen=True):
    """Every durable change with its fate."""

    fates: Sequence[tuple[Write, Fate]]

    def count(self, *fates: Fate) -> int:
        """Return how many changes met one of these."""
        return sum(fate in fates for _, fate in self.fates)

    def lost(self) -> list[Write]:
        """Return the changes that nobody can find any more."""
        return [write for write, fate in self.fates if fate is Fate.LOST]

    def sentence(self) -> str:
        """Return the one line that says it all."""
        visible = self.count(Fate.VISIBLE, Fate.MERGED)
        return (
            f"{len(self.fates)} changes: {visible} visible ({self.count(Fate.MERGED)} merged),"
            f" {self.count(Fate.SUPERSEDED)} superseded, {self.count(Fate.IN_CONFLICT)} in conflict,"
            f" {self.count(Fate.REJECTED)} rejected, {self.count(Fate.LOST)} lost"
        )


def account(
    entries: Sequence[Entry], server: ServerEvidence, kept: frozenset[tuple[str, int]], schema: Schema
) -> Account:
    """Return the fate of every change of the journals; `kept` are the dots in the replicas' rejected lists.

    A change of which the journal does not know whether it became durable counts only where it is found.
    """
    judge = _Judge(entries, server, kept, schema)
    fates = []
    for entry in entries:
        fate = judge.fate(entry.write)
        if entry.is_durable or fate is not Fate.LOST:
            fates.append((entry.write, fate))
    return Account(fates)


class _Judge:
    def __init__(
        self,
        entries: Sequence[Entry],
        server: ServerEvidence,
        kept: frozenset[tuple[str, int]],
        schema: Schema,
    ) -> None:
        self._server = server
        self._schema = schema
        self._kept = kept
        self._entries: dict[Key, list[Entry]] = {}
        for entry in entries:
            self._entries.setdefault((entry.write.kind, entry.write.entity_id), []).append(entry)
        self._refused = self._matched(entries, server.refused)

    def _matched(
        self, entries: Sequence[Entry], refused: Iterable[Refused]
    ) -> dict[tuple[str, int], Refused]:
        """Return which writes, by person and number, the server has rejected."""
        found: dict[tuple[str, int], Refused] = {}
        for one in refused:
            key = (one.change.kind, one.change.entity_id)
            for entry in self._entries.get(key, ()):
                write = entry.write
                if (write.person, write.number) not in found and self._is_of(one, write):
                    found[write.person, write.number] = one
                    break
        return found

    def _is_of(self, refused: Refused, write: Write) -> bool:
        if write.person != refused.subject_id or not _same_op(write, refused.change):
            return False
        kind = self._schema.kinds[write.kind]
        paths = {root(path) for path in refused.change.patches}
        return all(
            _is_patched(refused.change, kind, field, value, paths) for field, value in write.wrote.items()
        )

    def fate(self, write: Write) -> Fate:
        """Return what became of `write`."""
        refused = self._refused.get((write.person, write.number))
        if refused is not None:
            dot = refused.change.dot
            return Fate.REJECTED if (dot.device_id, dot.counter) in self._kept else Fate.LOST
        held = self._server.held.get((write.kind, write.entity_id))
        if held is None:
            return Fate.LOST
        if write.op == "delete" or write.path == LIFE:
            return self._life_fate(write, held)
        kind = self._schema.kinds[write.kind]
        fates = [
            self._claim_fate(claim, write, held)
            for field, value in write.wrote.items()
            for claim in claims_of(field, kind.fields[field], write.saw.get(field), value)
        ]
        return max(fates, default=Fate.SUPERSEDED if held.is_deleted else Fate.VISIBLE)

    def _life_fate(self, write: Write, held: Held) -> Fate:
        key = (write.kind, write.entity_id)
        if any(found == key and path == LIFE for found, path, _ in self._server.open_conflicts):
            return Fate.IN_CONFLICT
        wants_it_gone = write.op == "delete" or write.wrote.get(LIFE) == "delete"
        if held.is_deleted is wants_it_gone:
            return Fate.VISIBLE
        others = [one for one in self._entries[key] if one.write is not write]
        decided = any(one.write.path == LIFE or one.write.op == "delete" for one in others)
        return Fate.SUPERSEDED if decided else Fate.LOST

    def _claim_fate(self, claim: Claim, write: Write, held: Held) -> Fate:
        spec = self._schema.kinds[write.kind].fields[claim.field]
        if held.is_deleted:
            return Fate.SUPERSEDED if self._was_overwritten(claim, write) else Fate.LOST
        siblings = _siblings(held, claim, self._schema.kinds[write.kind])
        if len(siblings) > 1 and any(claim.holds(sibling) for sibling in siblings):
            return Fate.IN_CONFLICT
        shown = held.document.get(claim.field)
        if spec.merge == "counter":
            return self._counted(claim, write, shown)
        if claim.holds(shown):
            return Fate.VISIBLE if self._is_somebodys(claim.field, write, shown) else Fate.MERGED
        if self._was_overwritten(claim, write):
            return Fate.SUPERSEDED
        return Fate.MERGED if _outranks(spec, shown, claim.value) else Fate.LOST

    def _was_overwritten(self, claim: Claim, write: Write) -> bool:
        """Whether somebody whose screen bore `claim` out wrote something else there."""
        for entry in self._entries[write.kind, write.entity_id]:
            later = entry.write
            if later is write or not any(claim.holds(one) for one in _screens(later, claim.field)):
                continue
            if later.op == "delete" or later.wrote.get(LIFE) == "delete":
                return True
            if claim.field in later.wrote and not claim.holds(later.wrote[claim.field]):
                return True
        return False

    def _counted(self, claim: Claim, write: Write, shown: Value) -> Fate:
        entries = [
            entry
            for entry in self._entries[write.kind, write.entity_id]
            if claim.field in entry.write.wrote
            and (entry.write.person, entry.write.number) not in self._refused
        ]
        if (write.person, write.number) in missing(entries, claim.field, shown):
            return Fate.LOST
        if same(shown, claim.value):
            return Fate.VISIBLE
        return Fate.SUPERSEDED if self._was_overwritten(claim, write) else Fate.MERGED

    def _is_somebodys(self, field: str, write: Write, shown: Value) -> bool:
        """Whether somebody wrote the whole of what the field shows."""
        writes = (entry.write.wrote for entry in self._entries[write.kind, write.entity_id])
        return any(_looks_same(wrote[field], shown) for wrote in writes if field in wrote)


def _same_op(write: Write, change: Change) -> bool:
    if write.path == LIFE:
        return change.op in ("delete", "restore")
    return write.op == change.op


def _is_patched(change: Change, kind: KindSpec, field: str, value: Value, paths: Iterable[str]) -> bool:
    """Whether `change` patches `field`; where a patch holds a plain value, with this very one."""
    for name, group in kind.groups.items():
        if field in group.members and name in paths:
            composite = change.patches[name].value
            return isinstance(composite, Mapping) and same(composite.get(field), value)
    if field not in change.patches:
        return field in paths
    patch = change.patches[field]
    return patch.value is UNSET or same(patch.value, value)


def _siblings(held: Held, claim: Claim, kind: KindSpec) -> list[Value]:
    """Return the values that the field holds, each as a screen would show it."""
    fields = held.entity.fields
    for name, group in kind.groups.items():
        if claim.field in group.members:
            composites = [sibling.value for sibling in fields.get(name, ())]
            return [one.get(claim.field) for one in composites if isinstance(one, Mapping)]
    values = [sibling.value for sibling in fields.get(claim.path, ())]
    # A screen shows a container whole, so that an element's value stands inside of it.
    return [_inside(claim.keys, value) for value in values] if claim.keys else values


def _inside(keys: Sequence[str], value: Value) -> Value:
    for key in reversed(keys):
        value = {key: value}
    return value


def _screens(write: Write, field: str) -> list[Value]:
    choices = [one.get(field) if isinstance(one, Mapping) else one for one in write.choices]
    return [write.saw.get(field), *choices]


def _looks_same(wrote: Value, shown: Value) -> bool:
    if isinstance(wrote, list | tuple) and isinstance(shown, list | tuple):
        return sorted(map(_without_position, wrote)) == sorted(map(_without_position, shown))
    return same(wrote, shown)


def _without_position(element: Value) -> bytes:
    if isinstance(element, Mapping):
        return canonical({name: value for name, value in element.items() if name != "position"})
    return canonical(element)


def _outranks(spec: FieldSpec, shown: Value, value: Value) -> bool:
    """Whether `shown` stands for both by the field's own rule: a later state, a greater or lesser value."""
    if spec.merge == "workflow":
        return _follows(spec.transitions, str(value), shown)
    if spec.merge not in ("maximum", "minimum") or not isinstance(shown, str) or not isinstance(value, str):
        return False
    return shown > value if spec.merge == "maximum" else shown < value


def _follows(transitions: Mapping[str, Sequence[str]], start: str, end: Value) -> bool:
    reached, waiting = set[str](), [start]
    while waiting:
        for state in transitions.get(waiting.pop(), ()):
            if state not in reached:
                reached.add(state)
                waiting.append(state)
    return end in reached
