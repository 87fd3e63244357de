"""The records that everything is made of, each exactly the JSON of docs/explanation/semantics.md, section 10.

`msgspec.convert(obj, Change)` and `msgspec.to_builtins(entity)` read and write that JSON; MessagePack has the
same keys. Keys that section 10 does not show (`was`, `ops`, ...) are absent unless they say something. All records
are frozen: lists inside them are never changed in place. So no record is ever part of a cycle, and the garbage
collector is told not to look at them (`gc=False`): a page makes tens of thousands.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.twins import NO_TWINS, Twins, sees
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.values import Value

ChangeOp: TypeAlias = Literal["create", "edit", "delete", "restore", "resolve", "void"]
OutcomeStatus: TypeAlias = Literal["applied", "merged", "conflicted", "duplicate", "rejected", "void"]


RECEIPT_LOST: Final = "receipt_lost"
"""The rejection of a change that may have arrived in a past that the authority has lost: a person must look."""

APPLIED: frozenset[OutcomeStatus] = frozenset({"applied", "merged", "conflicted"})
"""Outcomes of changes that an entity is made of; a duplicate is in it under another dot."""


class Patch(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One path's part of a change.

    `value` is what the writer wants, `base` what it saw there (the common ancestor; absent in creates and where
    nothing was), `replaces` the dots that it had seen and means to replace. A text patch may carry `ops`, an
    operation of `rightfit_sync.text` against `base`, instead of `value`.
    """

    value: Value | UnsetType = UNSET
    base: Value | UnsetType = UNSET
    replaces: Sequence[Dot] | UnsetType = UNSET
    ops: Sequence[Value] | UnsetType = UNSET

    @property
    def replaced(self) -> Sequence[Dot]:
        """The dots to replace; empty where none are named."""
        return () if self.replaces is UNSET else self.replaces


