"""What the server's services keep and read, as data and as Protocols: the contract of a storage adapter.

A transaction belongs to one tenant, and everything done in it is durable at once or not at all. The
order of locks is fixed, so that pushes wait for each other rather than kill each other: the device's
row, then entities by kind and id, and the tenant's row last. Who holds the tenant's row gives out
sequence numbers; it is held until the transaction is visible to all, so that the order of numbers is the
order of commits. Where an adapter cannot keep to it, it raises `ContentionError`, and the whole transaction
is done again.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from rightfit_server.ports.application import Effect
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.digests import Bucket, Listed
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.snapshot import Device, Key, Past, Receipt, Recorded
from rightfit_sync.records import Alias, Entity
from rightfit_sync.values import Value


class ContentionError(Exception):
    """Somebody else was quicker; nothing was written, and another try will do."""


class UnavailableError(Exception):
    """The database is out of reach, too slow, or has no connection to spare; nothing was written."""


class UnknownDeviceError(RemoteError):
    """The device, or the one that its token names, is not known here, was signed out, or is somebody else's."""

    def __init__(self) -> None:
        message = "this device is not known here, or was signed out: sign in again"
        super().__init__("unauthorized", message, status=401)


class Identity(msgspec.Struct, frozen=True):
    """Who asks: the only source of tenant, subject and device.

    The token says it, save that the replica may write under a newer id than the `token_device_id`.
    """

    tenant_id: str
    subject_id: str
    device_id: str
    token_id: str = ""

    @property
    def token_device_id(self) -> str:
        """The device that the token names."""
        return self.token_id or self.device_id


class DeviceRow(msgspec.Struct, frozen=True):
    """One id of a device: whose it is (None: the authority's), its replica's first id, whether it was signed out."""

    subject_id: str | None
    replica_id: str
    is_revoked: bool


class TagGrant(msgspec.Struct, frozen=True):
    """One tag that a subject holds, and the commit in which it was granted."""

    tag: str
    granted_seq: int


class TenantPosition(msgspec.Struct, frozen=True):
    """Where a tenant's feed stands: its newest commit and the chain hash there.

    A cursor before the horizon expired. `is_restored` says that this is not its first epoch.
    """

    epoch: str
    head: int
    chain: str
    authority_counter: int
    purge_horizon: int
    is_restored: bool


class Viewer(msgspec.Struct, frozen=True):
    """What a request may see.

    The tenant's position, the subject's grants, the commit in which they changed last; the device that asks, with
    all ids of its replica, and the epoch in which its present one was entered.
    """

    position: TenantPosition
    grants: Sequence[TagGrant]
    tags_seq: int
    device: Device
    entered_epoch: str

    @property
    def tags(self) -> frozenset[str]:
        """The tags that the subject holds now."""
        return frozenset(grant.tag for grant in self.grants)


class Pusher(msgspec.Struct, frozen=True):
    """Who pushes: the device under lock, and what its subject may see."""

    device: Device
    viewer: Viewer


class StoredEntity(msgspec.Struct, frozen=True, gc=False):
    """One entity with what the server keeps beside it.

    `own_tags` come from its own fields, `neighbour_tags` are inherited or lent; both make its audience.
    `lost_tags` says in which commit it lost a tag that it once had; `digest` is `digests.state_digest`; `undisputed`
    the value at each path where the entity has one at each and was never deleted (`state.undisputed`), as far as known.
    """

    entity: Entity
    seq: int
    digest: str = ""
    own_tags: Sequence[str] = ()
    neighbour_tags: Sequence[str] = ()
    lost_tags: Mapping[str, int] = {}
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}
    is_deleted: bool = False
    undisputed: Mapping[str, Value] | None = None

    @property
    def audience(self) -> frozenset[str]:
        """All tags that let a subject see it."""
        return frozenset((*self.own_tags, *self.neighbour_tags))


class ReferenceRow(msgspec.Struct, frozen=True, gc=False):
    """One reference: the field that holds it, and what it names."""

    path: str
    target: Key


class EntityWrite(msgspec.Struct, frozen=True, gc=False):
    """An entity to write: its new state, what SQL reads of it, and what is lost or gained in audience.

    `state` is the entity as `digests.canonical_state`, `document` JSON text; `deleted_at` milliseconds since 1970 UTC.
    `references` is None where they stay as they are.
    """

    entity: Entity
    state: bytes
    digest: str
    document: bytes
    own_tags: Sequence[str]
    neighbour_tags: Sequence[str]
    lost_tags: Mapping[str, int]
    newly_lost: Collection[str]
    orphans: Sequence[str]
    suggestions: Mapping[str, str]
    is_new: bool
    deleted_at: int | None = None
    deleted_by_device_id: str | None = None
    references: Sequence[ReferenceRow] | None = None


