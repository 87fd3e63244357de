"""One change under two dots: said again to a restored authority, and offered as part of a state of the lost past.

The authority then knows an accepted change with `was`, and is offered a state that shows the very same change under
its first dot. Where the content agrees, the state is made to say so before the two are joined; where it does not (a
copied file spent the dot on something else), nothing is assumed, and what stands beside each other is a conflict. A
change that had been said again in the lost past too needs no such look: the state's own aliases tell.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterator

from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import final_value
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.ingest.snapshot import Past
from rightfit_sync.join import join
from rightfit_sync.records import Change, Entity, Named, Sibling
from rightfit_sync.values import same


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
        dot for dot in _shown(offered) if includes(ours.version_vector, dot) and not past.holds(dot)
    )
    return join(ours, recognised(offered, past), news)


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
    is_last = offered.version_vector[device_id] == former.counter
    seen = change.base.get(device_id, 0)
    is_rewound = any(
        dot.device_id == device_id and seen < dot.counter < former.counter for dot in past.applied
    )
    return (is_last or is_proven) and not is_rewound and not belies(offered, former, change)


def _shown(entity: Entity) -> Iterator[Dot]:
    for siblings in entity.fields.values():
        for sibling in siblings:
            yield from (dot.dot for dot in sibling.dots)
    yield from (record.dot for record in entity.life)


def _holds(sibling: Sibling, dot: Dot) -> bool:
    return any(one.dot == dot for one in sibling.dots)