class Alias(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The former name of a change that was given a new dot: `[dot, digest]`."""

    dot: Dot
    digest: str


class Named(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """Of a change that has several dots: one of them, and the name under which it was first made durable."""

    dot: Dot
    was: Alias


class Change(msgspec.Struct, frozen=True, gc=False):
    """What one device did to one entity at one moment.

    `base` is the version vector that the writer's screen showed, `written_at` milliseconds since 1970 UTC (for
    people and for display order only). Changes with one `transaction_id` stand and fall together. `was` names
    the change under its first device id, `formerly` under all those between that and the present one. A void
    carries the `digest` and `reason` of the change it stands for; a cascade names in `cascade_of` the entity,
    `[kind, entity_id]`, whose delete brought it about. `absent` are earlier dots of the device for
    the same entity that were not accepted: those that it knows of, and in the history all that the authority does.
    """

    dot: Dot
    kind: str
    entity_id: str
    op: ChangeOp
    base: Mapping[str, int] = {}
    patches: Mapping[str, Patch] = {}
    written_at: int = 0
    transaction_id: str | None = None
    was: Alias | UnsetType = UNSET
    formerly: Sequence[Dot] | UnsetType = UNSET
    digest: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    cascade_of: Sequence[str] | UnsetType = UNSET
    absent: Sequence[Dot] | UnsetType = UNSET


class Sibling(msgspec.Struct, frozen=True, gc=False):
    """One of the concurrent values of a field, with every dot that went into it.

    `resolved` says that a resolution put it there and no edit has replaced it since. Where only some of the dots
    are a resolution's, `resolved_by` lists those; absent, all of them are.
    """

    value: Value
    dots: Sequence[WrittenDot]
    resolved: bool = False
    resolved_by: Sequence[Dot] | UnsetType = UNSET

    @property
    def written_at(self) -> int:
        """The greatest `written_at` of the dots, milliseconds since 1970 UTC."""
        return max(dot.written_at for dot in self.dots)


class LifeRecord(msgspec.Struct, frozen=True, gc=False):
    """A delete or a restore, with the version vector that its author had seen.

    `absent` are the dots that the vector covers although they were not in the entity then.
    """

    op: Literal["delete", "restore"]
    dot: Dot
    version_vector: Mapping[str, int]
    written_at: int
    cascade_of: Sequence[str] | UnsetType = UNSET
    absent: Sequence[Dot] | UnsetType = UNSET

    def saw(self, dot: Dot, twins: Twins = NO_TWINS) -> bool:
        """Whether its author had seen the change that `dot` stands for, under whichever of its dots."""
        if self.absent is UNSET:
            return sees(self.version_vector, dot, twins)
        seen = (one for one in twins.get(dot, (dot,)) if includes(self.version_vector, one))
        return any(one not in self.absent for one in seen)


class Entity(msgspec.Struct, frozen=True, gc=False):
    """One record as one replica holds it: siblings per path, life records, and what is included in them."""

    kind: str
    entity_id: str
    version_vector: Mapping[str, int]
    fields: Mapping[str, Sequence[Sibling]]
    life: Sequence[LifeRecord] = []
    aliases: Sequence[Named] | UnsetType = UNSET
    absent: Sequence[Dot] | UnsetType = UNSET

    @property
    def lacking(self) -> Sequence[Dot]:
        """The absent dots; empty where there are none."""
        return () if self.absent is UNSET else self.absent

    def lacks(self, dot: Dot) -> bool:
        """Whether `dot` is not included although the version vector covers it."""
        return dot in self.lacking

    @property
    def shown_dots(self) -> set[Dot]:
        """The dots of all that can be seen: of siblings and life records."""
        siblings = (sibling for path in self.fields for sibling in self.fields[path])
        return {dot.dot for sibling in siblings for dot in sibling.dots} | {one.dot for one in self.life}

    @property
    def named(self) -> Sequence[Named]:
        """The aliases; empty where there are none."""
        return () if self.aliases is UNSET else self.aliases

    @property
    def twins(self) -> Twins:
        """The dots of each change that has several here."""
        return NO_TWINS if self.aliases is UNSET else twins_of(self.aliases)


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one change; the authority keeps it as the change's receipt.

    `conflicted` lists `paths` (a field's path, an invariant's name, or `conflicts.LIFE_PATH`), and for texts a merged
    text that a person may take (`suggestions`). `rejected` has `code` (a stable word), `path` and `message`.
    `duplicate` may carry the `first` outcome, and the `twin`, under whose dot the same change had been accepted.
    """

    status: OutcomeStatus
    paths: Sequence[str] = ()
    code: str = ""
    path: str = ""
    message: str = ""
    first: "Outcome | None" = None
    suggestions: Mapping[str, str] = {}
    twin: Dot | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the change is part of the entity's history (a duplicate counts as its first outcome)."""
        if self.status == "duplicate" and self.first is not None:
            return self.first.is_accepted
        return self.status in ("applied", "merged", "conflicted", "duplicate")


def twins_of(named: Iterable[Named]) -> Twins:
    """Return all the dots of each change that has several, by each of them."""
    dots: dict[Alias, set[Dot]] = {}
    for one in named:
        dots.setdefault(one.was, set()).add(one.dot)
    several = [frozenset(same) for same in dots.values() if len(same) > 1]
    return {dot: same for same in several for dot in same}


def rejected(code: str, message: str, path: str = "") -> Outcome:
    """Return the outcome of a change that cannot be accepted; `message` says what to do about it."""
    return Outcome(status="rejected", code=code, path=path, message=message)


def encoded(change: Change) -> bytes:
    """Return the canonical form of `change`: JSON with sorted keys."""
    return msgspec.json.encode(change, order="sorted")


def digest(change: Change) -> str:
    """Return 32 hexadecimal digits that stand for the content of `change` in the form first made durable.

    The receipt is kept under it: the same dot with another digest means that a device's id is used twice.
    """
    return digest_of_form(encoded(change))


def digest_of_form(form: bytes) -> str:
    """Return the `digest` of the change whose canonical form this is."""
    return blake2b(form, digest_size=16).hexdigest()
