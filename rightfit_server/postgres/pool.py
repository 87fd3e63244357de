"""The pool: bounded connections of the service's role, with a limit on how long anything may take.

A connection that comes back from a cancelled request is rolled back, or thrown away if it was in the
middle of a statement; the tenant of a transaction ends with the transaction. Faults F15 and T04 of
docs/explanation/faults.md.
"""

from typing import TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from rightfit_server.settings import Settings
from rightfit_sync.errors import RightFitError

Connection: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]

IDLE_SECONDS_MAX = 8.0
"""How long a transaction may wait for its holder, with the locks that it has, until PostgreSQL ends the session."""
RECONNECT_SECONDS_MAX = 7.0
"""How long the pool tries to connect, ever more seldom (after 1, 2, 4 … s); from then on each request tries at once."""


class RoleError(RightFitError):
    """The service logs in with a role that row level security does not bind."""


def make_pool(settings: Settings) -> Pool:
    """Return the pool, closed; nothing connects before it is opened."""
    statement_seconds = settings.statement_timeout_seconds
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": min(statement_seconds, settings.lock_timeout_seconds),
        "idle_in_transaction_session_timeout": min(statement_seconds, IDLE_SECONDS_MAX),
    }
    return AsyncConnectionPool(
        settings.database_url,
        connection_class=AsyncConnection[TupleRow],
        kwargs={
            "autocommit": True,
            "application_name": "rightfit",
            "connect_timeout": 2,
            "options": " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items()),
        },
        min_size=settings.pool_connections_min,
        max_size=settings.pool_connections_max,
        max_waiting=settings.pool_waiting_max,
        timeout=settings.pool_timeout_seconds,
        reconnect_timeout=RECONNECT_SECONDS_MAX,
        open=False,
    )


async def check_role(connection: Connection) -> None:
    """Raise `RoleError` where the connection's role could see past row level security."""
    cursor = await connection.execute(
        "SELECT current_user, rolsuper OR rolbypassrls OR EXISTS (SELECT FROM pg_class c"
        " WHERE c.relnamespace = 'app'::regnamespace AND pg_has_role(c.relowner, 'MEMBER'))"
        " FROM pg_roles WHERE rolname = current_user"
    )
    row = await cursor.fetchone()
    if row is None or row[1]:
        name = "the database role" if row is None else f"the database role {row[0]}"
        message = f"{name} is a superuser, bypasses row level security, or owns the tables"
        raise RoleError(f"{message}: give the service a login of its own (`migrate` makes rightfit_app)")
