"""`join`: two states of one entity that both moved on, after a restore of the authority or of a replica.

Commutative, associative and idempotent; loses no dot that neither side knew. It never coalesces by value and never
merges texts: where both values remain, people decide. (One corner: a merged value of which a part was replaced stands
beside fewer dots than went into it. Which of two such values is kept beside the same dots may depend on the order of
three joins; which dots are shown never does.) The rules:

- take from each sibling the dots that the other side knows and no longer shows at that path;
- drop siblings left empty, and siblings whose dots are a subset of another's;
- of equal dot sets with different values keep the greatest `(written_at, canonical value)`;
- drop a life record whose dot the other side knows and no longer holds;
- the version vectors: the maximum; the aliases: all of them; absent remains what neither side includes.

A change that has several dots (see `Entity.aliases`) is known, shown and told by any of them.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterable, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.twins import Twins, chief, sees
from rightfit_sync.causality.version_vector import includes, merge
from rightfit_sync.field import resolution_dots, sorted_siblings, with_dots
from rightfit_sync.limits import ABSENT_DOTS_MAX
from rightfit_sync.records import Entity, LifeRecord, Sibling, twins_of
from rightfit_sync.values import canonical

_Names = frozenset[Dot]


def join(left: Entity, right: Entity, news: frozenset[Dot] = frozenset()) -> Entity:
    """Return the entity that includes everything that either side includes.

    `news` are those of the dots in `right` that `left` has not seen, although its version vector covers them.
    """
    if (left.kind, left.entity_id) != (right.kind, right.entity_id):
        raise ValueError(f"cannot join {left.kind} {left.entity_id} with {right.kind} {right.entity_id}")
    named = sorted({*left.named, *right.named})
    twins = twins_of(named)
    fields: dict[str, Sequence[Sibling]] = {}
    for path in sorted({*left.fields, *right.fields}):
        siblings = _join_field(left, right, path, twins, news)
        if siblings:
            fields[path] = siblings
    return Entity(
        kind=left.kind,
        entity_id=left.entity_id,
        version_vector=merge(left.version_vector, right.version_vector),
        fields=fields,
        life=_join_life(left, right, twins, news),
        aliases=named or UNSET,
        absent=_join_absent(left, right) or UNSET,
    )


def _join_absent(left: Entity, right: Entity) -> list[Dot]:
    """Return the dots that neither side includes."""
    return sorted(
        dot
        for ours, theirs in ((left, right), (right, left))
        for dot in ours.lacking
        if not includes(theirs.version_vector, dot) or (ours is left and theirs.lacks(dot))
    )[:ABSENT_DOTS_MAX]


def _knows(entity: Entity, dot: Dot, twins: Twins) -> bool:
    """Whether `entity` includes the change that `dot` stands for, under whichever of its dots."""
    if entity.absent is UNSET:
        return sees(entity.version_vector, dot, twins)
    names = twins.get(dot, (dot,))
    return any(includes(entity.version_vector, one) and not entity.lacks(one) for one in names)


def _join_field(left: Entity, right: Entity, path: str, twins: Twins, news: frozenset[Dot]) -> list[Sibling]:
    ours, theirs = left.fields.get(path, ()), right.fields.get(path, ())
    kept = [
        *_still_shown(ours, theirs, right, twins),
        *_still_shown(theirs, ours, left, twins, news),
    ]
    greatest: dict[_Names, Sibling] = {}
    for sibling in kept:
        names = _names([sibling], twins)
        known = greatest.get(names)
        greatest[names] = sibling if known is None else _greater(known, sibling, twins)
    return sorted_siblings(
        [sibling for names, sibling in greatest.items() if not any(names < others for others in greatest)]
    )


def _still_shown(
    ours: Sequence[Sibling],
    theirs: Iterable[Sibling],
    other: Entity,
    twins: Twins,
    news: frozenset[Dot] = frozenset(),
) -> list[Sibling]:
    shown = _names(theirs, twins)
    kept = []
    for sibling in ours:
        dots = [
            dot
            for dot in sibling.dots
            if dot.dot in news or chief(dot.dot, twins) in shown or not _knows(other, dot.dot, twins)
        ]
        if dots:
            kept.append(sibling if len(dots) == len(sibling.dots) else with_dots(sibling, dots))
    return kept


def _greater(left: Sibling, right: Sibling, twins: Twins) -> Sibling:
    """Return one sibling for two of the same changes; a change under two dots keeps its chief one of them."""
    by = {*resolution_dots(left), *resolution_dots(right)}
    value = max(left, right, key=_join_order).value
    dots: dict[Dot, WrittenDot] = {}
    for dot in (*left.dots, *right.dots):
        name = chief(dot.dot, twins)
        known = dots.get(name, dot)
        least = min(dot.dot, known.dot)
        dots[name] = WrittenDot(least.device_id, least.counter, max(dot.written_at, known.written_at))
    of_resolutions = {chief(dot, twins) for dot in by}
    kept = [dot.dot for name, dot in dots.items() if name in of_resolutions]
    joined = Sibling(value=value, dots=sorted(dots.values()), resolved=bool(by), resolved_by=sorted(kept))
    return with_dots(joined, joined.dots)


def _join_order(sibling: Sibling) -> tuple[int, bytes]:
    return sibling.written_at, canonical(sibling.value)


def _names(siblings: Iterable[Sibling], twins: Twins) -> _Names:
    return frozenset(chief(dot.dot, twins) for sibling in siblings for dot in sibling.dots)


def _join_life(left: Entity, right: Entity, twins: Twins, news: frozenset[Dot]) -> list[LifeRecord]:
    records: dict[Dot, LifeRecord] = {}
    for ours, theirs, fresh in ((left, right, frozenset[Dot]()), (right, left, news)):
        held = {chief(record.dot, twins) for record in theirs.life}
        for record in ours.life:
            name = chief(record.dot, twins)
            if record.dot in fresh or name in held or not _knows(theirs, record.dot, twins):
                known = records.get(name)
                records[name] = record if known is None else _of_both(known, record)
    return sorted(records.values(), key=lambda record: record.dot)


def _of_both(left: LifeRecord, right: LifeRecord) -> LifeRecord:
    """Return one record for the same change: its author had seen what either says."""
    if left == right:
        return left
    first = min(left, right, key=lambda record: record.dot)
    return replace(
        first,
        version_vector=merge(left.version_vector, right.version_vector),
        written_at=max(left.written_at, right.written_at),
        absent=_unseen_by_both(left, right) or UNSET,
    )


def _unseen_by_both(left: LifeRecord, right: LifeRecord) -> list[Dot]:
    absent = {dot for record in (left, right) if record.absent is not UNSET for dot in record.absent}
    return sorted(dot for dot in absent if not left.saw(dot) and not right.saw(dot))
