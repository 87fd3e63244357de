"""The feed: what the authority tells a device, in the order of its commits, and how a device takes it in.

A row is the present state of one entity, with the sequence number of the commit that last changed it. A page holds
whole commits. A device takes a row that is not older than what it holds, so that repeated and overlapping pages do no
harm; a page and its cursor are made durable in one local transaction.

Loss of access is no tombstone: the page names what to *evict*, and lists the subject's tags, so that a device also
evicts what it holds through a tag that was taken away. Source: docs/explanation/semantics.md, sections 7 and 8.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import msgspec

from rightfit_sync.records import Entity

GENESIS = "0" * 32
"""The chain hash of a tenant that has committed nothing."""


class Row(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One entity as the authority has it.

    `tags` are those of its audience that the subject holds, `orphans` the paths of its references whose target is
    gone, `suggestions` merged texts to offer, by path in conflict, `seal` the authority's word that the entity is its
    own (see `wire.seal`).
    """

    seq: int
    entity: Entity
    tags: Sequence[str] = ()
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}
    seal: bytes = b""


class Own(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A row that the device works out itself, from its copy and the changes that it has just pushed (see `echo`).

    `place` is that of its last change in the push, counted from 0; `tags` and `seal` are those of the row.
    """

    seq: int
    place: int
    tags: Sequence[str] = ()
    seal: bytes = b""


class Evicted(msgspec.Struct, frozen=True, gc=False):
    """An entity that left the subject's audience in the commit `seq`: to be forgotten, not mourned."""

    seq: int
    kind: str
    entity_id: str


class Page(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A piece of the feed.

    `cursor` is where the next one begins (and proof of how far the authority had come), `more` whether there is one
    now, `remaining` about how many rows are still to come (for progress), `tags` the subject's present tags. `own` are
    rows whose states are left out, `own_digest` is taken over these states.
    """

    cursor: str
    tags: Sequence[str]
    rows: Sequence[Row] = ()
    evicted: Sequence[Evicted] = ()
    more: bool = False
    remaining: int = 0
    own: Sequence[Own] = ()
    own_digest: bytes = b""


def chained(previous: str, seq: int, rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the chain hash after a commit that ends at `seq`; `rows` are `(kind, entity_id, digest of the state)`.

    A cursor carries it: a feed that was restored and went on differently cannot show the same hash at the same `seq`.
    """
    return blake2b(msgspec.json.encode([previous, seq, sorted(rows)]), digest_size=16).hexdigest()


def cut(commits: Sequence[int], rows_max: int) -> int | None:
    """Return how many of the fetched rows fit in a page of whole commits; None if more must be fetched to tell.

    `commits` holds the last sequence number of each row's commit, in feed order; fetch at least `rows_max + 1` rows.
    A single commit may exceed `rows_max`.
    """
    if len(commits) <= rows_max:
        return len(commits)
    end = rows_max
    while end > 0 and commits[end] == commits[end - 1]:
        end -= 1
    if end > 0:
        return end
    while end < len(commits) and commits[end] == commits[0]:
        end += 1
    return end if end < len(commits) else None
