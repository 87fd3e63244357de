"""F14: the API, all of PostgreSQL, or both are killed -9 in the midst of pushes; each push is wholly in or
wholly out, and nothing is lost. An API that survives its database goes on by itself when that is back.

`RIGHTFIT_KILL_ROUNDS=20` is the long run.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Self

import anyio
import httpx
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.audit.audit import audit
from rightfit_server.embedded.postgres import start_postgres
from rightfit_server.ports.storage import Identity
from rightfit_server.postgres import administration, migrate
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncResponse
from tests.end_to_end.killing import Victim, kill_postgres
from tests.server.application import SCHEMA
from tests.server.world import KEYS, TENANT, Database, create_database, tokens_of

ROUNDS = int(os.environ.get("RIGHTFIT_KILL_ROUNDS", "3"))
VICTIMS: tuple[Victim, ...] = ("api", "postgres", "both")
DEVICES = ("ann", "bob", "cat")
TRANSACTIONS_PER_ROUND = 20
PER_TRANSACTION = 5
PUSHES_MAX, STEPS_MAX = 12, 400
"""What may have happened in a round before the kill: pushes answered, and turns of the event loop since."""


class Service:
    """PostgreSQL, durable as in earnest, and the API as a process of its own; each can be killed and started."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "postgres"
        self._postgres: ExitStack | None = None
        self._api: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.database = self._start_postgres()
        create_database(self.database.server, self.database.name)
        migrate(self.database.owner_url, schema=SCHEMA)

    def _start_postgres(self) -> Database:
        self._postgres = ExitStack()
        return Database(self._postgres.enter_context(start_postgres(self._directory)), "killed")

    def start(self) -> None:
        """Start what does not run."""
        if self._postgres is None:
            self.database = self._start_postgres()
        if self._api is None:
            self._api = self._start_api()

    def _start_api(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "RIGHTFIT_DATABASE_URL": self.database.url,
            "RIGHTFIT_SIGNING_KEYS": KEYS,
            "RIGHTFIT_APPLICATION": "tests.server.application:APPLICATION",
            "RIGHTFIT_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "uvicorn", "rightfit_server.entrypoints.asgi:app"]
        arguments = ["--port", str(self._port), "--log-level", "critical"]
        return subprocess.Popen([*command, *arguments], env=environment)

    def kill(self, victim: Victim) -> None:
        """Kill without a word, and put away what is left of it."""
        if victim != "api":
            kill_postgres(self._directory)
            self._end_postgres()
        if victim != "postgres":
            self._kill_api()

    def _end_postgres(self) -> None:
        if self._postgres is not None:
            self._postgres.close()
            self._postgres = None

    def _kill_api(self) -> None:
        if self._api is not None:
            self._api.kill()
            self._api.wait()
            self._api = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._kill_api()
        self._end_postgres()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Client:
    """A device that pushes over HTTP until nothing is left, whatever happens to the service meanwhile."""

    def __init__(self, http: httpx.AsyncClient, database: Database, name: str) -> None:
        with psycopg.connect(database.owner_url) as connection:
            administration.create_device(connection, TENANT, "olga", name)
        token = tokens_of().mint(Identity(TENANT, "olga", name)).token
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": MSGPACK}
        self._http = http
        self._device = MemoryDevice(name, SCHEMA, subject="olga")
        self.pushes = self.interrupted = 0

    def write(self, round_number: int) -> None:
        name = self._device.device_id
        for number in range(TRANSACTIONS_PER_ROUND):
            transaction_id = f"{name}-{round_number}-{number}"
            for part in range(PER_TRANSACTION):
                self._device.create(("job", f"{transaction_id}-{part}"), {"title": "x"}, transaction_id)

    async def drain(self, service: "Outage") -> None:
        while self._device.request().changes:
            try:
                await self._push()
            except httpx.TransportError:
                self.interrupted += 1
                await service.is_over.wait()

    async def _push(self) -> None:
        body = encode(self._device.request(changes_max=15))
        response = await self._http.post("/v1/sync", content=body, headers=self._headers)
        if response.status_code == 503:
            raise httpx.RemoteProtocolError(response.text)
        assert response.status_code == 200, response.text
        self._device.take(decode(response.content, MSGPACK, SyncResponse))
        self.pushes += 1

    def check(self) -> None:
        assert not self._device.store.rejected()


class Outage:
    """What is killed in a round, when, and whether everything answers again."""

    def __init__(self, service: Service, http: httpx.AsyncClient, victim: Victim) -> None:
        self._service = service
        self._http = http
        self._victim = victim
        self.is_over = anyio.Event()

    async def happen(self, clients: Sequence[Client], random: Random) -> None:
        """Wait until some pushes are done and others are on their way, kill, and start everything again."""
        enough = sum(client.pushes for client in clients) + random.randrange(PUSHES_MAX)
        while sum(client.pushes for client in clients) < enough:
            await checkpoint()
        for _ in range(random.randrange(STEPS_MAX)):
            await checkpoint()
        # In threads, so that pushes go on until the very moment.
        await anyio.to_thread.run_sync(self._service.kill, self._victim)
        await anyio.to_thread.run_sync(self._service.start)
        check_whole(self._service.database)
        await until_ready(self._http)
        self.is_over.set()


async def until_ready(http: httpx.AsyncClient) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                if (await http.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                await checkpoint()


@pytest.fixture
def service(reachable_directory: Path) -> Iterator[Service]:
    with Service(reachable_directory) as running:
        yield running


@pytest.mark.anyio
@pytest.mark.timeout(300 + 30 * ROUNDS)
async def test_F14_killed_in_the_midst_of_pushes_each_is_wholly_in_or_out(service: Service) -> None:
    random = Random(14)
    with psycopg.connect(service.database.owner_url) as connection:
        administration.create_tenant(connection, TENANT)
        administration.create_subject(connection, TENANT, "olga", ["office"])
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        clients = [Client(http, service.database, name) for name in DEVICES]
        for round_number in range(ROUNDS):
            await until_ready(http)
            outage = Outage(service, http, VICTIMS[round_number % len(VICTIMS)])
            async with anyio.create_task_group() as group:
                for client in clients:
                    client.write(round_number)
                    group.start_soon(client.drain, outage)
                group.start_soon(outage.happen, clients, random)
            check_whole(service.database)
    check_all(service.database, clients)


def check_all(database: Database, clients: Sequence[Client]) -> None:
    for client in clients:
        client.check()
    assert sum(client.interrupted for client in clients) >= ROUNDS
    made = ROUNDS * TRANSACTIONS_PER_ROUND * PER_TRANSACTION
    assert len(database.rows("SELECT 1 FROM app.entities")) == made * len(clients)
    for name in DEVICES:
        spent = database.rows("SELECT counter FROM app.changes WHERE device_id = %s ORDER BY counter", [name])
        assert [counter for (counter,) in spent] == list(range(1, made + 1))
    assert list(audit(database.owner_url, TENANT, SCHEMA).findings) == []


def check_whole(database: Database) -> None:
    """Every transaction that is in is in with all its parts, in the feed, in the history and in the
    effects."""
    halves = database.rows(
        "SELECT transaction_id FROM app.changes GROUP BY 1 HAVING count(*) <> %s", (PER_TRANSACTION,)
    )
    assert halves == []
    ((entities, changes, effects, top, head),) = database.rows(
        "SELECT (SELECT count(*) FROM app.entities), (SELECT count(*) FROM app.changes),"
        " (SELECT count(*) FROM app.effects), (SELECT coalesce(max(seq), 1) FROM app.entities),"
        " (SELECT head FROM app.tenants)"
    )
    assert entities == changes == effects
    assert top == head
