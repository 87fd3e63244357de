"""The `Store` protocol: what a replica must keep, and in what units it must be durable.

An adapter (SQLite in `rightfit_client`, memory in `rightfit_sync.testing`, yours) implements it; the logic is in
`replica`. `rightfit_sync.testing.conformance.StoreSuite` checks an adapter. The contract:

- everything between entering and leaving `transaction()` becomes durable at once or not at all; an exception leaves
  no trace; reads inside see the writes before them;
- when the outermost `transaction()` has returned, what it wrote survives loss of power;
- entries keep the order in which they were put.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry, Shown
from rightfit_sync.records import Change, Outcome

Key: TypeAlias = tuple[str, str]
"""`(kind, entity_id)`."""


class ReplicaState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The few facts about a replica as a whole.

    `counter` is the greatest spent one of `device_id`; `former_ids` the device ids it used before, oldest first;
    `cursor` where the next pull begins (None: at the beginning); `tags` those of the subject as last heard;
    `authority_kinds` the kinds that the authority's schema has (None: not heard yet). `must_reconcile` says that trunk
    and authority may not share a past: no page is taken in before what differs has been found and mended.
    """

    device_id: str
    subject: str = ""
    counter: int = 0
    former_ids: Sequence[str] = ()
    cursor: str | None = None
    epoch: str = ""
    tags: Sequence[str] = ()
    authority_kinds: Sequence[str] | None = None
    must_reconcile: bool = False


class Rejected(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that was not accepted, with its payload and the authority's (or the device's own) reason.

    `digest` is that of the form first made durable (empty: of `change` itself).
    """

    change: Change
    outcome: Outcome
    digest: str = ""


class Store(Protocol):
    """See the module's docstring for the contract."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction, or join the one that is open."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep other threads from writing, for reads that belong together."""

    def state(self) -> ReplicaState:
        """Return the replica's state."""

    def put_state(self, state: ReplicaState) -> None:
        """Replace the replica's state."""

    def trunks(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        """Return the trunk rows of those `keys` that there are."""

    def trunk_tags(self) -> Iterable[tuple[Key, Sequence[str]]]:
        """Return every trunk row's key and tags."""

    def put_trunks(self, rows: Iterable[Row]) -> None:
        """Insert or replace trunk rows."""

    def drop_trunks(self, keys: Collection[Key]) -> None:
        """Remove trunk rows."""

    def entries(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Entry]]:
        """Return the outbox entries of those `keys` that have some, in outbox order."""

    def pending(self) -> Iterable[Entry]:
        """Return the pending outbox entries, in outbox order, lazily (a push takes the first few)."""

    def count_pending(self) -> int:
        """Return how many entries are pending."""

    def acknowledged(self) -> Sequence[Entry]:
        """Return the acknowledged outbox entries (few: they wait for the trunk to cover them), in outbox order."""

    def entries_by_dot(self, dots: Collection[Dot]) -> Sequence[Entry]:
        """Return those outbox entries that have one of these `dots`, in outbox order."""

    def put_entry(self, entry: Entry) -> None:
        """Append an entry, or replace the one with its dot in place."""

    def drop_entries(self, dots: Collection[Dot]) -> None:
        """Remove entries."""

    def lost(self, keys: Collection[Key]) -> Mapping[Key, frozenset[Dot]]:
        """Return the rejected and void dots of those `keys` that have some. They are kept for ever."""

    def put_lost(self, key: Key, dot: Dot) -> None:
        """Remember a rejected or void dot."""

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list, oldest first."""

    def put_rejected(self, rejected: Rejected) -> None:
        """Append to the rejected list."""

    def drop_rejected(self, dot: Dot) -> None:
        """Remove one from the rejected list."""

    def put_views(self, views: Mapping[Key, Shown]) -> None:
        """Bring what the app queries up to date with these entities."""
