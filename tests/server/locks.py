"""Stopping pushes half way: holding the feed, and waiting until somebody waits."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import psycopg
from anyio.lowlevel import checkpoint

from tests.server.world import TENANT, Database


@contextmanager
def feed_held(database: Database) -> Iterator[None]:
    """Hold the tenant's row inside the block: who wants to commit waits, with the locks that it has."""
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("SELECT FROM app.tenants WHERE tenant_id = %s FOR UPDATE", (TENANT,))
        yield


async def until_waiting(database: Database, count: int) -> None:
    """Return when so many sessions of the database wait for a lock."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection, anyio.fail_after(20):
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while connection.execute(query).fetchone() != (count,):
            await checkpoint()
