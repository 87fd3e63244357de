"""What `MemoryAuthority` keeps of one entity and of one subject."""

from collections.abc import Mapping, Sequence

import msgspec

from rightfit_sync.records import Entity


class Held(msgspec.Struct, frozen=True):
    """One entity as the authority has it.

    `commit` is the last sequence number of the commit that holds `seq`; `ever` are all tags that its audience
    has had, `writers` the devices that have changed it; `digest` and `seal` are those of its state.
    """

    seq: int
    commit: int
    entity: Entity
    audience: Sequence[str] = ()
    ever: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}
    digest: str = ""
    seal: bytes = b""


class Grant(msgspec.Struct, frozen=True):
    """The tags that a subject holds, and the number of the latest change to them."""

    tags: frozenset[str]
    number: int
