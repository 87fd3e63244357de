"""`Replica`: a device's copy of its part of the world, in one SQLite file. Start here.

::

    with Replica.open("replica.db", schema=SCHEMA, url="https://sync.example.org", token=get_token) as replica:
        order_id = replica.insert("work_order", title="Boiler leaks", tags=["leak"])
        replica.update("work_order", order_id, {"title": "Boiler drips", "tags/urgent": True})
        replica.sync()

Edits are durable when the call returns and visible at once; they wait in the outbox until the authority has
answered. Reading and writing never wait for the network. All methods may be called from any thread; a
transaction belongs to the thread that opened it (do not await inside one).
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import httpx
import msgspec
from msgspec import UNSET, UnsetType
from sqlite_utils import Database

from rightfit_client.activity import Activity
from rightfit_client.claims import Claims
from rightfit_client.credentials import Credentials, TokenSource
from rightfit_client.doctor import Finding, examine, repair
from rightfit_client.errors import LocalError, OpenError
from rightfit_client.facts import meta, put_meta
from rightfit_client.history import History, history
from rightfit_client.live import Callback, LiveQueries, Subscription
from rightfit_client.loop import LoopThread, SyncLoop, drive
from rightfit_client.marker import default_directory
from rightfit_client.opening import (
    LAST_SYNCED,
    OpenFile,
    Upgrade,
    first_state,
    open_file,
    open_for_reading,
    remembered_url,
)
from rightfit_client.owed import RememberingExchange, owed
from rightfit_client.query import Params, Query, Rows, Select
from rightfit_client.reading import Reader
from rightfit_client.salvage import Salvaged, salvage
from rightfit_client.status import Status, state_of
from rightfit_client.transport import AsyncHttpTransport, HttpOptions, HttpRequest, HttpTransport
from rightfit_client.verify import Difference, verify
from rightfit_client.writing import Writer
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.exchange import Exchange, Progress, Synced
from rightfit_sync.outbox import Entry
from rightfit_sync.records import Change
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Rejected

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC. For people and for display order alone: nothing breaks where it is wrong."""


def system_clock() -> int:
    """Return the device's clock."""
    return time.time_ns() // 1_000_000


