"""Version vectors: `{device_id: counter}`, "every change of that device to this entity up to that counter".

They form a lattice: `merge` is commutative, associative and idempotent (the least upper bound), `dominates` is
its order. A missing device counts as 0. A version vector is a plain mapping, so that it is its own JSON form;
nothing ever changes one in place.

Source: docs/explanation/semantics.md, section 2 (Parker et al., 1983).
"""

from collections.abc import Mapping
from typing import TypeAlias

from rightfit_sync.causality.dot import Dot

VersionVector: TypeAlias = Mapping[str, int]


def includes(vector: VersionVector, dot: Dot) -> bool:
    """Whether the change named `dot` is included in `vector`."""
    return vector.get(dot.device_id, 0) >= dot.counter


def dominates(left: VersionVector, right: VersionVector) -> bool:
    """Whether `left[d] >= right[d]` for every device (so that equal vectors dominate each other)."""
    return all(left.get(device_id, 0) >= counter for device_id, counter in right.items())


def is_concurrent_with(left: VersionVector, right: VersionVector) -> bool:
    """Whether neither dominates the other."""
    return not dominates(left, right) and not dominates(right, left)


def merge(left: VersionVector, right: VersionVector) -> dict[str, int]:
    """Return the least vector that dominates both."""
    merged = dict(left)
    for device_id, counter in right.items():
        if counter > merged.get(device_id, 0):
            merged[device_id] = counter
    return merged


def meet(left: VersionVector, right: VersionVector) -> dict[str, int]:
    """Return the greatest vector that both dominate: what each of the two is sure to have seen."""
    return {
        device_id: min(counter, right[device_id])
        for device_id, counter in left.items()
        if right.get(device_id, 0) > 0
    }


def advance(vector: VersionVector, dot: Dot) -> dict[str, int]:
    """Return `vector` with `dot` taken in."""
    advanced = dict(vector)
    if dot.counter > advanced.get(dot.device_id, 0):
        advanced[dot.device_id] = dot.counter
    return advanced
