"""The world of the simulation on real files and a real database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rightfit_server.embedded.postgres import EmbeddedPostgres
from rightfit_server.postgres import migrate
from rightfit_sync.testing.simulation import SCHEMA
from tests.server.world import Database, create_database
from tests.simulation.real.ports import RealPorts

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def ports(postgres_server: EmbeddedPostgres) -> Iterator[RealPorts]:
    """Devices and authorities, one world at a time."""
    name = "simulated"
    create_database(postgres_server, name)
    database = Database(postgres_server, name)
    migrate(database.owner_url, schema=SCHEMA)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        made = RealPorts(database, Path(folder))
        yield made
        made.close()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
