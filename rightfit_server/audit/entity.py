"""The audit of one record: what its history comes to, and the state that each change is in.

`apply` is pure, so the accepted changes of a record, folded from nothing, give the stored record again,
sibling by sibling. Where they do not, something was changed behind the history's back.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rightfit_server.audit.report import Finding, State
from rightfit_server.ingest.document import document
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import conflicts
from rightfit_sync.life import LIFE_PATH
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value, canonical

APPLIED = frozenset({"applied", "merged", "conflicted"})
"""Outcomes of changes that the record is made of; a duplicate is in it under its other name."""


class Answered(msgspec.Struct, frozen=True):
    """One row of the history."""

    change: Change
    outcome: Outcome


class Stored(msgspec.Struct, frozen=True):
    """One record as the database has it; `open_conflicts` are the ids in the list."""

    entity: Entity
    document: Mapping[str, Value]
    is_deleted: bool
    orphans: Sequence[str]
    open_conflicts: frozenset[str]


def findings(
    name: str, history: Sequence[Answered], stored: Stored | None, schema: Schema
) -> Iterator[Finding]:
    """Yield what is wrong with the record `name`."""
    accepted = [one.change for one in history if one.outcome.status in APPLIED]
    if stored is None:
        if accepted:
            yield Finding("missing", name, f"{len(accepted)} accepted changes, and the record is not stored")
        return
    folded, left = fold(accepted, schema)
    if left:
        yield Finding("fold", name, f"{len(left)} accepted changes do not fit on what came before them")
    elif folded is None:
        yield Finding("fold", name, "the record is stored, and its history has no accepted change")
    elif form(folded) != form(stored.entity):
        yield Finding(
            "fold",
            name,
            f"the stored record is not what its history comes to: {_unequal(folded, stored.entity)}",
        )
    yield from _views(name, stored, schema)


def _views(name: str, stored: Stored, schema: Schema) -> Iterator[Finding]:
    kind = schema.kinds.get(stored.entity.kind)
    if kind is None:
        return
    expected = msgspec.json.decode(document(stored.entity, kind))
    if canonical(expected) != canonical(stored.document):
        fields = [
            field
            for field in sorted({*expected, *stored.document})
            if expected.get(field) != stored.document.get(field)
        ]
        yield Finding(
            "document", name, f"SQL shows other values of {', '.join(fields)} than the record holds"
        )
    due = {one.conflict_id for one in conflicts(stored.entity, schema, stored.orphans)}
    if due != stored.open_conflicts:
        yield Finding(
            "conflict",
            name,
            f"{len(due - stored.open_conflicts)} conflicts are not listed,"
            f" {len(stored.open_conflicts - due)} are listed and settled",
        )


def fold(changes: Sequence[Change], schema: Schema) -> tuple[Entity | None, list[Change]]:
    """Return what `changes` come to, and those that fit nowhere.

    They come in the order of the history; within one commit a consequence may stand before its cause, so a
    change whose base is not there yet waits for it.
    """
    entity: Entity | None = None
    waiting = list(changes)
    while waiting:
        for change in waiting:
            after, outcome = apply(entity, change, schema)
            if outcome.status in APPLIED:
                break
        else:
            return entity, waiting
        entity = after
        waiting.remove(change)
    return entity, []


def form(entity: Entity) -> bytes:
    """Return the one byte string that stands for a record."""
    return canonical(msgspec.to_builtins(entity))


def _unequal(folded: Entity, stored: Entity) -> str:
    paths = [
        path
        for path in sorted({*folded.fields, *stored.fields})
        if canonical(msgspec.to_builtins(folded.fields.get(path)))
        != canonical(msgspec.to_builtins(stored.fields.get(path)))
    ]
    return ", ".join(paths) or "its life records or its version vector differ"


def states(history: Sequence[Answered], stored: Stored | None, schema: Schema) -> Iterator[State]:
    """Yield the state of each change of one record."""
    shown, disputed = _dots(stored, schema)
    for one in history:
        status, dot = one.outcome.status, one.change.dot
        if status == "rejected":
            yield "rejected"
        elif status == "void":
            yield "void"
        elif status == "duplicate":
            yield "repeated"
        elif stored is None:
            yield "lost"
        elif dot in disputed:
            yield "in conflict"
        else:
            yield "visible" if dot in shown else "superseded"


def _dots(stored: Stored | None, schema: Schema) -> tuple[set[Dot], set[Dot]]:
    """Return the dots that a record shows, and those that stand in a conflict of values or of life."""
    if stored is None:
        return set(), set()
    entity = stored.entity
    shown = {dot.dot for siblings in entity.fields.values() for one in siblings for dot in one.dots}
    shown |= {record.dot for record in entity.life}
    found = conflicts(entity, schema, stored.orphans)
    disputed = {dot for one in found if one.reason in ("siblings", "removed_item") for dot in one.dots}
    disputed |= {record.dot for record in entity.life if any(one.path == LIFE_PATH for one in found)}
    return shown, disputed
