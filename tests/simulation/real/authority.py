"""A simulated authority that is the real server: its ASGI application, in this process, on a database of PostgreSQL.

Requests carry real tokens and travel through the routes; backups are the rows of every table; a restore puts them back
behind the running server, as a replaced volume would. What order PostgreSQL leaves open is sorted here, and names of
epochs are counted, so that one seed tells one story.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any, cast

import httpx
import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from rightfit_server.audit.audit import audit
from rightfit_server.bootstrap import build_app
from rightfit_server.feed.cursors import Seals
from rightfit_server.http.services import Services
from rightfit_server.ingest.offers import Offers
from rightfit_server.ingest.service import Ingest
from rightfit_server.ports.application import Effect, Subject
from rightfit_server.ports.storage import Identity, Pusher
from rightfit_server.postgres import administration, epoch
from rightfit_server.postgres.purge import purge
from rightfit_server.settings import signing_keys
from rightfit_sync import changes
from rightfit_sync.causality.dot import AUTHORITY_PREFIX, Dot
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.digests import Listed
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.draft import next_counter
from rightfit_sync.ingest.snapshot import Device, Pushed, Recorded
from rightfit_sync.records import Change, Entity, Outcome, digest
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import decode_state
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ports import Authorize, Decided, Fact, Joined, Placed, Request, Response
from rightfit_sync.values import Value
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import Problem, ReconcileResponse, SyncRequest, SyncResponse
from tests.server.world import KEYS, TENANT, Database

_OFFICE = "subject 0"
_decode_change = msgspec.json.Decoder(Change).decode
_decode_outcome = msgspec.json.Decoder(Outcome).decode


_CHANGES = """
    SELECT change::text, digest, outcome::text FROM app.changes WHERE commit_seq > %s ORDER BY commit_seq, ordinal
"""
_JOINS = "SELECT state FROM app.joins WHERE commit_seq > %s ORDER BY commit_seq, ordinal"
_ENTITIES = "SELECT seq, state, audience, orphans FROM app.entities WHERE seq > %s ORDER BY seq"
_COLUMNS = """
    SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns
    WHERE table_schema = 'app' AND is_generated = 'NEVER' GROUP BY table_name ORDER BY table_name
"""


class _Stored(msgspec.Struct, frozen=True):
    seq: int
    entity: Entity
    audience: frozenset[str]
    orphans: Sequence[str]


class _Application:
    """The simulated world's application."""

    def __init__(self, schema: Schema, authorize: Authorize) -> None:
        self._schema = schema
        self._authorize = authorize

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def roles(self) -> Mapping[str, Sequence[str]]:
        return {}

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        return self._authorize(subject.subject_id, before, change)

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        return []


