"""F14: the API process is killed -9 in the midst of pushes; each push is wholly in or wholly out, and
nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import anyio
import httpx
import psycopg
import pytest

from rightfit_server.ports.storage import Identity
from rightfit_server.postgres import administration
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncResponse
from tests.server.application import SCHEMA
from tests.server.world import KEYS, TENANT, Database, tokens_of

PER_TRANSACTION = 5


@contextmanager
def api_process(database: Database, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the API as a process of its own until the block ends; it may have been killed meanwhile."""
    environment = {
        **os.environ,
        "RIGHTFIT_DATABASE_URL": database.url,
        "RIGHTFIT_SIGNING_KEYS": KEYS,
        "RIGHTFIT_APPLICATION": "tests.server.application:APPLICATION",
        "RIGHTFIT_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "uvicorn", "rightfit_server.entrypoints.asgi:app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "error"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_ready(http: httpx.AsyncClient) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                if (await http.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_F14_killed_in_the_midst_of_pushes_each_is_wholly_in_or_out(database: Database) -> None:
    random, port = Random(14), free_port()
    with psycopg.connect(database.owner_url) as connection:
        administration.create_tenant(connection, TENANT)
        administration.create_subject(connection, TENANT, "olga", ["office"])
        administration.create_device(connection, TENANT, "olga", "phone")
    token = tokens_of().mint(Identity(TENANT, "olga", "phone")).token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": MSGPACK}
    device, kills = MemoryDevice("phone", SCHEMA, subject="olga"), 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        for round_number in range(5):
            for number in range(40):
                for part in range(PER_TRANSACTION):
                    key = ("job", f"j{round_number}-{number}-{part}")
                    device.create(key, {"title": "x", "cost_pence": 1}, f"t{round_number}-{number}")
            with api_process(database, port) as process:
                await until_ready(http)
                is_last = round_number == 4
                while device.request().changes:
                    if not is_last and random.random() < 0.4:
                        kills += 1
                        await push_and_kill(http, process, device, headers, random)
                        break
                    device.take(await push(http, device, headers))
                check_whole(database)
    assert kills >= 2
    check_whole(database)
    assert len(database.rows("SELECT 1 FROM app.entities")) == 5 * 40 * PER_TRANSACTION
    assert not device.store.rejected()
    spent = [counter for (counter,) in database.rows("SELECT counter FROM app.changes ORDER BY counter")]
    assert spent == list(range(1, len(spent) + 1))


async def push(http: httpx.AsyncClient, device: MemoryDevice, headers: dict[str, str]) -> SyncResponse:
    body = encode(device.request(changes_max=50))
    response = await http.post("/v1/sync", content=body, headers=headers)
    assert response.status_code == 200, response.text
    return decode(response.content, MSGPACK, SyncResponse)


async def push_and_kill(
    http: httpx.AsyncClient,
    process: subprocess.Popen[bytes],
    device: MemoryDevice,
    headers: dict[str, str],
    random: Random,
) -> None:
    """Push, and kill the process a moment later; the answer is lost."""
    async with anyio.create_task_group() as group:

        async def send() -> None:
            with suppress(httpx.TransportError):
                await push(http, device, headers)

        group.start_soon(send)
        for _ in range(random.randrange(200)):
            await anyio.lowlevel.checkpoint()
        process.send_signal(signal.SIGKILL)


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
