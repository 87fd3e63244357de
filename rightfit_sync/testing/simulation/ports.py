"""What the simulated world asks of a device and of an authority: two small protocols.

The world in memory implements them with `MemoryDevice` and `MemoryAuthority`; a second one runs the same histories
through a real replica file and a real database. A device has at most one sync session at a time: a generator that
yields a `Call` for each request and is sent the answer, or thrown the error, that the wire brought back.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call
from rightfit_sync.ingest.snapshot import Pushed, Recorded
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Rejected
from rightfit_sync.values import Value
from rightfit_sync.wire.messages import ReconcileRequest, ReconcileResponse, SyncRequest, SyncResponse

Clock: TypeAlias = Callable[[], int]
"""Milliseconds since 1970 UTC."""

FreshId: TypeAlias = Callable[[], str]
"""Makes device ids that nobody else has."""

Authorize: TypeAlias = Callable[[str, Entity | None, Change], Outcome | None]
"""Given subject, entity before and change: the application's rejection, or None."""


Request: TypeAlias = SyncRequest | ReconcileRequest
Response: TypeAlias = SyncResponse | ReconcileResponse

Session: TypeAlias = Generator[Call, Response, object]
"""A sync session: ends by itself when there is nothing left to do, or with an error that it was thrown."""


class CrashError(Exception):
    """The process died here: what was not durable is gone, and nobody was told anything."""


class DiskFullError(OSError):
    """The disk refused a write."""


class OfflineError(RemoteError):
    """No answer came, and none will."""

    def __init__(self) -> None:
        super().__init__("offline", "no answer: try again later", status=503)


class Failure(NamedTuple):
    """A failure that waits in a device's store.

    `how` is `crash` or `full` at the write number `after` (from 0) inside a transaction, `before_commit` or
    `after_commit` of the transaction number `after`.
    """

    how: str
    after: int


class Installation(NamedTuple):
    """What a device is made with: the id of its token, the app's schema, and what it asks of the phone.

    It pulls `rows_max` rows at once. `has_marker`: it keeps a marker outside of what its backups cover, and knows an
    older copy when it opens one.
    """

    token: str
    schema: Schema
    subject: str
    clock: Clock
    fresh_id: FreshId
    rows_max: int
    has_marker: bool


class Held(NamedTuple):
    """A row of the feed as a device holds it."""

    seq: int
    entity: Entity


class SimulatedDevice(Protocol):
    """One installation of the app. Verbs of a person return the change made, or None where there was nothing to do."""

    @property
    def token(self) -> str:
        """The device id that its requests are made with."""

    @property
    def schema(self) -> Schema:
        """The schema that its app knows."""

    def create(
        self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None
    ) -> Change | None:
        """Bring an entity into being."""

    def edit(self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None) -> Change | None:
        """Make the shown entity hold `wanted`."""

    def delete(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Delete the shown entity."""

    def restore(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Undo the deletes that this device knows of."""

    def resolve(self, key: Key, path: str, choice: Value) -> Change | None:
        """Settle the conflict at `path`."""

    def set_aside(self, dot: Dot) -> None:
        """Give up a pending change, with its transaction."""

    def retry(self, dot: Dot) -> Change | None:
        """Try a rejected change again."""

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list."""

    def all_keys(self) -> Sequence[Key]:
        """Return what there is to show, sorted."""

    def entity(self, key: Key) -> Entity | None:
        """Return what the app finds of one entity, siblings and all."""

    def recomputed(self, key: Key) -> Entity | None:
        """Return the same, folded anew."""

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity as this device knows them."""

    def pending(self) -> Iterable[Pushed]:
        """Return what waits to be answered, in outbox order."""

    def outbox_has(self, dot: Dot) -> bool:
        """Whether a change under this dot is in the outbox, answered or not."""

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list."""

    def rows(self, keys: Collection[Key]) -> Mapping[Key, Held]:
        """Return the rows of the authority's feed that it holds."""

    def session(self) -> Session:
        """Begin a sync session."""

    def repair(self) -> Session:
        """Begin to compare the whole copy with the authority's, and to mend it."""

    def arm(self, failure: Failure | None) -> None:
        """Let the next write, or transaction, of the store fail; None takes that back."""

    def crash(self) -> None:
        """Lose everything that is not durable, and start again."""

    def backup(self) -> object:
        """Return a copy of the disk."""

    def put_back(self, backup: object) -> None:
        """Replace the disk by that copy, and start again."""

    def clone(self, clock: Clock, fresh_id: FreshId) -> "SimulatedDevice":
        """Return another device that begins with a copy of this one's disk, token included."""

    def damage(self, key: Key, *, is_lost: bool) -> bool:
        """Let the stored row of `key` rot, or be lost, behind the app's back; whether there was one."""

    def upgrade(self, schema: Schema) -> None:
        """Install an app that knows this schema."""


class Decided(NamedTuple):
    """The authority has answered a change, or made one of its own."""

    recorded: Recorded


class Placed(NamedTuple):
    """The authority has given an entity's present state a place in its feed."""

    key: Key
    seq: int
    entity: Entity


class Joined(NamedTuple):
    """The authority has united what it holds with this state, which a device offered."""

    key: Key
    entity: Entity


Fact: TypeAlias = Decided | Placed | Joined


class SimulatedAuthority(Protocol):
    """The authority of one tenant."""

    def register(self, device_id: str, subject: str) -> None:
        """Let a device in."""

    def answer(self, device_id: str, request: Request, now: int) -> Response:
        """Answer one request, made with the token of `device_id`; raise `RemoteError` where it is refused."""

    def facts(self) -> Sequence[Fact]:
        """Return what has happened since last asked, in order."""

    def entities(self) -> Mapping[Key, Entity]:
        """Return every entity that it holds."""

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity."""

    def visible_to(self, subject: str) -> frozenset[Key]:
        """Return what a subject may see."""

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give a subject exactly these tags."""

    def write(self, key: Key, values: Mapping[str, Value], now: int) -> bool:
        """Write fields of the authority's own; whether there was anything to do."""

    def purge(self) -> Sequence[Key]:
        """Collect tombstones; return whose."""

    def purgeable(self) -> Sequence[Key]:
        """Return what a purge would collect."""

    def backup(self) -> object:
        """Return a copy of the database."""

    def restore(self, backup: object, *, is_told: bool) -> None:
        """Replace the database by that copy; where nobody `is_told`, devices must find it out."""

    def upgrade(self, schema: Schema) -> None:
        """Serve this schema from now on."""
