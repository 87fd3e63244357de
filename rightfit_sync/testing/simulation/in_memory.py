"""The world in memory: `MemoryDevice` and `MemoryAuthority` behind the ports of the simulation."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from rightfit_sync import changes
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.life import is_deleted
from rightfit_sync.reconcile import Reconciliation
from rightfit_sync.records import Change, Entity, Outcome, rejected
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Rejected, ReplicaState
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.testing.neighbours import audience_of
from rightfit_sync.testing.simulation.failing_store import FailingStore
from rightfit_sync.testing.simulation.ports import (
    Authorize,
    Clock,
    Decided,
    Fact,
    Failure,
    FreshId,
    Held,
    Installation,
    Joined,
    Placed,
    Request,
    Response,
    Session,
)
from rightfit_sync.values import Value

_DAMAGE = "damaged"


class InMemoryDevice:
    """See `ports.SimulatedDevice`."""

    def __init__(self, installation: Installation, store: FailingStore | None = None) -> None:
        self._installation = installation
        self._store = store or FailingStore(ReplicaState(installation.token, installation.subject))
        self._device = MemoryDevice(
            installation.token,
            installation.schema,
            subject=installation.subject,
            clock=installation.clock,
            fresh_id=installation.fresh_id,
            store=self._store,
            rows_max=installation.rows_max,
        )
        self.create = self._device.create
        self.edit = self._device.edit
        self.delete = self._device.delete
        self.restore = self._device.restore
        self.resolve = self._device.resolve

    @property
    def token(self) -> str:
        """The device id that its requests are made with."""
        return self._device.token

    @property
    def schema(self) -> Schema:
        """The schema that its app knows."""
        return self._device.core.schema

    def set_aside(self, dot: Dot) -> None:
        """Give up a pending change, with its transaction."""
        self._device.core.set_aside(dot, rejected("discarded", "the user gave it up"))

    def retry(self, dot: Dot) -> Change | None:
        """Try a rejected change again."""
        return self._device.core.retry(dot, self._device.clock())

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list."""
        self._device.core.discard(dot)

    def all_keys(self) -> Sequence[Key]:
        """Return what there is to show, sorted."""
        return sorted(key for key, shown in self._store.views.items() if shown.entity is not None)

    def entity(self, key: Key) -> Entity | None:
        """Return what the app finds of one entity."""
        shown = self._store.views.get(key)
        return None if shown is None else shown.entity

    def recomputed(self, key: Key) -> Entity | None:
        """Return the same, folded anew."""
        return self._device.entity(key)

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity."""
        return self._device.conflicts(key)

    def pending(self) -> Iterable[Pushed]:
        """Return what waits to be answered."""
        return [Pushed(entry.change, entry.digest) for entry in self._store.pending()]

    def outbox_has(self, dot: Dot) -> bool:
        """Whether a change under this dot is in the outbox."""
        return bool(self._store.entries_by_dot([dot]))

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list."""
        return self._store.rejected()

    def rows(self, keys: Collection[Key]) -> Mapping[Key, Held]:
        """Return the rows that it holds."""
        return {key: Held(row.seq, row.entity) for key, row in self._store.trunks(keys).items()}

    def session(self) -> Session:
        """Begin a sync session."""
        return self._device.session()

    def repair(self) -> Session:
        """Begin to compare the whole copy with the authority's."""
        return self._repairing()

    def _repairing(self) -> Generator[Call, Response, None]:
        """Do as `rightfit replica doctor --repair` and `verify --repair` do: see `rightfit_client.verify`."""
        self._drop_rotten()
        try:
            yield from self._reconciling()
        except RemoteError as error:
            if error.code == "offline":
                raise
            # The authority was restored, or has collected tombstones: a sync heals that.
        yield from self._device.session()
        yield from self._reconciling()

    def _drop_rotten(self) -> None:
        store, core = self._store, self._device.core
        with store.transaction():
            store.drop_trunks(store.rotten)
            core.resync()
            store.put_views({key: core.shown(key) for key in store.views})
        # Not before all of that is durable: it may fail, and the row is as rotten as it was.
        store.rotten = frozenset()

    def _reconciling(self) -> Generator[Call, Response, None]:
        steps = Reconciliation(self._device.core, is_repair=True).steps()
        request = next(steps)
        while True:
            response = yield Call(request)
            try:
                request = steps.send(response)  # type: ignore[arg-type]
            except StopIteration:
                return

    def arm(self, failure: Failure | None) -> None:
        """Let the store fail."""
        self._store.failure = failure

    def crash(self) -> None:
        """Lose everything that is not durable."""
        self._store.failure = None
        self._device.restart()

    def backup(self) -> object:
        """Return a copy of the disk."""
        return FailingStore.holding(self._store)

    def put_back(self, backup: object) -> None:
        """Replace the disk."""
        self._store = FailingStore.holding(cast("FailingStore", backup))
        self._device.restart(self._store)
        self.look_at_marker()

    def clone(self, clock: Clock, fresh_id: FreshId) -> "InMemoryDevice":
        """Return another device with a copy of the disk."""
        store = FailingStore.holding(self._store)
        installation = self._installation._replace(schema=self.schema, clock=clock, fresh_id=fresh_id)
        twin = InMemoryDevice(installation, store)
        twin.look_at_marker()
        return twin

    def look_at_marker(self) -> None:
        """Compare the disk, just replaced, with the marker that some phones keep outside of it: it is an older copy."""
        if self._installation.has_marker:
            self._device.core.take_new_id()

    def damage(self, key: Key, *, is_lost: bool) -> bool:
        """Let the stored row of `key` rot, or be lost."""
        row = self._store.trunks([key]).get(key)
        if row is None:
            return False
        if is_lost:
            self._store.drop_trunks([key])
        else:
            fields = {
                path: [replace(one, value=_DAMAGE) for one in siblings]
                for path, siblings in row.entity.fields.items()
            }
            self._store.put_trunks([replace(row, entity=replace(row.entity, fields=fields))])
            self._store.rotten |= {key}
        return True

    def upgrade(self, schema: Schema) -> None:
        """Install a newer app."""
        self._device.core.schema = schema
        self.crash()


