"""A replica takes a new device id: after its old one turned out to be used twice, or when the authority was restored.

What the authority has not answered is said again under the new id, in the same order: each change gets a new dot and
carries `was`, the dot and digest under which it was first made durable, so that the two count once, whichever arrives.
`replaces` and `base` of later changes are rewritten to the new names. A change of id needs nobody's leave and loses
nothing, so a replica takes one whenever in doubt.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import replacing
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Alias, Change, digest, encoded


def first_name(change: Change, known_digest: str) -> Alias:
    """Return the name under which `change` was first made durable: what every later `was` of it says."""
    return Alias(change.dot, known_digest) if change.was is UNSET else change.was


def former_dots(change: Change) -> list[Dot]:
    """Return the dots under which `change` was made durable before its present one, the first one first."""
    if change.was is UNSET:
        return []
    return [change.was.dot, *(() if change.formerly is UNSET else change.formerly)]


def names_between(change: Change) -> Sequence[Dot] | UnsetType:
    """Return the `formerly` of what says `change` again under another dot."""
    return UNSET if change.was is UNSET else [*former_dots(change)[1:], change.dot]


def renamed(entries: Sequence[Entry], device_id: str) -> list[Entry]:
    """Return `entries`, given in outbox order, under the dots `(device_id, 1)`, `(device_id, 2)`, ..., all pending."""
    # What an entry names is of its own entity. A copied file may have spent the same dot elsewhere.
    names_of: dict[tuple[str, str], dict[Dot, Dot]] = {}
    for place, entry in enumerate(entries, 1):
        key = (entry.change.kind, entry.change.entity_id)
        names_of.setdefault(key, {})[entry.change.dot] = Dot(device_id, place)
    bases: dict[Dot, Mapping[str, int]] = {}
    said_again = []
    for entry in entries:
        change = entry.change
        names = names_of[change.kind, change.entity_id]
        bases[change.dot] = base = _base(change.base, names, bases)
        again = replace(
            change,
            dot=names[change.dot],
            base=base,
            patches=replacing(change.patches, names),
            was=first_name(change, entry.digest),
            formerly=names_between(change),
        )
        said_again.append(
            replace(
                entry,
                change=again,
                digest=entry.digest if change.op == "void" else digest(again),
                size_bytes=len(encoded(again)),
                outcome=None,
                is_deferred=False,
            )
        )
    return said_again


def _base(
    base: Mapping[str, int], names: Mapping[Dot, Dot], bases: Mapping[Dot, Mapping[str, int]]
) -> dict[str, int]:
    """Return `base` with renamed dots under their new names; under the old id stays what those had seen in turn."""
    renewed: dict[str, int] = {}
    for device_id, counter in base.items():
        dot = Dot(device_id, counter)
        name = names.get(dot)
        if name is None:
            renewed[device_id] = max(counter, renewed.get(device_id, 0))
            continue
        renewed[name.device_id] = max(name.counter, renewed.get(name.device_id, 0))
        before = bases[dot].get(device_id, 0)
        if before:
            renewed[device_id] = before
    return renewed
