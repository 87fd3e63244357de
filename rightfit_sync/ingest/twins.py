"""One change under two dots: said again to a restored authority, and offered as part of a state of the lost past.

The authority then knows an accepted change with `was`, and is offered a state that shows the very same change under
that former dot. Where the content agrees, both are made to say so before they are joined; where it does not (a copied
file spent the dot on something else), nothing is assumed, and what stands beside each other is a conflict.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rightfit_sync.apply import final_value
from rightfit_sync.causality.dot import Dot, WrittenDot, union
from rightfit_sync.causality.version_vector import advance, includes
from rightfit_sync.field import less_dots
from rightfit_sync.identity import former_dots
from rightfit_sync.join import join
from rightfit_sync.records import Change, Entity, LifeRecord, Sibling
from rightfit_sync.values import same


class Twin(NamedTuple):
    """The dot that a change had in the lost past, and the one under which it was accepted since."""

    former: Dot
    present: Dot


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


def by_former_dot(changes: Iterable[Change]) -> dict[Dot, Change]:
    """Return accepted `changes` by each of the dots that they had before."""
    return {dot: change for change in changes for dot in former_dots(change)}


def rejoined(ours: Entity, offered: Entity, said_again: Mapping[Dot, Change]) -> Entity:
    """Return what `ours` comes to with an offered state, changes that were said again recognised in it."""
    return join(*recognised(ours, offered, said_again))


def recognised(ours: Entity, offered: Entity, said_again: Mapping[Dot, Change]) -> tuple[Entity, Entity]:
    """Return both states with the same changes under the same dots; `said_again` are ours by their former dots."""
    twins = [
        Twin(former, change.dot)
        for former, change in said_again.items()
        if includes(ours.version_vector, change.dot) and shows(offered, former, change)
    ]
    for twin in twins:
        if _is_shown(ours, twin.present):
            ours = _also_named(ours, twin)
            offered = replace(offered, life=[one for one in offered.life if one.dot != twin.former])
        else:
            offered = _less(offered, twin.former)
    presents = [twin.present for twin in twins]
    for twin in twins:
        if not _shows_earlier(ours, twin.present, presents):
            offered = replace(offered, life=[_seen(record, twin) for record in offered.life])
    return ours, offered


def _holds(sibling: Sibling, dot: Dot) -> bool:
    return any(one.dot == dot for one in sibling.dots)


def _siblings(entity: Entity) -> Iterable[Sibling]:
    return (sibling for siblings in entity.fields.values() for sibling in siblings)


def _is_shown(entity: Entity, dot: Dot) -> bool:
    in_fields = any(_holds(sibling, dot) for sibling in _siblings(entity))
    return in_fields or any(record.dot == dot for record in entity.life)


def _also_named(entity: Entity, twin: Twin) -> Entity:
    """Return `entity` with the former dot beside the present one."""

    def named(sibling: Sibling) -> Sibling:
        found = next((one for one in sibling.dots if one.dot == twin.present), None)
        if found is None:
            return sibling
        beside = WrittenDot(twin.former.device_id, twin.former.counter, found.written_at)
        return replace(sibling, dots=union(sibling.dots, [beside]))

    fields = {path: [named(one) for one in siblings] for path, siblings in entity.fields.items()}
    return replace(entity, fields=fields, version_vector=advance(entity.version_vector, twin.former))


def _less(entity: Entity, dot: Dot) -> Entity:
    """Return `entity` without `dot`: somebody who had seen it under its other name has replaced it since."""
    fields: dict[str, Sequence[Sibling]] = {}
    for path, siblings in entity.fields.items():
        kept = less_dots(siblings, [dot]) if any(_holds(one, dot) for one in siblings) else siblings
        if kept:
            fields[path] = kept
    return replace(entity, fields=fields, life=[one for one in entity.life if one.dot != dot])


def _shows_earlier(entity: Entity, dot: Dot, known: Sequence[Dot]) -> bool:
    """Whether `entity` shows a change of the same device before `dot` that is not one of `known`.

    Then a version vector that names `dot` would claim too much.
    """
    return any(
        one.device_id == dot.device_id and one.counter < dot.counter and one.dot not in known
        for sibling in _siblings(entity)
        for one in sibling.dots
    )


def _seen(record: LifeRecord, twin: Twin) -> LifeRecord:
    """Return `record`, its author having seen the change under its present name if under the former."""
    if not includes(record.version_vector, twin.former):
        return record
    return replace(record, version_vector=advance(record.version_vector, twin.present))