class InMemoryAuthority:
    """See `ports.SimulatedAuthority`. Whoever may not see an entity is answered as if it did not exist."""

    def __init__(self, schema: Schema, authorize: Authorize) -> None:
        self._authorize = authorize
        self._authority = MemoryAuthority(schema, authorize=self._permit)
        self._recorded = self._joined = self._head = self._restores = 0

    def _permit(self, subject: str, entity: Entity | None, change: Change) -> Outcome | None:
        if entity is not None and not self._sees(subject, entity):
            if change.op == "create":
                return rejected(
                    "id_taken", f"{change.entity_id} cannot be used for this: make it with a new id"
                )
            return rejected(
                "unknown_entity", f"{change.kind} {change.entity_id} does not exist here: create it first"
            )
        return self._authorize(subject, entity, change)

    def _sees(self, subject: str, entity: Entity) -> bool:
        authority = self._authority
        tags = authority.grants[subject].tags
        return not tags.isdisjoint(audience_of(authority.held, entity, authority.schema))

    def register(self, device_id: str, subject: str) -> None:
        """Let a device in."""
        self._authority.register(device_id, subject)

    def answer(self, device_id: str, request: Request, now: int) -> Response:
        """Answer one request."""
        return self._authority.answer(device_id, request, now)

    def facts(self) -> Sequence[Fact]:
        """Return what has happened since last asked."""
        authority = self._authority
        found: list[Fact] = [Decided(one) for one in authority.history[self._recorded :]]
        found += [Joined((one.kind, one.entity_id), one) for one in authority.joined[self._joined :]]
        self._recorded, self._joined = len(authority.history), len(authority.joined)
        if authority.head > self._head:
            held = authority.held.items()
            found += [Placed(key, one.seq, one.entity) for key, one in held if one.seq > self._head]
            self._head = authority.head
        return found

    def entities(self) -> Mapping[Key, Entity]:
        """Return every entity that it holds."""
        return {key: held.entity for key, held in self._authority.held.items()}

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity."""
        return self._authority.conflicts(key)

    def visible_to(self, subject: str) -> frozenset[Key]:
        """Return what a subject may see."""
        tags = self._authority.grants[subject].tags
        return frozenset(
            key for key, held in self._authority.held.items() if not tags.isdisjoint(held.audience)
        )

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give a subject exactly these tags."""
        self._authority.grant(subject, tags)

    def write(self, key: Key, values: Mapping[str, Value], now: int) -> bool:
        """Write fields of the authority's own."""
        schema = self._authority.schema
        if key not in self._authority.held:
            return False

        def author(entity: Entity, stamp: changes.Stamp) -> Change | None:
            return changes.edit(entity, values, stamp, schema)

        return self._authority.write(key, author, now) is not None

    def purge(self) -> Sequence[Key]:
        """Collect tombstones."""
        gone = self.purgeable()
        self._authority.purge()
        return gone

    def purgeable(self) -> Sequence[Key]:
        """Return what a purge would collect."""
        kinds = self._authority.schema.kinds
        held = self._authority.held.items()
        return sorted(key for key, one in held if key[0] in kinds and is_deleted(one.entity, kinds[key[0]]))

    def backup(self) -> object:
        """Return a copy of the database."""
        return self._authority.copy()

    def restore(self, backup: object, *, is_told: bool) -> None:
        """Replace the database by that copy."""
        self._restores += 1
        self._authority.put_back(cast("MemoryAuthority", backup))
        if is_told:
            self._authority.begin_epoch(f"restore {self._restores}")
        self._recorded, self._joined = len(self._authority.history), len(self._authority.joined)
        self._head = self._authority.head

    def upgrade(self, schema: Schema) -> None:
        """Serve this schema from now on."""
        self._authority.schema = schema


class InMemoryPorts:
    """See `world.Ports`."""

    @staticmethod
    def device(installation: Installation) -> InMemoryDevice:
        """Make a device."""
        return InMemoryDevice(installation)

    @staticmethod
    def authority(schema: Schema, authorize: Authorize) -> InMemoryAuthority:
        """Make an authority."""
        return InMemoryAuthority(schema, authorize)