class AudienceWrite(msgspec.Struct, frozen=True, gc=False):
    """An entity of which only the audience changes, by what happened to a neighbour."""

    key: Key
    digest: str
    neighbour_tags: Sequence[str]
    lost_tags: Mapping[str, int]
    newly_lost: Collection[str]


class ConflictOpened(msgspec.Struct, frozen=True, gc=False):
    """A conflict that the push opened, by which device, with the merged text to offer, if any."""

    conflict: Conflict
    device_id: str
    suggestion: str | None


class EffectWrite(msgspec.Struct, frozen=True, gc=False):
    """A side effect with the change that has it."""

    effect: Effect
    dot: Dot


class CommitPlan(msgspec.Struct, frozen=True):
    """Everything that one push writes.

    `subject_id` is on whose behalf; consequences have the authority's dots. `joined` are states that the device gave
    back after a restore, as it offered them.
    """

    device: Device
    position: TenantPosition
    subject_id: str
    device_counter: int
    authority_counter: int
    recorded: Sequence[Recorded]
    entities: Sequence[EntityWrite]
    audiences: Sequence[AudienceWrite]
    opened: Sequence[ConflictOpened]
    closed: Sequence[tuple[str, str]]
    effects: Sequence[EffectWrite]
    joined: Sequence[Entity] = ()


class Committed(NamedTuple):
    """A commit that was written: its number and chain hash, and the number of the commit before it."""

    head: int
    chain: str
    former: int


class Chains(Protocol):
    """What tells whether a cursor is of this past."""

    async def chains(self, seqs: Collection[int]) -> Mapping[int, str]:
        """Return the chain hashes of those commits that there are, by their number."""


class Named(NamedTuple):
    """What a push names: receipts by their dot and by a former name of the change, and entities, locked."""

    receipts: Mapping[Dot, Receipt]
    aliases: Mapping[Alias, Receipt]
    stored: Mapping[Key, StoredEntity]


class IngestTransaction(Chains, Protocol):
    """What a push reads and writes; it begins with `pusher` or `viewer`."""

    async def pusher(self, identity: Identity) -> Pusher:
        """Lock the replica and return the device; raises `UnknownDeviceError` for one that may not speak."""

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""

    async def named(
        self, device: Device, dots: Collection[Dot], said: Collection[Dot], keys: Collection[Key]
    ) -> Named:
        """Return the receipts of `dots`, and by former name those of accepted changes; `lock` those of `keys`.

        Of dots that are not `said`, only named, those that tell more than that the change went into its entity.
        """

    async def lock(self, keys: Collection[Key]) -> dict[Key, StoredEntity]:
        """Lock those entities that exist, in the order of their keys, and return them."""

    async def pasts(self, keys: Collection[Key]) -> dict[Key, Past]:
        """Return what these entities are made of."""

    async def collected(self, keys: Collection[Key]) -> set[Key]:
        """Return those of `keys` whose tombstone was collected once."""

    async def holders(
        self, targets: Collection[Key], paths: Collection[Key] | None = None
    ) -> dict[Key, list[Key]]:
        """Return which entities refer to each target, by the given `(kind, path)`s or by any."""

    async def own_tags(self, keys: Collection[Key]) -> Mapping[Key, Sequence[str]]:
        """Return the own tags of those entities that exist."""

    async def lent_tags(
        self, targets: Collection[Key], paths: Collection[Key], without: Collection[Key]
    ) -> dict[Key, frozenset[str]]:
        """Return what living holders lend to each target by these `(kind, path)`s.

        Those of `without` left out.
        """

    async def commit(self, plan: CommitPlan) -> Committed:
        """Write all of `plan` and return the commit; it is durable once the transaction has ended."""


class FeedRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the feed as stored; `state` is the entity as `digests.canonical_state`."""

    seq: int
    commit_seq: int
    kind: str
    entity_id: str
    state: bytes
    audience: Sequence[str]
    orphans: Sequence[str]
    suggestions: Mapping[str, str]


class Expected(msgspec.Struct, frozen=True):
    """What a pull will most likely ask: the chain hashes of `commits`, and `limit` rows after `seq`."""

    commits: Collection[int] = ()
    seq: int = 0
    limit: int = 0


class ReadAhead(msgspec.Struct, frozen=True):
    """What was expected, with what the caller may see, all of one moment.

    `has_transactions` says whether changes of the tenant ever belonged together.
    """

    viewer: Viewer
    chains: Mapping[int, str]
    rows: Sequence[FeedRow]
    has_transactions: bool = True


class FeedTransaction(Chains, Protocol):
    """What a pull reads, all of one moment."""

    @property
    def viewer(self) -> Viewer:
        """What the caller may see."""

    async def rows_after(self, seq: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows that concern the subject, in order.

        Visible ones, and those that left its sight after `seq`.
        """

    async def rows_below(self, start: int, end: int, tags: Collection[str], limit: int) -> list[FeedRow]:
        """Return rows with one of `tags` and `start < seq <= end`, in order."""

    async def companions(
        self, keys: Collection[Key], after: int, end: int, tags: Collection[str]
    ) -> list[FeedRow]:
        """Return visible rows beyond `end` that a transaction after `after` changed with `keys`."""


