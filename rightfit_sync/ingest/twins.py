"""One change under two dots: said again to a restored authority, and offered as part of a state of the lost past.

The authority then knows an accepted change with `was`, and is offered a state that shows the very same change under
its first dot. Where the content agrees, the state is made to say so before the two are joined; where it does not (a
copied file spent the dot on something else), nothing is assumed, and what stands beside each other is a conflict. A
change that had been said again in the lost past too needs no such look: the state's own aliases tell.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterator, Mapping

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


def rejoined(ours: Entity, offered: Entity, past: Past) -> Entity:
    """Return what `ours`, which `past` has made, comes to with an offered state."""
    news = frozenset(
        dot for dot in _shown(offered) if includes(ours.version_vector, dot) and not past.holds(dot)
    )
    return join(ours, recognised(offered, past.said_again), news)


def recognised(offered: Entity, said_again: Mapping[Dot, Change]) -> Entity:
    """Return `offered`, its aliases naming each of the changes `said_again` that it shows under a former dot."""
    known = {one.dot for one in offered.named}
    found = [
        Named(former, change.was)
        for former, change in said_again.items()
        if change.was is not UNSET
        and former not in known
        and includes(offered.version_vector, former)
        and shows(offered, former, change)
    ]
    return replace(offered, aliases=sorted([*offered.named, *found])) if found else offered


def _shown(entity: Entity) -> Iterator[Dot]:
    for siblings in entity.fields.values():
        for sibling in siblings:
            yield from (dot.dot for dot in sibling.dots)
    yield from (record.dot for record in entity.life)


def _holds(sibling: Sibling, dot: Dot) -> bool:
    return any(one.dot == dot for one in sibling.dots)
