"""`join`: two states of one entity that both moved on, after a restore of the authority or of a replica.

Commutative, associative and idempotent; loses no dot that neither side knew. It never coalesces by value and never
merges texts: where both values remain, people decide. (One corner: a merged value of which a part was replaced stands
beside fewer dots than went into it. Which of two such values is kept beside the same dots may depend on the order of
three joins; which dots are shown never does.) The rules:

- take from each sibling the dots that the other side knows and no longer shows at that path;
- drop siblings left empty, and siblings whose dots are a subset of another's;
- of equal dot sets with different values keep the greatest `(written_at, canonical value)`;
- drop a life record whose dot the other side knows and no longer holds;
- the version vectors: the maximum.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterable, Mapping, Sequence

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.version_vector import includes, merge
from rightfit_sync.field import resolution_dots, sorted_siblings, with_dots
from rightfit_sync.records import Entity, LifeRecord, Sibling
from rightfit_sync.values import canonical

_Names = frozenset[tuple[str, int]]


def join(left: Entity, right: Entity) -> Entity:
    """Return the entity that includes everything that either side includes."""
    if (left.kind, left.entity_id) != (right.kind, right.entity_id):
        raise ValueError(f"cannot join {left.kind} {left.entity_id} with {right.kind} {right.entity_id}")
    fields: dict[str, Sequence[Sibling]] = {}
    for path in sorted({*left.fields, *right.fields}):
        siblings = _join_field(left.fields.get(path, ()), right.fields.get(path, ()), left, right)
        if siblings:
            fields[path] = siblings
    return Entity(
        kind=left.kind,
        entity_id=left.entity_id,
        version_vector=merge(left.version_vector, right.version_vector),
        fields=fields,
        life=_join_life(left, right),
    )


def _join_field(
    ours: Sequence[Sibling], theirs: Sequence[Sibling], left: Entity, right: Entity
) -> list[Sibling]:
    kept = [
        *_still_shown(ours, theirs, right.version_vector),
        *_still_shown(theirs, ours, left.version_vector),
    ]
    greatest: dict[_Names, Sibling] = {}
    for sibling in kept:
        names = _names(sibling.dots)
        known = greatest.get(names)
        greatest[names] = sibling if known is None else _greater(known, sibling)
    return sorted_siblings(
        [sibling for names, sibling in greatest.items() if not any(names < others for others in greatest)]
    )


def _still_shown(
    ours: Sequence[Sibling], theirs: Iterable[Sibling], known: Mapping[str, int]
) -> list[Sibling]:
    shown = _names(dot for sibling in theirs for dot in sibling.dots)
    kept = []
    for sibling in ours:
        dots = [
            dot
            for dot in sibling.dots
            if known.get(dot.device_id, 0) < dot.counter or (dot.device_id, dot.counter) in shown
        ]
        if dots:
            kept.append(sibling if len(dots) == len(sibling.dots) else with_dots(sibling, dots))
    return kept


def _greater(left: Sibling, right: Sibling) -> Sibling:
    by = {*resolution_dots(left), *resolution_dots(right)}
    value = max(left, right, key=_join_order).value
    dots = [max(pair) for pair in zip(sorted(left.dots), sorted(right.dots), strict=True)]
    joined = Sibling(value=value, dots=dots, resolved=bool(by), resolved_by=sorted(by))
    return with_dots(joined, dots)


def _join_order(sibling: Sibling) -> tuple[int, bytes]:
    return sibling.written_at, canonical(sibling.value)


def _names(dots: Iterable[WrittenDot]) -> _Names:
    return frozenset((dot.device_id, dot.counter) for dot in dots)


def _join_life(left: Entity, right: Entity) -> list[LifeRecord]:
    records: dict[Dot, LifeRecord] = {}
    for ours, theirs in ((left, right), (right, left)):
        held = {record.dot for record in theirs.life}
        for record in ours.life:
            if record.dot in held or not includes(theirs.version_vector, record.dot):
                records.setdefault(record.dot, record)
    return [records[dot] for dot in sorted(records)]