class ComparingTransaction(Chains, Protocol):
    """What a replica compares its copy with, all of one moment."""

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""

    async def buckets(self, prefixes: Collection[str], tags: Collection[str]) -> list[Bucket]:
        """Return the bucket of each prefix, as far as a subject with `tags` sees it."""

    async def listed(self, prefixes: Collection[str], tags: Collection[str], limit: int) -> list[Listed]:
        """Return at most `limit` rows of these buckets."""

    async def rows(self, keys: Collection[Key], tags: Collection[str]) -> list[FeedRow]:
        """Return those of `keys` that are there and visible."""


class ConflictRow(msgspec.Struct, frozen=True):
    """One conflict with the entity that it is about.

    `closed_at` is None while it is open (milliseconds since 1970).
    """

    conflict_id: str
    path: str
    suggestion: str | None
    opened_at: int
    opened_seq: int
    opened_by_device_id: str
    stored: StoredEntity
    closed_at: int | None = None


class HistoryRow(msgspec.Struct, frozen=True):
    """One change that was answered.

    `change` and `outcome` are JSON text, times milliseconds since 1970 UTC.
    """

    commit_seq: int
    ordinal: int
    change: str
    outcome: str
    subject_id: str | None
    received_at: int


class RecordsTransaction(Protocol):
    """What is read of single records."""

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""

    async def entity(self, key: Key) -> StoredEntity | None:
        """Return one entity."""

    async def history(
        self, key: Key, subject_id: str, after: tuple[int, int], limit: int
    ) -> list[HistoryRow]:
        """Return accepted changes of one entity, and this subject's rejected ones, oldest first."""

    async def open_conflicts(
        self, tags: Collection[str], after: tuple[int, str], limit: int
    ) -> list[ConflictRow]:
        """Return open conflicts of visible entities, oldest first.

        `after` is `(opened_seq, conflict_id)`.
        """

    async def conflict(self, conflict_id: str, tags: Collection[str]) -> ConflictRow | None:
        """Return one conflict of a visible entity."""


class DeviceTransaction(Protocol):
    """What is done about devices."""

    async def viewer(self, identity: Identity) -> Viewer:
        """Return what the caller may see; raises `UnknownDeviceError` for a device that may not speak."""

    async def device(self, device_id: str) -> DeviceRow | None:
        """Lock a device and return what is known of it."""

    async def count_ids(self, replica_id: str) -> int:
        """Return how many ids a replica has used."""

    async def readmit(self, identity: Identity) -> None:
        """Enter the token's device, of which a restore has left no trace, if its subject is there."""

    async def succeed(self, replica_id: str, device_id: str) -> None:
        """Enter `device_id` as another id of a replica, if nobody has it."""


class EpochTransaction(Chains, Protocol):
    """What is done when a restore that nobody told of comes to light."""

    async def lock(self) -> str:
        """Keep others from committing, and return the present epoch."""

    async def begin(self) -> str:
        """Begin a new epoch and return its name."""


class Storage(Protocol):
    """Transactions of one tenant, by what they are for."""

    def ingest(self, tenant_id: str) -> AbstractAsyncContextManager[IngestTransaction]:
        """Open a transaction that writes."""

    def feed(self, identity: Identity, expected: Expected) -> AbstractAsyncContextManager[FeedTransaction]:
        """Open a transaction that reads the feed at one moment, and with its beginning what is expected.

        Raises `UnknownDeviceError` for a device that may not speak.
        """

    def comparing(self, tenant_id: str) -> AbstractAsyncContextManager[ComparingTransaction]:
        """Open a transaction that reads what replicas compare, at one moment."""

    def epochs(self, tenant_id: str) -> AbstractAsyncContextManager[EpochTransaction]:
        """Open a transaction that may begin an epoch."""

    def records(self, tenant_id: str) -> AbstractAsyncContextManager[RecordsTransaction]:
        """Open a transaction that reads records at one moment."""

    def devices(self, tenant_id: str) -> AbstractAsyncContextManager[DeviceTransaction]:
        """Open a transaction that writes about devices."""

    async def glance(self, identity: Identity) -> Viewer:
        """Return what the caller may see, and nothing else; raises `UnknownDeviceError`."""

    async def ahead(self, identity: Identity, expected: Expected) -> ReadAhead:
        """Return what the caller may see, and what it is expected to ask; raises `UnknownDeviceError`."""

    async def seen(self, identity: Identity, acknowledged_seq: int) -> None:
        """Note that the device was here, and up to which commit it has applied the feed.

        A crash may forget it.
        """

    async def ping(self) -> None:
        """Raise unless the database answers."""

    async def open(self) -> None:
        """Connect; raise if the service's role is one that row level security does not bind."""

    async def close(self) -> None:
        """Let all connections go."""
