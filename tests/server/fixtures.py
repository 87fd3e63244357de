"""Fixtures of the server's tests: a template database per session, a database per module, a tenant-less
world per test."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from rightfit_server.embedded.postgres import EmbeddedPostgres
from rightfit_server.postgres import migrate
from tests.server.application import SCHEMA
from tests.server.world import Database, World, create_database, serving

_numbers = count(1)


@pytest.fixture(scope="session")
def template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    name = f"template_{uuid4().hex[:8]}"
    create_database(postgres_server, name)
    migrate(Database(postgres_server, name).owner_url, schema=SCHEMA)
    return name


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A migrated database for one test."""
    name = f"test_{uuid4().hex[:8]}_{next(_numbers)}"
    create_database(postgres_server, name, template)
    yield Database(postgres_server, name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def world(database: Database, anyio_backend: str) -> AsyncIterator[World]:
    """A server without tenants."""
    async with serving(database) as running:
        yield running
