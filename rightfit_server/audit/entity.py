"""The audit of one record: what its history comes to, and the state that each change is in.

`apply` and `join` are pure, so the accepted changes of a record and the states of it that devices gave back after a
restore, folded from nothing, give the stored record again, sibling by sibling. Where they do not, something was changed
behind the history's back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from rightfit_server.audit.report import Finding, State
from rightfit_server.ingest.document import document
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import conflicts
from rightfit_sync.ingest.snapshot import NO_PAST, Past, Recorded
from rightfit_sync.ingest.twins import rejoined
from rightfit_sync.life import LIFE_PATH, delete_conflict, is_deleted
from rightfit_sync.records import APPLIED, Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value, canonical
from rightfit_sync.view import shown_values

_ANSWERS: Mapping[str, State] = {"rejected": "rejected", "void": "void", "duplicate": "repeated"}
"""Outcomes that say all about the state of a change."""


class Answered(msgspec.Struct, frozen=True):
    """One row of the history."""

    change: Change
    outcome: Outcome
    commit_seq: int = 0
    digest: str = ""


class Joined(msgspec.Struct, frozen=True):
    """A state that a device gave back after a restore, as it was joined in."""

    entity: Entity
    commit_seq: int = 0


Step: TypeAlias = Recorded | Entity
"""What a record is folded of: changes to apply, states to join."""


class Stored(msgspec.Struct, frozen=True):
    """One record as the database has it; `open_conflicts` are the ids in the list."""

    entity: Entity
    document: Mapping[str, Value]
    is_deleted: bool
    orphans: Sequence[str]
    open_conflicts: frozenset[str]


class Grave(msgspec.Struct, frozen=True):
    """A tombstone that was collected: the last commit of the record, and what had gone into it by then."""

    commit_seq: int
    version_vector: Mapping[str, int]


def buried(
    history: Sequence[Answered | Joined], graves: Sequence[Grave]
) -> tuple[list[tuple[list[Answered | Joined], Grave]], list[Answered | Joined]]:
    """Return the history of each collected life of a record with its grave, and the history since the last."""
    lives = []
    rest = list(history)
    for grave in graves:
        lives.append(([one for one in rest if one.commit_seq <= grave.commit_seq], grave))
        rest = [one for one in rest if one.commit_seq > grave.commit_seq]
    return lives, rest


def grave_findings(
    name: str, history: Sequence[Answered | Joined], grave: Grave, schema: Schema
) -> Iterator[Finding]:
    """Yield what is wrong with the grave of a record: it must hold one that was deleted, undisputed and whole."""
    folded, left = fold(_commits(history), schema)
    kind = None if folded is None else schema.kinds.get(folded.kind)
    if folded is None or left or dict(folded.version_vector) != dict(grave.version_vector):
        yield Finding("purged", name, "what was collected is not what its history comes to")
    elif kind is not None and (not is_deleted(folded, kind) or delete_conflict(folded, kind) is not None):
        yield Finding("purged", name, "it was collected, and its history says that it is not deleted")


def grave_states(history: Sequence[Answered | Joined]) -> Iterator[State]:
    """Yield the state of each change of a collected record: all are superseded, by the delete that had seen them."""
    for one in _answered(history):
        yield _ANSWERS.get(one.outcome.status, "superseded")


def findings(
    name: str, history: Sequence[Answered | Joined], stored: Stored | None, schema: Schema
) -> Iterator[Finding]:
    """Yield what is wrong with the record `name`."""
    commits = _commits(history)
    if stored is None:
        if commits:
            number = sum(map(len, commits))
            yield Finding("missing", name, f"{number} accepted changes, and the record is not stored")
        return
    folded, left = fold(commits, schema)
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
    expected = msgspec.json.decode(document(shown_values(stored.entity), kind))
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


def _answered(history: Sequence[Answered | Joined]) -> list[Answered]:
    return [one for one in history if isinstance(one, Answered)]


def _commits(history: Sequence[Answered | Joined]) -> list[list[Step]]:
    """Return what a record is made of, by commit."""
    steps: dict[int, list[Step]] = {}
    for one in history:
        if isinstance(one, Joined):
            steps.setdefault(one.commit_seq, []).append(one.entity)
        elif one.outcome.status in APPLIED:
            steps.setdefault(one.commit_seq, []).append(Recorded(one.change, one.digest, one.outcome))
    return [steps[commit_seq] for commit_seq in sorted(steps)]


def fold(commits: Sequence[Sequence[Step]], schema: Schema) -> tuple[Entity | None, list[Step]]:
    """Return what `commits` come to, and what fits nowhere.

    Within one commit a consequence may stand before its cause, so a change whose base is not there yet waits for it.
    """
    entity: Entity | None = None
    left: list[Step] = []
    past = NO_PAST
    for steps in commits:
        waiting = [*left, *steps]
        left = []
        while waiting:
            found = next(_fitting(entity, waiting, past, schema), None)
            if found is None:
                left = waiting
                break
            step, entity = found
            waiting.remove(step)
            past = past.after(step)
    return entity, left


def _fitting(
    entity: Entity | None, steps: Sequence[Step], past: Past, schema: Schema
) -> Iterator[tuple[Step, Entity | None]]:
    """Yield each of `steps` that can come next, with what `entity`, which `past` has made, is then."""
    for step in steps:
        if isinstance(step, Entity):
            yield step, step if entity is None else rejoined(entity, step, past)
            continue
        after, outcome = apply(entity, step.change, schema)
        if outcome.status in APPLIED:
            yield step, after


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


def states(history: Sequence[Answered | Joined], stored: Stored | None, schema: Schema) -> Iterator[State]:
    """Yield the state of each change of one record."""
    shown, disputed = _dots(stored, schema)
    for one in _answered(history):
        status, dot = one.outcome.status, one.change.dot
        if status in _ANSWERS:
            yield _ANSWERS[status]
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
