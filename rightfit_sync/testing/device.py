"""A device in memory: a `ReplicaCore` with the verbs that a person has, and an exchange with an authority.

`session` is one sync as a generator, for whoever puts a network between; `sync` carries it out at once. `request` and
`take` are the two ends of a single exchange.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rightfit_sync import changes
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Exchange, Steps, Synced
from rightfit_sync.limits import (
    CHANGES_PER_PUSH_MAX,
    PROTOCOL_VERSION,
    PUSH_BYTES_MAX,
    ROWS_PER_PAGE,
    ROWS_PER_PAGE_MAX,
)
from rightfit_sync.outbox import Shown
from rightfit_sync.records import Change, Entity
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, ReplicaState
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.memory import MemoryStore
from rightfit_sync.values import Value
from rightfit_sync.view import view
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

ROUNDS_MAX = 1_000
"""Requests after which `sync` gives up: a queue that does not drain is a fault."""


class MemoryDevice:
    """One device of `subject`.

    `clock` is read at every write, milliseconds since 1970 UTC; `fresh_id` makes device ids that nobody else has;
    `store` is another device's, copied, where this one is a clone; `rows_max` rows are asked for at once. Requests are
    made with the id `token`.
    """

    def __init__(
        self,
        device_id: str,
        schema: Schema,
        *,
        subject: str = "everybody",
        clock: Callable[[], int] | None = None,
        fresh_id: Callable[[], str] | None = None,
        store: MemoryStore | None = None,
        rows_max: int = ROWS_PER_PAGE,
    ) -> None:
        self.token = device_id
        self.rows_max = rows_max
        self.store = store or MemoryStore(ReplicaState(device_id, subject))
        self.fresh_id = fresh_id or self._next_id
        self.core = ReplicaCore(self.store, schema, self.fresh_id)
        self.clock = clock or self._tick
        self._ticks = self._ids = 0

    @property
    def device_id(self) -> str:
        """The id that this device writes under."""
        return self.store.state().device_id

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks

    def _next_id(self) -> str:
        self._ids += 1
        return f"{self.token}.{id(self):x}.{self._ids}"

    def restart(self, store: MemoryStore | None = None) -> None:
        """Begin anew from what is durable, or from `store` (a backup that was put back)."""
        self.store = store or self.store
        self.core = ReplicaCore(self.store, self.core.schema, self.fresh_id)

    def entity(self, key: Key) -> Entity | None:
        """Return what is shown of one entity, siblings and all."""
        return self.core.shown(key).entity

    def view(self, key: Key) -> dict[str, Value]:
        """Return what the app shows of one entity; empty where there is nothing to show."""
        entity = self.entity(key)
        return {} if entity is None else view(entity, self.core.schema)

    def conflicts(self, key: Key) -> list[Conflict]:
        """Return the open conflicts of one entity as this device knows them."""
        entity = self.entity(key)
        row = self.store.trunks([key]).get(key)
        return (
            [] if entity is None else conflicts(entity, self.core.schema, () if row is None else row.orphans)
        )

    def create(
        self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None
    ) -> Change | None:
        """Bring an entity into being."""
        schema = self.core.schema
        return self._write(key, lambda _, stamp: changes.create(*key, wanted, stamp, schema), transaction_id)

    def edit(self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None) -> Change | None:
        """Make the shown entity hold `wanted`."""
        schema = self.core.schema
        return self._on_entity(
            key, lambda entity, stamp: changes.edit(entity, wanted, stamp, schema), transaction_id
        )

    def delete(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Delete the shown entity."""
        return self._on_entity(key, changes.delete, transaction_id)

    def restore(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Undo the deletes that this device knows of."""
        return self._on_entity(key, changes.restore, transaction_id)

    def resolve(self, key: Key, path: str, choice: Value) -> Change | None:
        """Settle the conflict at `path`."""
        conflict = next(one for one in self.conflicts(key) if one.path == path)
        schema = self.core.schema
        return self._on_entity(
            key, lambda entity, stamp: changes.resolve(entity, conflict, choice, stamp, schema)
        )

    def _on_entity(
        self,
        key: Key,
        author: Callable[[Entity, changes.Stamp], Change | None],
        transaction_id: str | None = None,
    ) -> Change | None:
        def write(shown: Shown, stamp: changes.Stamp) -> Change | None:
            return None if shown.entity is None else author(shown.entity, stamp)

        return self._write(key, write, transaction_id)

    def _write(
        self, key: Key, author: Callable[[Shown, changes.Stamp], Change | None], transaction_id: str | None
    ) -> Change | None:
        return self.core.write(key, author, self.clock(), transaction_id)

    def request(
        self, changes_max: int = CHANGES_PER_PUSH_MAX, rows_max: int = ROWS_PER_PAGE_MAX
    ) -> SyncRequest:
        """Return what this device sends next; `changes_max` 0 pushes nothing."""
        pushed = self.core.plan_push(changes_max=changes_max, bytes_max=PUSH_BYTES_MAX) if changes_max else []
        state = self.store.state()
        return SyncRequest(
            protocol_version=PROTOCOL_VERSION,
            schema_version=self.core.schema.schema_version,
            device_id=state.device_id,
            changes=pushed,
            cursor=state.cursor,
            rows_max=rows_max,
        )

    def take(self, response: SyncResponse) -> None:
        """Take in an answer."""
        self.core.take_authority(response.kinds, response.epoch)
        self.core.take_receipts(response.receipts)
        self.core.take_deferred([deferred.dot for deferred in response.deferred])
        if response.page is not None:
            self.core.take_page(response.page)

    def exchange(
        self, authority: MemoryAuthority, now: int, changes_max: int = CHANGES_PER_PUSH_MAX
    ) -> SyncResponse:
        """Do one round trip and return the answer."""
        response = authority.sync(self.token, self.request(changes_max), now)
        self.take(response)
        return response

    def session(self) -> Steps:
        """Return the steps of one sync: it yields requests, and is sent the responses to them."""
        return Exchange(self.core, rows_max=self.rows_max).steps()

    def sync(self, authority: MemoryAuthority, now: int) -> Synced:
        """Exchange until the outbox is empty and the feed read, or what is left must wait for an upgrade."""
        steps = self.session()
        call = next(steps)
        for _ in range(ROUNDS_MAX):
            try:
                response = authority.answer(self.token, call.request, now)
            except RemoteError as problem:
                advance = partial(steps.throw, problem)
            else:
                advance = partial(steps.send, response)
            try:
                call = advance()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
        raise AssertionError(f"{self.device_id} is not done after {ROUNDS_MAX} requests")


def rejected_codes(device: MemoryDevice) -> Sequence[str]:
    """Return the codes on the device's rejected list, oldest first."""
    return [one.outcome.code for one in device.store.rejected()]