class Tables:
    """All rows of a database, read and replaced by a superuser, as a backup and its restore do."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.superuser_url, autocommit=True)
        self._columns: dict[str, list[str]] = dict(self._connection.execute(_COLUMNS).fetchall())

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def read(self) -> dict[str, bytes]:
        """Return the rows of every table, as of one moment."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found: dict[str, bytes] = {}
            for table in self._columns:
                with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(self._named(table))) as copy:
                    found[table] = b"".join(bytes(block) for block in copy)
        return found

    def replace(self, rows: Mapping[str, bytes]) -> None:
        """Let every table hold these rows and no others."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table in self._columns:
                cursor.execute(sql.SQL("DELETE FROM app.{}").format(sql.Identifier(table)))
                if rows.get(table):
                    with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(self._named(table))) as copy:
                        copy.write(rows[table])

    def _named(self, table: str) -> sql.Composed:
        names = sql.SQL(", ").join(map(sql.Identifier, self._columns[table]))
        return sql.SQL("app.{} ({})").format(sql.Identifier(table), names)


class RealAuthority:
    """See `ports.SimulatedAuthority`. It takes the whole database: what is in there goes."""

    def __init__(self, database: Database, schema: Schema, authorize: Authorize) -> None:
        self._database = database
        self._authorize = authorize
        self._loop = asyncio.new_event_loop()
        self._tables = Tables(database)
        self._tables.replace({})
        self._owner = psycopg.connect(database.owner_url, autocommit=True)
        numbers = count(1)
        names = lambda size: f"{next(numbers):0{2 * size}x}"  # noqa: E731
        self._patches = pytest.MonkeyPatch()
        for module in (epoch, administration):
            self._patches.setattr(module, "token_hex", names)
        self._now = 0
        self._tokens: dict[str, str] = {}
        self._subjects: set[str] = set()
        self._tags: dict[str, frozenset[str]] = {}
        self._held: dict[Key, _Stored] = {}
        self._head = self._told = 0
        self._facts: list[Fact] = []
        self._was_upgraded = False
        administration.create_tenant(self._owner, TENANT)
        self._schema = schema
        self._serve(schema)

    # The server

    def _serve(self, schema: Schema) -> None:
        self._schema = schema
        application = _Application(schema, self._authorize)
        # One at a time is asked; the second connection is for what a request does beside its transaction.
        settings = self._database.settings(pool_connections_min=1, pool_connections_max=2)
        self._app = build_app(settings, application)
        services: Services = self._app.state.services
        storage, seals = services.storage, Seals(signing_keys(KEYS))
        self._services = self._app.state.services = replace(
            services,
            ingest=Ingest(storage, application, self._clock),
            offers=Offers(storage, application, seals, self._clock),
        )
        self._is_over = asyncio.Event()
        self._loop.run_until_complete(self._begin())
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(cast("Any", self._app)), base_url="http://test"
        )

    async def _begin(self) -> None:
        is_ready = asyncio.Event()

        async def live() -> None:
            # Whoever enters this must leave it, too.
            async with self._app.lifespan():
                is_ready.set()
                await self._is_over.wait()

        self._life = asyncio.create_task(live())
        await is_ready.wait()

    async def _end(self) -> None:
        await self._http.aclose()
        self._is_over.set()
        await self._life

    def _clock(self) -> int:
        return self._now

    def close(self) -> None:
        """Stop the server and let go of the database."""
        self._loop.run_until_complete(self._end())
        self._loop.close()
        self._owner.close()
        self._tables.close()
        self._patches.undo()

    def ailing(self) -> list[str]:
        """Return what `rightfit audit` finds wrong.

        After the upgrade of an application, documents hold what the former schema knew until the record is written
        again; and changes that it deferred, and that were then said again under another id, left gaps in counters.
        """
        found = audit(self._database.owner_url, TENANT, self._schema).findings
        passed_over = ("document", "counter") if self._was_upgraded else ()
        return [f"{one.check} {one.place}: {one.message}" for one in found if one.check not in passed_over]

    def upgrade(self, schema: Schema) -> None:
        """Start the server anew, with the application of this schema."""
        self._was_upgraded = True
        self._loop.run_until_complete(self._end())
        self._serve(schema)

    # Requests

    def register(self, device_id: str, subject: str) -> None:
        """Let a device in."""
        administration.create_device(self._owner, TENANT, subject, device_id)
        self._tokens[device_id] = self._services.tokens.mint(Identity(TENANT, subject, device_id)).token

    def answer(self, device_id: str, request: Request, now: int) -> Response:
        """Answer one request."""
        self._now = now
        path = "/v1/sync" if isinstance(request, SyncRequest) else "/v1/reconcile"
        headers = {"Authorization": f"Bearer {self._tokens[device_id]}", "Content-Type": MSGPACK}
        asking = self._http.post(path, content=encode(request, MSGPACK), headers=headers)
        response = self._loop.run_until_complete(asking)
        self._look()
        if response.status_code != 200:
            problem = decode(response.content, "application/json", Problem)
            raise RemoteError(problem.code, problem.detail, status=problem.status, path=problem.field)
        if isinstance(request, SyncRequest):
            return decode(response.content, MSGPACK, SyncResponse)
        answer = decode(response.content, MSGPACK, ReconcileResponse)
        rows = sorted(answer.rows, key=lambda row: _by_name(row.entity))
        return replace(answer, rows=rows, listed=sorted(answer.listed, key=_by_name))

    def write(self, key: Key, values: Mapping[str, Value], now: int) -> bool:
        """Write fields of the authority's own, as `rightfit_server.resolve` makes its changes."""
        self._now = now
        if key not in self._held:
            return False
        is_done = self._loop.run_until_complete(self._write(self._held[key].entity, values))
        self._look()
        return is_done

    async def _write(self, entity: Entity, values: Mapping[str, Value]) -> bool:
        identity = Identity(TENANT, _OFFICE, next(iter(self._tokens)))
        async with self._services.storage.ingest(TENANT) as transaction:
            viewer = await transaction.viewer(identity)
            position = viewer.position
            counter = next_counter(position.authority_counter, self._now)
            device = Device(AUTHORITY_PREFIX + position.epoch, counter - 1)
            stamp = changes.Stamp(Dot(device.device_id, counter), self._now)
            change = changes.edit(entity, values, stamp, self._schema)
            if change is None:
                return False
            pushed = [Pushed(change, digest(change))]
            answer = await self._services.ingest.take(transaction, identity, Pusher(device, viewer), pushed)
        outcome = answer.receipts[0].outcome
        if not outcome.is_accepted:
            raise ValueError(f"{outcome.code}: {outcome.message}")
        return True

    # What there is

    def _ask(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with administration.tenant(self._owner, TENANT):
            return self._owner.execute(statement, parameters or None).fetchall()

    def _look(self) -> None:
        """Find out what has been committed since the last look."""
        ((head,),) = self._ask("SELECT head FROM app.tenants")
        if head == self._head:
            return
        for change, known_as, outcome in self._ask(_CHANGES, self._head):
            recorded = Recorded(_decode_change(str(change)), str(known_as), _decode_outcome(str(outcome)))
            self._facts.append(Decided(recorded))
        joined = [decode_state(cast("bytes", state)) for (state,) in self._ask(_JOINS, self._head)]
        self._facts += [Joined((one.kind, one.entity_id), one) for one in joined]
        placed = self._read(self._head)
        self._held.update(placed)
        self._facts += [Placed(key, one.seq, one.entity) for key, one in placed.items()]
        self._head = cast("int", head)

    def _read(self, after: int) -> dict[Key, _Stored]:
        found: dict[Key, _Stored] = {}
        for seq, state, audience, orphans in self._ask(_ENTITIES, after):
            entity = decode_state(cast("bytes", state))
            tags, gone = cast("list[str]", audience), cast("list[str]", orphans)
            found[entity.kind, entity.entity_id] = _Stored(cast("int", seq), entity, frozenset(tags), gone)
        return found

    def facts(self) -> Sequence[Fact]:
        """Return what has happened since last asked."""
        found, self._facts = self._facts, []
        return found

    def entities(self) -> Mapping[Key, Entity]:
        """Return every entity that it holds."""
        return {key: one.entity for key, one in self._held.items()}

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity."""
        stored = self._held[key]
        return conflicts(stored.entity, self._schema, stored.orphans)

    def visible_to(self, subject: str) -> frozenset[Key]:
        """Return what a subject may see."""
        tags = self._tags[subject]
        return frozenset(key for key, one in self._held.items() if not tags.isdisjoint(one.audience))

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give a subject exactly these tags."""
        if subject in self._subjects:
            administration.set_tags(self._owner, TENANT, subject, tags)
        else:
            administration.create_subject(self._owner, TENANT, subject, tags)
            self._subjects.add(subject)
        self._read_tags()
        self._look()

    def _read_tags(self) -> None:
        self._tags = dict.fromkeys(self._subjects, frozenset())
        for subject, tag in self._ask("SELECT subject_id, tag FROM app.subject_tags"):
            self._tags[str(subject)] |= {str(tag)}

    def purge(self) -> Sequence[Key]:
        """Collect tombstones; all devices have been silent for longer than the retention period of no days."""
        purge(self._owner, TENANT, self._schema, retention_days=0)
        before, self._held = self._held, self._read(0)
        return sorted(before.keys() - self._held.keys())

    def purgeable(self) -> Sequence[Key]:
        """Return what a purge would collect: it is tried, and undone."""
        backup, held = self._tables.read(), self._held
        gone = self.purge()
        if gone:
            self._tables.replace(backup)
            self._held = held
        return gone

    def backup(self) -> object:
        """Return a copy of the database."""
        return self._tables.read()

    def restore(self, backup: object, *, is_told: bool) -> None:
        """Replace the database by that copy; `is_told` begins an epoch, as `rightfit restore` does."""
        self._tables.replace(cast("dict[str, bytes]", backup))
        if is_told:
            epoch.begin_epoch(self._owner, TENANT)
        ((head,),) = self._ask("SELECT head FROM app.tenants")
        self._head = cast("int", head)
        self._facts.clear()
        self._held = self._read(0)
        self._read_tags()


def _by_name(named: Entity | Listed) -> Key:
    return named.kind, named.entity_id