class Replica:
    """See the module's docstring; made by `Replica.open`, a context manager or closed with `close()`."""

    def __init__(
        self, opened: OpenFile, source: TokenSource, url: str | None, clock: Clock, http: HttpOptions
    ) -> None:
        self._opened = opened
        self._store = opened.store
        self._clock = clock
        self._url = url = remembered_url(opened, url)
        self._http = http
        self._credentials = Credentials(source, self._check_claims)
        self._transport = HttpTransport(url, self._credentials, http.transport) if url is not None else None
        self._reader = Reader(opened)
        self._writer = Writer(opened, self._reader, clock)
        self._live = LiveQueries(self._reader.ask, self._reader.reads)
        self._listeners: list[Callable[[Status], None]] = []
        self._progress: Callable[[Progress], None] | None = None
        self._activity = Activity(self._tell_status)
        self._loop: SyncLoop | None = None
        self._thread: LoopThread | None = None
        self._is_closed = False
        opened.unit.committed = self._committed

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        schema: Schema | None = None,
        url: str | None = None,
        token: TokenSource = None,
        device_id: str | None = None,
        clock: Clock = system_clock,
        read_only: bool = False,
        upgrade: Upgrade | None = None,
        marker: str | Path | UnsetType | None = UNSET,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> "Replica":
        """Open the replica at `path`, or make it.

        A new file needs `schema` and a `token` (or, to work without an authority, a `device_id`); later both
        may be left out. `token` may be a callback that returns a fresh one. A schema with a greater
        `schema_version` migrates the file; `upgrade` then rewrites pending changes. `read_only` opens beside
        another process that writes. `marker` is the folder where the file's marker is kept, outside of what
        backups of the file cover (by default where RIGHTFIT_MARKERS says, or in the user's folder for state;
        None: nowhere). The two transports replace httpx's own. Raises `OpenError` (`ReplicaInUse`, ...),
        `StorageError`, `SchemaError`.
        """
        place = Path(path).expanduser().resolve()
        if read_only:
            opened = open_for_reading(place)
        else:
            opened = open_file(
                place,
                schema,
                lambda: first_state(token, device_id),
                upgrade=upgrade,
                markers=_folder(marker),
            )
        try:
            return cls(opened, token, url, clock, HttpOptions(transport, async_transport))
        except BaseException:
            opened.close()
            raise

    @staticmethod
    def salvage(
        path: str | Path,
        *,
        schema: Schema | None = None,
        token: TokenSource = None,
        device_id: str | None = None,
    ) -> Salvaged:
        """Set a damaged file aside (`StorageError("corrupt")`) and make a new one of what can be read of it.

        The replica must be closed. `schema`, `token` and `device_id` are as for a new file, and needed where
        the file cannot even say those. The next sync fetches what is missing; see `salvage`.
        """
        place = Path(path).expanduser().resolve()
        return salvage(place, schema, lambda: first_state(token, device_id))

    @property
    def schema(self) -> Schema:
        """The schema of the file."""
        return self._opened.schema

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._opened.path

    @property
    def url(self) -> str | None:
        """Where the authority is, as far as the file knows."""
        return self._url

    @property
    def device_id(self) -> str:
        """The id under which changes are made now."""
        return self._store.state().device_id

    @property
    def database(self) -> Database:
        """The file as a sqlite-utils database: for indexes and tables of your own, and for looking around."""
        self._opened.unit.flush()
        return Database(self._opened.connection, recursive_triggers=False, execute_plugins=False)

    # Reading.

    def get(self, kind: str, entity_id: str) -> dict[str, object] | None:
        """Return one entity, `{"entity_id": ..., field: value}`, or None where it is not here or deleted."""
        return self._reader.get(kind, entity_id)

    def query(
        self, kind: str, where: str = "", params: Params = (), *, order_by: str = "", limit: int | None = None
    ) -> Rows:
        """Return the entities of a kind for which `where` holds (SQL over its columns, with placeholders)."""
        return self._reader.ask(Query(kind, where, params, order_by, limit))

    def select(self, sql: str, params: Params = ()) -> Rows:
        """Return what any reading SQL gives, columns as SQLite has them."""
        return self._reader.ask(Select(sql, params))

    def subscribe(self, question: Query | Select | str, callback: Callback) -> Subscription:
        """Call `callback` with the answer now and whenever it changes; a bare kind means all of it."""
        return self._live.add(Query(question) if isinstance(question, str) else question, callback)

    # Writing.

    def insert(
        self,
        kind: str,
        values: Mapping[str, object] | None = None,
        /,
        *,
        entity_id: str | None = None,
        **more: object,
    ) -> str:
        """Create an entity with these values and return its id (a new UUIDv7, unless one is given)."""
        return self._writer.insert(kind, entity_id, {**(values or {}), **more})

    def update(
        self, kind: str, entity_id: str, values: Mapping[str, object] | None = None, /, **more: object
    ) -> Change | None:
        """Make an entity hold these values, `{field or path: value}`; return the change, or None.

        A container may be given whole, or one element by its path: `{"tags/leak": True, "tags/dry": None}`.
        """
        return self._writer.update(kind, entity_id, {**(values or {}), **more})

    def delete(self, kind: str, entity_id: str) -> Change | None:
        """Delete an entity."""
        return self._writer.delete(kind, entity_id)

    def restore(self, kind: str, entity_id: str) -> Change | None:
        """Bring a deleted entity back."""
        return self._writer.restore(kind, entity_id)

    def transaction(self) -> AbstractContextManager[None]:
        """Make the changes of a `with` block one whole, here and on the authority; an error undoes them."""
        return self._writer.transaction()

    def batch(self) -> AbstractContextManager[None]:
        """Commit the changes of a `with` block at once; each is still accepted or rejected on its own."""
        return self._writer.batch()

    # What is under way, in dispute, refused.

    def pending(self) -> list[Entry]:
        """Return what the authority has not answered yet, in outbox order."""
        with self._opened.unit.lock:
            return list(self._store.pending())

    def conflicts(self, kind: str | None = None, entity_id: str | None = None) -> list[Conflict]:
        """Return the open conflicts, of all entities or of these."""
        return self._store.conflicts(kind, entity_id)

    def resolve(self, conflict: Conflict | str, choice: object) -> Change | None:
        """Settle a conflict (or the one with this id) by `choice`, see `rightfit_sync.resolve`.

        Raises `LocalError("conflict_changed")` where it is no longer what was shown.
        """
        found = self._store.conflict(conflict) if isinstance(conflict, str) else conflict
        if found is None:
            raise LocalError(
                "unknown_conflict", f"no conflict {conflict} is open: list them again", "conflict_id"
            )
        return self._writer.resolve(found, choice)

    def rejected(self) -> list[Rejected]:
        """Return the changes that were not accepted, with their payload and the reason, oldest first."""
        return list(self._store.rejected())

    def retry(self, dot: Dot) -> list[Change]:
        """Make a rejected change (with its transaction) anew on top of what is shown now."""
        return self._writer.retry(dot)

    def edit_again(
        self, dot: Dot, values: Mapping[str, object] | None = None, /, **more: object
    ) -> Change | None:
        """Make a rejected change anew with these values in place of its own."""
        return self._writer.edit_again(dot, {**(values or {}), **more})

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list for good."""
        self._writer.discard(dot)

    def history(self, kind: str, entity_id: str) -> History:
        """Return what happened to an entity: from the authority where it can be asked, and the local part."""
        fetch = None if self._transport is None else self._transport.fetch
        return history(self._store, (kind, entity_id), fetch)

    # Syncing.

    def sync(self, progress: Callable[[Progress], None] | None = None) -> Synced:
        """Push and pull once, until there is nothing more to do; resumes where the last one stopped.

        Raises `Offline`, `NeedsLogin`, `NeedsUpgrade`, `NeedsRepair`, `RemoteProblem`; edits are kept in any
        case.
        """
        transport = self._connected()
        with self._activity.exclusive:
            exchange = self._begin(progress)
            exchange.announce = transport.announce
            with self._activity.attempt():
                synced = drive(exchange.steps(), transport.exchange)
            self._activity.authority_schema_version = exchange.authority_schema_version
        return synced

    def start(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Keep syncing in a thread of its own until `stop()`."""
        if self._thread is None or self._loop is None:
            self._thread = LoopThread(self._make_loop(progress))
            self._thread.start()

    def stop(self) -> None:
        """End the background loop; what is under way is finished, or harmlessly dropped after `STOP_SECONDS`."""
        if self._loop is not None:
            self._loop.stop()
        self._loop = None
        if self._thread is not None and self._thread.stop():
            self._thread = None

    async def run(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Keep syncing in this event loop until `stop()` or until the task is cancelled."""
        loop = self._make_loop(progress)
        try:
            await loop.run()
        finally:
            self._loop = None

    def poke(self) -> None:
        """Sync now, even while backing off: the network is back, or somebody says that there is news."""
        if self._loop is not None:
            self._loop.poke()

    def log_in(self, token: str) -> None:
        """Use this token from now on; it must be for the same subject and device."""
        self._credentials.put(token)
        self._activity.forget_problem()
        self.poke()

    def refresh_token(self) -> str:
        """Ask the authority for a fresh token for this device, use it, and return it to be kept."""
        body = self._connected().fetch(HttpRequest("POST", "/v1/token"))
        token = msgspec.json.decode(body, type=_Token).token
        self._credentials.put(token)
        return token

    def resync(self) -> None:
        """Compare the whole copy with the authority's at the next sync, and mend what differs."""
        with self._activity.exclusive:
            self._opened.core.resync()
        self._activity.forget_problem()

    def status(self) -> Status:
        """Return what a user interface shows."""
        state, activity = self._store.state(), self._activity
        pending, conflicts = self._store.count_pending(), self._store.count_conflicts()
        rejected, is_syncing = self._store.count_rejected(), activity.is_syncing
        with self._opened.unit.lock:
            synced_at = meta(self._opened.connection, LAST_SYNCED)
            problem = activity.problem or owed(self._opened)
        return Status(
            state=state_of(
                problem, is_syncing=is_syncing, rejected=rejected, conflicts=conflicts, pending=pending
            ),
            pending=pending,
            conflicts=conflicts,
            rejected=rejected,
            last_synced_at=None if synced_at is None else int(synced_at),
            code=str(getattr(problem, "code", "")),
            message="" if problem is None else str(problem),
            progress=activity.progress,
            device_id=state.device_id,
            subject=state.subject,
            schema_version=self.schema.schema_version,
            authority_schema_version=activity.authority_schema_version,
        )

    def examine(self) -> list[Finding]:
        """Return what a look at the file's health found; nothing is changed."""
        return examine(self._opened)

    def verify(self, *, repair: bool = False) -> list[Difference]:
        """Sync, then compare every record with the authority's; return those that differ, and mend them if told.

        A record that only this replica has is offered; one that the authority does not take back is forgotten.
        Raises what `sync` does.
        """
        transport = self._connected()
        with self._activity.exclusive, self._activity.attempt():
            return verify(self._opened, lambda: self._begin(None), transport.exchange, repair=repair)

    def repair(self) -> None:
        """Make everything anew that follows from trunk and outbox (view tables, conflicts, guards).

        Records of the trunk that cannot be read are dropped; the next sync fetches them.
        """
        if self._opened.is_read_only:
            raise LocalError("read_only", "this replica is open for reading alone: open it without read_only")
        repair(self._opened)

    def on_status(self, listener: Callable[[Status], None]) -> None:
        """Call `listener` whenever the status may have changed, on the thread that changed it."""
        self._listeners.append(listener)

    # The end.

    def close(self) -> None:
        """Stop syncing and close the file; closing twice does nothing."""
        self._end(remove=False)

    def _end(self, *, remove: bool) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.stop()
        if self._transport is not None:
            self._transport.close()
        self._opened.close(remove=remove)

    def wipe(self, *, discard_pending: bool = False) -> None:
        """Close the replica and remove its file: the user has logged out.

        Raises `LocalError("pending_edits")` where edits would be lost, unless they are to be.
        """
        if self._opened.is_read_only:
            raise LocalError("read_only", "this replica is open for reading alone: open it without read_only")
        unsent, refused = self._store.count_pending(), self._store.count_rejected()
        if (unsent or refused) and not discard_pending:
            message = (
                f"{unsent} edits are not sent, {refused} were rejected: sync first, or discard_pending=True"
            )
            raise LocalError("pending_edits", message)
        self._end(remove=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Within.

    def _connected(self) -> HttpTransport:
        if self._transport is None or self._opened.is_read_only:
            raise LocalError(
                "no_url", "this replica was opened without the URL of its authority (or for reading)", "url"
            )
        return self._transport

    def _begin(self, progress: Callable[[Progress], None] | None) -> Exchange:
        def report(done: Progress) -> None:
            self._activity.report(done)
            if progress is not None:
                progress(done)

        def note_time() -> None:
            put_meta(self._opened.connection, LAST_SYNCED, str(self._clock()))

        return RememberingExchange(self._opened, report=report, taken=note_time)

    def _make_loop(self, progress: Callable[[Progress], None] | None) -> SyncLoop:
        self._connected()
        if self._loop is not None:
            raise LocalError("already_syncing", "the background loop of this replica runs already")
        self._loop = SyncLoop(
            self._activity,
            lambda: self._begin(progress),
            lambda: AsyncHttpTransport(self._url or "", self._credentials, self._http.async_transport),
        )
        return self._loop

    def _committed(self, kinds: frozenset[str], has_grown: bool) -> None:
        self._live.notice(kinds)
        if has_grown and self._loop is not None and not self._activity.is_syncing:
            self._loop.nudge()
        if not self._activity.is_syncing:
            self._tell_status()

    def _tell_status(self) -> None:
        if self._listeners and not self._is_closed:
            status = self.status()
            for listener in list(self._listeners):
                listener(status)

    def _check_claims(self, claims: Claims) -> None:
        state = self._store.state()
        if state.subject and state.subject != claims.subject:
            whose = f"this replica belongs to {state.subject}, the token to {claims.subject}"
            message = f"{whose}: wipe it or use another file"
            raise OpenError("other_subject", message, "token")
        if claims.device not in (state.device_id, *state.former_ids):
            message = f"this replica is {state.device_id}, the token is for {claims.device}: use its file"
            raise OpenError("other_device", message, "token")


def _folder(marker: str | Path | UnsetType | None) -> Path | None:
    if marker is UNSET:
        return default_directory()
    return None if marker is None else Path(marker).expanduser()


class _Token(msgspec.Struct, frozen=True):
    token: str
