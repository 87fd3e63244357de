"""One field under one patch: the heart of the merge.

Given the siblings of a path and a patch, first the dots that the patch replaces are taken from each sibling. Then:

| what is left | what the patch says | result |
|---|---|---|
| nothing | any value | its value alone: fast-forward |
| a sibling of the same value | (not a counter's edit) | one sibling with both sides' dots |
| one sibling of a settled field | the policy can merge the two | one merged sibling with both sides' dots |
| anything else | | siblings beside each other: a conflict |

Creates and resolutions never merge; nothing merges in a field in conflict, beside a resolution, or with null.

Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot, WrittenDot, union, without
from rightfit_sync.merge.policy import CONFLICT, Policy
from rightfit_sync.records import Patch, Sibling
from rightfit_sync.values import Value, one_spelling, same

FieldOp = Literal["create", "edit", "resolve"]
How = Literal["applied", "merged", "conflicted"]


class Merged(NamedTuple):
    """The siblings after a patch, how they came about, and a text to offer where they conflict."""

    siblings: Sequence[Sibling]
    how: How
    suggestion: str | None = None


def merge_field(
    policy: Policy, before: Sequence[Sibling], patch: Patch, value: Value, dot: WrittenDot, op: FieldOp
) -> Merged:
    """Return what `patch`, whose final value is `value`, makes of the siblings `before`."""
    if not before and op == "create" and not policy.removes:
        return Merged([Sibling(value=value, dots=[dot])], "applied")
    replaces = frozenset((replaced.device_id, replaced.counter) for replaced in patch.replaced)
    left, replaced_values = _take_away(policy, before, replaces, value, op)
    if op == "edit":
        # What the writer saw counts even where somebody else has replaced it meanwhile, so that order says nothing.
        seen = [] if patch.base is UNSET else [one_spelling(patch.base)]
        value = policy.advance([*replaced_values, *seen], value)
    if policy.removes and value is None:
        return Merged(sorted_siblings(left), "merged" if left else "applied")
    mine = Sibling(value=value, dots=[dot], resolved=op == "resolve")
    if not left:
        return Merged([mine], "applied")
    for index, sibling in enumerate(left):
        if same(sibling.value, value) and _coalesces(policy, sibling, value, op):
            siblings = [*left[:index], _coalesced(sibling, mine), *left[index + 1 :]]
            return Merged(sorted_siblings(siblings), "merged" if len(siblings) == 1 else "conflicted")
    base = None if patch.base is UNSET else patch.base
    if len(before) == 1 and op == "edit" and policy.merges and not left[0].resolved:
        return _merge(policy, base, left[0], mine)
    return _stand_beside(left, mine)


def _take_away(
    policy: Policy, before: Sequence[Sibling], replaces: frozenset[tuple[str, int]], value: Value, op: FieldOp
) -> tuple[list[Sibling], list[Value]]:
    left, replaced_values = [], []
    for sibling in before:
        kept = without(sibling.dots, replaces)
        if len(kept) == len(sibling.dots) or not (
            op == "resolve" or policy.may_replace(sibling.value, value)
        ):
            left.append(sibling)
            continue
        replaced_values.append(sibling.value)
        if kept:
            left.append(with_dots(sibling, kept))
    return left, replaced_values


def less_dots(siblings: Sequence[Sibling], replaces: Sequence[Dot]) -> list[Sibling]:
    """Return `siblings` without these dots; siblings left with none are dropped."""
    gone = frozenset((dot.device_id, dot.counter) for dot in replaces)
    kept = ((sibling, without(sibling.dots, gone)) for sibling in siblings)
    return sorted_siblings([with_dots(sibling, dots) for sibling, dots in kept if dots])


def with_dots(sibling: Sibling, dots: Sequence[WrittenDot]) -> Sibling:
    """Return `sibling` with only these of its dots; resolved as long as one of them is a resolution's."""
    if sibling.resolved_by is UNSET:
        return replace(sibling, dots=dots)
    names = {(dot.device_id, dot.counter) for dot in dots}
    by = [dot for dot in sibling.resolved_by if (dot.device_id, dot.counter) in names]
    return replace(sibling, dots=dots, resolved=bool(by), resolved_by=_compact(by, len(dots)))


def _compact(by: Sequence[Dot], dot_count: int) -> Sequence[Dot] | UnsetType:
    return by if 0 < len(by) < dot_count else UNSET


def _coalesces(policy: Policy, sibling: Sibling, value: Value, op: FieldOp) -> bool:
    if policy.coalesces or value is None or op == "create":
        return True
    return op == "resolve" and sibling.resolved


def _coalesced(left: Sibling, right: Sibling) -> Sibling:
    dots = union(left.dots, right.dots)
    by = sorted({*resolution_dots(left), *resolution_dots(right)})
    return Sibling(value=left.value, dots=dots, resolved=bool(by), resolved_by=_compact(by, len(dots)))


def resolution_dots(sibling: Sibling) -> Sequence[Dot]:
    """Return those dots of `sibling` that are a resolution's."""
    if not sibling.resolved:
        return ()
    return [dot.dot for dot in sibling.dots] if sibling.resolved_by is UNSET else sibling.resolved_by


def _merge(policy: Policy, base: Value, theirs: Sibling, mine: Sibling) -> Merged:
    if theirs.value is None or mine.value is None:
        return _stand_beside([theirs], mine)
    mine_first = mine.dots[0].dot < min(dot.dot for dot in theirs.dots)
    value = policy.merge(base, theirs.value, mine.value, mine_first=mine_first)
    if value is not CONFLICT:
        return Merged([Sibling(value=one_spelling(value), dots=union(theirs.dots, mine.dots))], "merged")
    suggestion = policy.suggest(base, theirs.value, mine.value, mine_first=mine_first)
    return _stand_beside([theirs], mine, suggestion)


def _stand_beside(left: Sequence[Sibling], mine: Sibling, suggestion: str | None = None) -> Merged:
    return Merged(sorted_siblings([*left, mine]), "conflicted", suggestion)


def sorted_siblings(siblings: Sequence[Sibling]) -> list[Sibling]:
    """Return `siblings` in the one order that every replica keeps them in: by their dots."""
    return sorted(siblings, key=lambda sibling: [dot.dot for dot in sibling.dots])
