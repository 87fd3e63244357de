"""One change under several dots, as the aliases of an entity tell: whoever names one of them means them all.

Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes

Twins: TypeAlias = Mapping[Dot, frozenset[Dot]]
"""All the dots of a change, itself included, by each of them; only of changes that have several."""

NO_TWINS: Final[Twins] = {}


def sees(version_vector: Mapping[str, int], dot: Dot, twins: Twins) -> bool:
    """Whether `version_vector` includes the change that `dot` stands for, under whichever of its dots."""
    if includes(version_vector, dot):
        return True
    return bool(twins) and any(includes(version_vector, twin) for twin in twins.get(dot, ()))


def closed(dots: Iterable[Dot], twins: Twins) -> list[Dot]:
    """Return `dots`, each with its twins, sorted."""
    return sorted({twin for dot in dots for twin in twins.get(dot, (dot,))})


def chief(dot: Dot, twins: Twins) -> Dot:
    """Return the dot that a change is told by: the least of its dots."""
    return min(twins[dot]) if dot in twins else dot
