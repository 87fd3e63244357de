"""What the authority looks at, and what it decides: the inputs and outputs of `ingest.decide`, as data."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.identity import former_dots
from rightfit_sync.records import Alias, Change, Entity, Outcome
from rightfit_sync.schema.spec import KindSpec, Schema

Key: TypeAlias = tuple[str, str]
"""`(kind, entity_id)`."""

Authorize: TypeAlias = Callable[[Entity | None, Change], Outcome | None]
"""Return the rejection of a change of this entity by the pusher (`records.rejected`), or None where it may be made.

What a subject may not even see is answered as if it did not exist (`unknown_entity`).
"""


class Pushed(msgspec.Struct, frozen=True, gc=False):
    """One change as a device sends it: with the digest of the form that it first made durable."""

    change: Change
    digest: str


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The authority's answer to one dot, kept for ever with the change's digest."""

    dot: Dot
    digest: str
    outcome: Outcome


class Device(msgspec.Struct, frozen=True):
    """What the authority knows of the pushing device: its greatest spent counter, and all ids that its replica used."""

    device_id: str
    counter: int
    replica_ids: frozenset[str] = frozenset()


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One change with its outcome: a row of the history, accepted or not.

    An accepted change stands as it was applied (`written_at` clamped to the authority's clock, `base` without rejected
    dots), so that folding the history gives the entity again; `digest` is that of the form the device first made.
    """

    change: Change
    digest: str
    outcome: Outcome


class Past(msgspec.Struct, frozen=True):
    """What an entity is made of: digests of its `applied` changes, version vectors of the states `joined` to it.

    A version vector alone cannot tell, once a past was lost: a dot below its counter may have come to nothing in this
    past and to something in that. `said_again` are those of the changes that had other dots before, by those.
    """

    applied: Mapping[Dot, str] = {}
    joined: Sequence[Mapping[str, int]] = ()
    said_again: Mapping[Dot, Change] = {}

    def holds(self, dot: Dot) -> bool:
        """Whether the change went into the entity, whether or not it can still be seen."""
        return dot in self.applied or any(includes(vector, dot) for vector in self.joined)

    def after(self, step: Recorded | Entity) -> "Past":
        """Return the past once a change has been applied, or a state joined."""
        if isinstance(step, Entity):
            return replace(self, joined=[*self.joined, step.version_vector])
        said_again = {**self.said_again, **dict.fromkeys(former_dots(step.change), step.change)}
        return replace(self, applied={**self.applied, step.change.dot: step.digest}, said_again=said_again)


NO_PAST = Past()


class Snapshot(msgspec.Struct, frozen=True):
    """What `decide` may look at.

    `entities` holds every loaded entity (None: it does not exist), `referrers` per target the keys of the live or dead
    entities that refer to it, `orphans` the paths of a loaded entity whose target is gone, `receipts` those of the
    dots asked for, `aliases` those of accepted changes that carried such a dot in `was`, by that `was`: two clones may
    have spent one dot on different changes, which only the digest tells apart. `is_restored` says that the authority
    has lost a part of its past once, so that references may name what it does not know. `collected` are those of the
    missing entities that were here once: their tombstones were collected. `pasts` are those of the entities that are
    offered, or that the push restores.
    """

    device: Device
    authority_device_id: str
    authority_counter: int
    entities: Mapping[Key, Entity | None]
    receipts: Mapping[Dot, Receipt] = {}
    aliases: Mapping[Alias, Receipt] = {}
    referrers: Mapping[Key, Sequence[Key]] = {}
    orphans: Mapping[Key, Sequence[str]] = {}
    is_restored: bool = False
    collected: frozenset[Key] = frozenset()
    pasts: Mapping[Key, Past] = {}


class NeedMore(msgspec.Struct, frozen=True):
    """What must be added to the snapshot before a decision can be made."""

    entities: Sequence[Key] = ()
    referrers: Sequence[Key] = ()


class Decision(msgspec.Struct, frozen=True):
    """What to write and what to answer.

    `receipts` answer the push, in its order (repeated ones included); `recorded` are the new history rows, in the
    order of their making; `entities` the changed ones, each with its `orphans`; `deferred` the dots that stay pending
    because their kind is unknown here; the counters are the greatest spent ones afterwards; `joined` are states taken
    back from devices (see `offers`); `failures` say which changes made the authority itself fail, and how.
    """

    receipts: Sequence[Receipt]
    recorded: Sequence[Recorded]
    entities: Mapping[Key, Entity]
    orphans: Mapping[Key, Sequence[str]]
    deferred: Sequence[Dot]
    device_counter: int
    authority_counter: int
    joined: Sequence[Entity] = ()
    failures: Mapping[Dot, str] = {}


def wanted(push: Iterable[Pushed], device: Device, schema: Schema) -> tuple[list[Key], list[Dot]]:
    """Return the entities and the dots (for receipts and aliases) that a snapshot for `push` must hold.

    Both come sorted: entities are locked in that order.
    """
    keys: set[Key] = set()
    # In the order of the push, which is nearly that of the dots: sorting them costs next to nothing then.
    dots: dict[Dot, None] = {}
    mine = {device.device_id, *device.replica_ids}
    for pushed in push:
        change = pushed.change
        keys.add((change.kind, change.entity_id))
        kind = schema.kinds.get(change.kind)
        if kind is not None and kind.references:
            keys.update(_targets(change, kind))
        dots[change.dot] = None
        if change.was is not UNSET:
            dots.update(dict.fromkeys(former_dots(change)))
        for device_id, counter in change.base.items():
            if device_id in mine:
                dots[Dot(device_id, counter)] = None
        for patch in change.patches.values():
            if patch.replaces is not UNSET:
                dots.update(dict.fromkeys(dot for dot in patch.replaces if dot.device_id in mine))
    return sorted(keys), sorted(dots)


def said(push: Iterable[Pushed]) -> set[Dot]:
    """Return the dots under which the changes of `push` are or were said.

    All else that they name is what they build on. Of that `decide` asks whether it was not accepted, or under another
    dot; a receipt that says neither may be missing.
    """
    changes = [pushed.change for pushed in push]
    former = {dot for change in changes if change.was is not UNSET for dot in former_dots(change)}
    return former.union([change.dot for change in changes])


def _targets(change: Change, kind: KindSpec) -> Iterator[Key]:
    for path, patch in change.patches.items():
        members = (
            cast("Mapping[str, object]", patch.value)
            if isinstance(patch.value, Mapping)
            else {path: patch.value}
        )
        for name, value in members.items():
            reference = kind.references.get(name)
            if reference is not None and isinstance(value, str):
                yield reference.kind, value
