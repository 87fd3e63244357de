"""Servers to measure: `rightfit up` as an operator starts it, and the floor's on the same PostgreSQL.

Both are processes of their own on loopback. PostgreSQL is durable (fsync on), as embedded by the product.
"""

import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from socket import create_server

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.application import OFFICE, SCHEMA
from rightfit_client import Replica
from rightfit_server.demo.stack import Stack
from rightfit_server.operations.devices import enter_device
from rightfit_server.postgres.administration import create_tenant

FLOOR_DATABASE = "floor"
_ATTEMPTS = 200


class Service:
    """A running `rightfit up`, with a tenant to measure in; `folder` takes the replicas' files."""

    def __init__(self, stack: Stack, folder: Path, tenant_id: str) -> None:
        self.stack = stack
        self.folder = folder
        self.tenant_id = tenant_id
        with stack.connect() as connection:
            create_tenant(connection, tenant_id)

    def token(self, name: str) -> str:
        """Return the token of a new device of the office."""
        return enter_device(self.stack.database(), self.tenant_id, "office", [OFFICE], name).token

    def replica(self, name: str, url: str | None = None) -> Replica:
        """Make a fresh replica, which talks to `url` (by default straight to the server)."""
        path = self.folder / f"{self.tenant_id}-{name}.db"
        return Replica.open(
            path, schema=SCHEMA, url=url or self.stack.url, token=self.token(name), marker=None
        )

    def resident_bytes(self) -> int:
        """Return the memory of the process that serves the API."""
        return psutil.Process(self.stack.process_id).memory_info().rss

    def checkpoint(self) -> None:
        """Let PostgreSQL write what it owes, so that nobody pays for what was done before."""
        with psycopg.connect(self.stack.owner_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def count_changes(self) -> int:
        """Return how many changes the history holds of the tenant: what was pushed is really there."""
        with self.stack.connect() as connection:
            row = connection.execute(
                "SELECT count(*) FROM app.changes WHERE tenant_id = %s", (self.tenant_id,)
            ).fetchone()
        return row[0] if row else 0


@contextmanager
def stage() -> Iterator[Path]:
    """Give a folder that the database's account can reach, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="rightfit-bench-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@contextmanager
def rightfit_up(folder: Path) -> Iterator[Stack]:
    """Run `rightfit up` with the application of the benchmarks on a new data directory."""
    arguments = ("--application", "benchmarks.application:APPLICATION", "--log-level", "warning")
    with Stack(folder / "data", *arguments) as stack:
        yield stack


@contextmanager
def floor_up(owner_url: str) -> Iterator[tuple[str, int]]:
    """Run the floor's server in a database of its own; give its URL and its process id."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {FLOOR_DATABASE}")
        connection.execute(f"CREATE DATABASE {FLOOR_DATABASE}")
    with ExitStack() as stack:
        with closing(create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "benchmarks.floor_server:app", "--port", str(port)]
        environment = {**os.environ, "FLOOR_DATABASE_URL": floor_url(owner_url)}
        process = subprocess.Popen([*command, "--log-level", "error"], env=environment)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        _wait_for(url)
        yield url, process.pid


def floor_url(owner_url: str) -> str:
    """Return the URL of the floor's database beside the product's."""
    return make_conninfo(owner_url, dbname=FLOOR_DATABASE)


def _wait_for(url: str) -> None:
    """Ask until somebody answers."""
    pause = psutil.Process()
    for attempt in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(f"{url}/pull?after=0&limit=1"):
                return
        except OSError:
            if attempt == _ATTEMPTS - 1:
                raise
            pause.cpu_percent(interval=0.05)
