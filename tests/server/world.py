"""A server on a database of its own, driven over HTTP, and phones: devices in memory that talk to it."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx
import msgspec
import psycopg
from litestar import Litestar
from psycopg import sql

from rightfit_server.accounts.tokens import Tokens
from rightfit_server.bootstrap import build_app
from rightfit_server.embedded.postgres import EmbeddedPostgres
from rightfit_server.http.services import Services
from rightfit_server.ports.application import Application
from rightfit_server.ports.storage import Identity
from rightfit_server.postgres import administration
from rightfit_server.postgres.migrate import APP_ROLE
from rightfit_server.settings import Settings, signing_keys
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Synced
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.records import Change
from rightfit_sync.store import Key
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import (
    Problem,
    ReconcileRequest,
    ReconcileResponse,
    SyncRequest,
    SyncResponse,
)
from tests.server.application import APPLICATION, SCHEMA

KEYS = "test=" + "5a" * 32
OWNER = "test_owner"
TENANT = "acme"

_numbers = count(1)


class Database:
    """One migrated database of a server."""

    def __init__(self, server: EmbeddedPostgres, name: str) -> None:
        self.server = server
        self.name = name
        self.superuser_url = server.url_for(name)
        self.owner_url = server.url_for(name, OWNER)
        self.url = server.url_for(name, APP_ROLE)

    def rows(self, statement: str, parameters: Sequence[object] = (), tenant_id: str = TENANT) -> list[Any]:
        """Return what the owner sees of one tenant."""
        with psycopg.connect(self.owner_url) as connection, administration.tenant(connection, tenant_id):
            return connection.execute(statement, parameters or None).fetchall()  # type: ignore[arg-type]

    def settings(self, **chosen: object) -> Settings:
        """Return settings for this database, quick to give up and to look again."""
        quick = {
            "poll_seconds": 0.2,
            "lock_timeout_seconds": 30.0,
            "pool_connections_min": 1,
            "pool_connections_max": 4,
            "log_level": "error",
        }
        return msgspec.convert({"database_url": self.url, "signing_keys": KEYS, **quick, **chosen}, Settings)


class FailedError(AssertionError):
    """The server answered with a problem."""

    def __init__(self, problem: Problem, response: httpx.Response) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem
        self.response = response


class Phone(MemoryDevice):
    """A device that talks to the server of a world."""

    def __init__(self, world: "World", identity: Identity) -> None:
        names = (f"{identity.device_id}-again-{number}" for number in _numbers)
        super().__init__(
            identity.device_id,
            world.application.schema,
            subject=identity.subject_id,
            fresh_id=lambda: next(names),
        )
        self.world = world
        self.identity = identity
        self.token = world.tokens.mint(identity).token
        self.asked: list[httpx.Response] = []

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "zstd"}

    async def post(
        self,
        path: str,
        message: bytes | SyncRequest | ReconcileRequest,
        content_type: str = MSGPACK,
        **query: float,
    ) -> httpx.Response:
        """Send one message."""
        body = message if isinstance(message, bytes) else encode(message, content_type)
        headers = {**self.headers, "Content-Type": content_type}
        return await self.world.http.post(path, content=body, headers=headers, params=query or None)

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.world.http.get(path, headers=self.headers, params=query or None)

    async def send(self, request: SyncRequest, path: str = "/v1/sync", **query: float) -> SyncResponse:
        """Do one exchange without taking the answer in; raises `FailedError`."""
        response = await self.post(path, request, **query)
        return answered(response)

    async def heal(self) -> Synced:
        """Sync as the SDK does, by an `Exchange`, with all that it mends on the way; raises `RemoteError`."""
        steps = self.session()
        call = next(steps)
        for _ in range(200):
            is_sync = isinstance(call.request, SyncRequest)
            response = await self.post("/v1/sync" if is_sync else "/v1/reconcile", call.request)
            self.asked.append(response)
            try:
                if response.status_code == 200:
                    expected = SyncResponse if is_sync else ReconcileResponse
                    call = steps.send(decode(response.content, MSGPACK, expected))
                else:
                    problem = decode(response.content, "application/json", Problem)
                    error = RemoteError(
                        problem.code, problem.detail, status=problem.status, path=problem.field
                    )
                    call = steps.throw(error)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
        raise AssertionError("the queue does not drain")

    async def round_trip(self, **limits: int) -> SyncResponse:
        """Do one exchange and take the answer in."""
        response = await self.send(self.request(**limits))
        self.take(response)
        return response

    async def settle(self, rows_max: int = 2000) -> list[Receipt]:
        """Exchange until nothing is left to send or to fetch; return all receipts."""
        receipts: list[Receipt] = []
        while True:
            response = await self.round_trip(rows_max=rows_max)
            receipts += response.receipts
            if not self.request().changes and not (response.page and response.page.more):
                return receipts

    def held(self) -> set[Key]:
        """The entities that this device holds from the server."""
        return {key for key, _ in self.store.trunk_tags()}

    def made(self, change: Change | None) -> Change:
        assert change is not None
        return change


def answered(response: httpx.Response) -> SyncResponse:
    """Return the message of an answer; raises `FailedError`."""
    content_type = response.headers["content-type"].partition(";")[0]
    if response.status_code != 200:
        raise FailedError(decode(response.content, "application/json", Problem), response)
    return decode(response.content, content_type, SyncResponse)


class World:
    """A running server."""

    def __init__(
        self, database: Database, app: Litestar, http: httpx.AsyncClient, application: Application
    ) -> None:
        self.database = database
        self.app = app
        self.http = http
        self.application = application
        services = app.state.services
        assert isinstance(services, Services)
        self.services = services
        self.tokens: Tokens = services.tokens

    def tenant(self, tenant_id: str = TENANT) -> None:
        """Make a tenant."""
        with psycopg.connect(self.database.owner_url) as connection:
            administration.create_tenant(connection, tenant_id)

    def grant(self, subject_id: str, tags: Collection[str], tenant_id: str = TENANT) -> None:
        """Let a subject hold exactly these tags."""
        with psycopg.connect(self.database.owner_url) as connection:
            administration.set_tags(connection, tenant_id, subject_id, tags)

    def subject(self, subject_id: str, tags: Collection[str], tenant_id: str = TENANT) -> None:
        """Make a subject."""
        with psycopg.connect(self.database.owner_url) as connection:
            administration.create_subject(connection, tenant_id, subject_id, tags)

    def phone(self, subject_id: str, tenant_id: str = TENANT, device_id: str | None = None) -> Phone:
        """Make a device of a subject."""
        name = device_id or f"{subject_id}-{next(_numbers)}"
        with psycopg.connect(self.database.owner_url) as connection:
            administration.create_device(connection, tenant_id, subject_id, name)
        return Phone(self, Identity(tenant_id, subject_id, name))

    def office(self, subject_id: str = "olga", tenant_id: str = TENANT) -> Phone:
        """Make a tenant with somebody in the office, and her phone."""
        self.tenant(tenant_id)
        self.subject(subject_id, ["office"], tenant_id)
        return self.phone(subject_id, tenant_id)


@asynccontextmanager
async def serving(
    database: Database, application: Application = APPLICATION, **chosen: object
) -> AsyncIterator[World]:
    """Run the server of a database inside this process."""
    app = build_app(database.settings(**chosen), application)
    transport = httpx.ASGITransport(app)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield World(database, app, http, application)


def create_database(server: EmbeddedPostgres, name: str, template: str | None = None) -> None:
    """Make a database owned by a role that is no superuser, as an operator would."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (OWNER,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(OWNER)))
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        names = (sql.Identifier(one) for one in (name, OWNER, template or "template0"))
        connection.execute(statement.format(*names))


def tokens_of(keys: str = KEYS, valid_seconds: int = 3600) -> Tokens:
    """Return a mint of tokens."""
    return Tokens(signing_keys(keys), valid_seconds)


__all__ = [
    "SCHEMA",
    "TENANT",
    "Database",
    "FailedError",
    "Phone",
    "World",
    "create_database",
    "serving",
    "tokens_of",
]
