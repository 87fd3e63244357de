"""One change under two dots: said again to a restored authority, and offered as part of a state of the lost past.

The authority then knows an accepted change with `was`, and is offered a state that shows the very same change under
its first dot. Where the content agrees, the state is made to say so before the two are joined; where it does not (a
copied file spent the dot on something else), nothing is assumed, and what stands beside each other is a conflict. A
change that had been said again in the lost past too needs no such look: the state's own aliases tell.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import final_value
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.identity import former_dots
from rightfit_sync.ingest.snapshot import NO_PAST, Past
from rightfit_sync.join import join
from rightfit_sync.life import LIFE_PATH
from rightfit_sync.records import Change, Entity, Named, Sibling
from rightfit_sync.values import Value, same


def shows(entity: Entity, dot: Dot, change: Change) -> bool:
    """Whether all that `change` says can be seen in `entity` under `dot`."""
    if change.op in ("delete", "restore"):
        return any(record.dot == dot and record.op == change.op for record in entity.life)
    return all(
        any(
            same(sibling.value, final_value(patch)) and _holds(sibling, dot)
            for sibling in entity.fields.get(path, ())
        )
        for path, patch in change.patches.items()
    )


def belies(entity: Entity, dot: Dot, change: Change) -> bool:
    """Whether `entity` shows under `dot` what `change` does not say."""
    if any(record.dot == dot and record.op != change.op for record in entity.life):
        return True
    for path, siblings in entity.fields.items():
        for sibling in siblings:
            if _holds(sibling, dot):
                patch = change.patches.get(path)
                if patch is None:
                    return True
                if len(sibling.dots) == 1 and not same(sibling.value, final_value(patch)):
                    return True
    return False


def rejoined(ours: Entity, offered: Entity, past: Past) -> Entity:
    """Return what `ours`, which `past` has made, comes to with an offered state."""
    news = frozenset(
        dot for dot in offered.shown_dots if includes(ours.version_vector, dot) and not past.holds(dot)
    )
    told = [one for one in ours.named if one.dot not in past.applied]
    theirs = paired(recognised(offered, past), ours, told, NO_PAST)
    return join(paired(ours, offered, offered.named, past), theirs, news)


def recognised(offered: Entity, past: Past) -> Entity:
    """Return `offered`, its aliases naming each change that `past` knows under another dot than the first."""
    known = {one.dot for one in offered.named}
    found: list[Named] = []
    proven: set[tuple[str, str]] = set()
    for former, change in sorted(past.said_again.items(), reverse=True):
        if change.was is UNSET or change.was.dot != former or former in known:
            continue
        ids = former.device_id, change.dot.device_id
        if _is_in(offered, former, change, past, is_proven=ids in proven):
            found.append(Named(former, change.was))
            # Who said two changes again had sent them in the order in which they were made.
            proven.add(ids)
    return replace(offered, aliases=sorted([*offered.named, *found])) if found else offered


def _is_in(offered: Entity, former: Dot, change: Change, past: Past, *, is_proven: bool) -> bool:
    """Whether `offered` includes `change` under the dot `former`, which a copied file may have spent on another.

    Either it shows it; or what it showed is replaced since, and nothing speaks against it: the last dot of a device in
    a version vector is one of a change to that very entity, and who makes a change has seen all its own before.
    """
    is_another = former in past.applied
    if is_another or offered.lacks(former) or not includes(offered.version_vector, former):
        return False
    if shows(offered, former, change):
        return True
    device_id = former.device_id
    # Another try shows that the first had come to nothing, as far as its author heard.
    is_retry = any(dot.device_id == device_id for dot in former_dots(change)[1:])
    is_last = offered.version_vector[device_id] == former.counter
    seen = change.base.get(device_id, 0)
    is_rewound = any(
        dot.device_id == device_id and seen < dot.counter < former.counter for dot in past.applied
    )
    is_likely = (is_last or is_proven) and not is_retry and not is_rewound
    return is_likely and not belies(offered, former, change)


def paired(native: Entity, other: Entity, told: Sequence[Named], past: Past) -> Entity:
    """Return `native`, its aliases naming what it includes under a first dot and `other` under one of those `told`.

    What was applied to `native` is told by its digest; of a change of a lost past only the states can be looked at.
    """
    known = {one.dot for one in native.named}
    found = [
        Named(one.was.dot, one.was)
        for one in told
        if one.was.dot not in known and one.dot != one.was.dot and _is_alike(native, other, one, past)
    ]
    return replace(native, aliases=sorted({*native.named, *found})) if found else native


def _is_alike(native: Entity, other: Entity, named: Named, past: Past) -> bool:
    """Whether `native` has under its first dot what `other` has under another, as far as can be seen."""
    first = named.was.dot
    if first in past.applied:
        return past.applied[first] == named.was.digest
    if native.lacks(first) or not includes(native.version_vector, first):
        return False
    left, right = _said(native, first), _said(other, named.dot)
    # It was spent on this very entity: it is shown, or the last that the vector has of its device.
    is_here = first in native.shown_dots or native.version_vector[first.device_id] == first.counter
    return is_here and all(same(left[path], right[path]) for path in left.keys() & right.keys())


def _said(entity: Entity, dot: Dot) -> dict[str, Value]:
    """Return what `entity` shows of the change `dot` alone, by path."""
    said: dict[str, Value] = {}
    for record in entity.life:
        if record.dot == dot:
            said[LIFE_PATH] = record.op
    for path, siblings in entity.fields.items():
        for sibling in siblings:
            if [dot] == [one.dot for one in sibling.dots]:
                said[path] = sibling.value
    return said


def _holds(sibling: Sibling, dot: Dot) -> bool:
    return any(one.dot == dot for one in sibling.dots)
