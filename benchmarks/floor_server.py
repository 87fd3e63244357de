"""The server of the bare floor (L7): Litestar between HTTP and PostgreSQL, and nothing else.

No versions, merge, history, permissions or compression: what any server must do that takes batches of records in
and gives them out again in order. `FLOOR_DATABASE_URL` says where the database is.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import psycopg
from litestar import Litestar, Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody

from benchmarks.workload import COLUMN_TYPES, COLUMNS, FIELDS

BODY_BYTES_MAX = 64_000_000

_NAMES = ", ".join(COLUMNS)
_TYPED = ", ".join(f"{name} {word}" for name, word in zip(COLUMNS, COLUMN_TYPES, strict=True))
_TABLES = f"""
CREATE SEQUENCE work_order_seq;
CREATE TABLE work_order ({_TYPED}, seq bigint NOT NULL DEFAULT nextval('work_order_seq'), PRIMARY KEY (id));
CREATE INDEX ON work_order (seq);
"""
_UPSERT = f"""
INSERT INTO work_order ({_NAMES}) SELECT {_NAMES} FROM jsonb_to_recordset(%s::jsonb) AS given({_TYPED})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in FIELDS)},
  seq = nextval('work_order_seq')
"""
_PAGE = f"""
SELECT coalesce(max(seq), 0), coalesce(json_agg(json_build_array({_NAMES}) ORDER BY seq), '[]')::text
FROM (SELECT * FROM work_order WHERE seq > %s ORDER BY seq LIMIT %s) page
"""


class Pushed(msgspec.Struct):
    """A record as it travels: typed, so that it is validated as any server would."""

    id: str
    title: str
    description: str
    status: str
    priority: str
    property_id: str
    contractor_id: str | None
    due_date: str
    cost: int
    tags: list[str]
    updated_at: str


@asynccontextmanager
async def connected(app: Litestar) -> AsyncIterator[None]:
    url = os.environ["FLOOR_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_TABLES)
        app.state.connection = connection
        yield


@post("/push", status_code=200)
async def push(data: JSONBody[list[Pushed]], state: State) -> dict[str, int]:
    connection: psycopg.AsyncConnection = state.connection
    async with connection.transaction():
        await connection.execute(_UPSERT, (msgspec.json.encode(data).decode(),))
    return {"taken": len(data)}


@get("/pull")
async def pull(after: int, limit: int, state: State) -> Response[bytes]:
    connection: psycopg.AsyncConnection = state.connection
    row = await (await connection.execute(_PAGE, (after, limit))).fetchone()
    last, rows = row or (0, "[]")
    body = f'{{"last": {last}, "rows": {rows}}}'.encode()
    return Response(body, media_type="application/json")


app = Litestar([push, pull], lifespan=[connected], openapi_config=None, request_max_body_size=BODY_BYTES_MAX)
