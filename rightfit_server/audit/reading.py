"""Reading a tenant for the audit: one view of the database, record by record, in bounded memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter

import msgspec
import psycopg

from rightfit_server.audit.entity import Answered, Stored
from rightfit_server.audit.report import Finding
from rightfit_sync.records import Change, Entity, Outcome

Connection = psycopg.Connection[psycopg.rows.TupleRow]
Key = tuple[str, str]

ROWS_AT_A_TIME = 2_000


@contextmanager
def reading(owner_url: str, tenant_id: str) -> Iterator[Connection]:
    """Open the database as it is at this moment, for reading alone, as one tenant."""
    with psycopg.connect(owner_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant_id])
        yield connection


def records(connection: Connection, tenant_id: str) -> Iterator[tuple[Key, list[Answered], Stored | None]]:
    """Yield each record that is stored or has a history: its key, its history, what is stored."""
    histories = groupby(_rows(connection, "history", _HISTORY, tenant_id), key=itemgetter(0, 1))
    stored = ((row[:2], _stored(row)) for row in _rows(connection, "stored", _STORED, tenant_id))
    history, held = next(histories, None), next(stored, None)
    while history is not None or held is not None:
        key = min(pair[0] for pair in (history, held) if pair is not None)
        answered: list[Answered] = []
        found = None
        if history is not None and history[0] == key:
            answered = [_answered(row) for row in history[1]]
            history = next(histories, None)
        if held is not None and held[0] == key:
            found = held[1]
            held = next(stored, None)
        yield key, answered, found


# Both are sorted byte by byte, so that they can be read side by side.
_HISTORY = """
    SELECT kind, entity_id, change, outcome FROM app.changes WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C", commit_seq, ordinal
"""
_STORED = """
    SELECT kind, entity_id, state, document, deleted_at IS NOT NULL, orphans,
        ARRAY(SELECT conflict_id FROM app.conflicts c WHERE c.tenant_id = e.tenant_id AND c.kind = e.kind
            AND c.entity_id = e.entity_id AND c.closed_at IS NULL)
    FROM app.entities e WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C"
"""


def _rows(connection: Connection, name: str, query: str, tenant_id: str) -> Iterator[psycopg.rows.TupleRow]:
    with connection.cursor(name=f"audit_{name}") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        yield from cursor.execute(query, [tenant_id])


def _answered(row: psycopg.rows.TupleRow) -> Answered:
    return Answered(msgspec.convert(row[2], Change), msgspec.convert(row[3], Outcome))


def _stored(row: psycopg.rows.TupleRow) -> Stored:
    _, _, state, document, is_deleted, orphans, open_conflicts = row
    entity = msgspec.msgpack.decode(state, type=Entity)
    return Stored(entity, document, is_deleted, orphans, frozenset(open_conflicts))


def counter_findings(connection: Connection, tenant_id: str) -> Iterator[Finding]:
    """Yield the devices whose counters have gaps, or end elsewhere than their row says."""
    rows = connection.execute(
        "SELECT d.device_id, CASE WHEN d.subject_id IS NULL AND d.device_id = 'server:' || t.epoch"
        " THEN t.authority_counter ELSE d.counter END, count(c.counter), coalesce(max(c.counter), 0),"
        " d.subject_id IS NULL AND d.device_id <> 'server:' || t.epoch"
        " FROM app.devices d JOIN app.tenants t USING (tenant_id)"
        " LEFT JOIN app.changes c USING (tenant_id, device_id) WHERE d.tenant_id = %s"
        " GROUP BY d.device_id, d.subject_id, d.counter, t.epoch, t.authority_counter ORDER BY 1",
        [tenant_id],
    )
    for device_id, said, count, greatest, is_former_authority in rows:
        if count != greatest:
            yield Finding(
                "counter",
                device_id,
                f"{count} changes with counters up to {greatest}: {greatest - count} are gone",
            )
        elif greatest != said and not is_former_authority:
            yield Finding(
                "counter", device_id, f"the device has spent {said} counters, the history knows {greatest}"
            )


def feed_findings(connection: Connection, tenant_id: str) -> Iterator[Finding]:
    """Yield where the feed contradicts the tenant's head, or a record stands outside of its commit."""
    head = connection.execute("SELECT head FROM app.tenants WHERE tenant_id = %s", [tenant_id]).fetchone()
    newest = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM app.commits WHERE tenant_id = %s", [tenant_id]
    ).fetchone()
    if head is not None and newest is not None and head != newest:
        yield Finding("feed", tenant_id, f"the head is {head[0]}, the newest commit {newest[0]}")
    rows = connection.execute(
        "SELECT kind, entity_id, seq, commit_seq FROM app.entities WHERE tenant_id = %s AND seq > commit_seq",
        [tenant_id],
    )
    for kind, entity_id, seq, commit_seq in rows:
        yield Finding("feed", f"{kind} {entity_id}", f"its number {seq} lies beyond its commit {commit_seq}")
