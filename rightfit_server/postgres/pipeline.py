"""Waiting inside a pipeline for what was asked so far.

A pipeline is brought in line (`sync`) rather than flushed, as fetching a result would do: PostgreSQL ends a session
that idles in its transaction, and counts from the last `sync` which nothing has followed. Fault F15 of
docs/explanation/faults.md.
"""

from psycopg import AsyncPipeline
from psycopg.generators import send

from rightfit_server.postgres.pool import Connection


async def answered(connection: Connection, pipeline: AsyncPipeline) -> None:
    """Return when all that was asked is answered; raises what the database raises."""
    # `sync` waits for answers alone: a question too long for the socket's buffer would never have left entirely.
    await under_way(connection)
    await pipeline.sync()


async def under_way(connection: Connection) -> None:
    """Return when all that was asked has left: the database works on it while what follows is put together."""
    await connection.wait(send(connection.pgconn))
