"""Reading a tenant for the audit: one view of the database, record by record, in bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from operator import itemgetter

import msgspec
import psycopg

from rightfit_server.audit.entity import Answered, Grave, Joined, Stored
from rightfit_server.audit.report import Finding
from rightfit_sync.records import Change, Outcome
from rightfit_sync.state import decode_state

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


class Known(msgspec.Struct, frozen=True):
    """All that the database says of one record; it was collected once for each of `graves`, the oldest first."""

    history: Sequence[Answered | Joined]
    stored: Stored | None
    graves: Sequence[Grave]


def records(connection: Connection, tenant_id: str) -> Iterator[tuple[Key, Known]]:
    """Yield each record that is stored, was collected or has a history, with what is known of it."""
    # All are sorted byte by byte, so that they can be read side by side.
    rows = merge(
        _rows(connection, "history", _HISTORY, tenant_id),
        _rows(connection, "joins", _JOINS, tenant_id),
        _rows(connection, "stored", _STORED, tenant_id),
        _rows(connection, "graves", _GRAVES, tenant_id),
        key=itemgetter(0, 1),
    )
    for key, group in groupby(rows, key=itemgetter(0, 1)):
        found = [_read(row) for row in group]
        yield (
            key,
            Known(
                [one for one in found if isinstance(one, Answered | Joined)],
                next((one for one in found if isinstance(one, Stored)), None),
                [one for one in found if isinstance(one, Grave)],
            ),
        )


_HISTORY = """
    SELECT kind, entity_id, 'history', change, outcome, commit_seq, digest FROM app.changes WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C", commit_seq, ordinal
"""
_JOINS = """
    SELECT kind, entity_id, 'joined', state, commit_seq FROM app.joins WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C", commit_seq, ordinal
"""
_STORED = """
    SELECT kind, entity_id, 'stored', state, document, deleted_at IS NOT NULL, orphans,
        ARRAY(SELECT conflict_id FROM app.conflicts c WHERE c.tenant_id = e.tenant_id AND c.kind = e.kind
            AND c.entity_id = e.entity_id AND c.closed_at IS NULL)
    FROM app.entities e WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C"
"""
_GRAVES = """
    SELECT kind, entity_id, 'grave', commit_seq, version_vector FROM app.purged WHERE tenant_id = %s
    ORDER BY kind COLLATE "C", entity_id COLLATE "C", commit_seq
"""


def _rows(connection: Connection, name: str, query: str, tenant_id: str) -> Iterator[psycopg.rows.TupleRow]:
    with connection.cursor(name=f"audit_{name}") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        yield from cursor.execute(query, [tenant_id])


def _read(row: psycopg.rows.TupleRow) -> Answered | Joined | Stored | Grave:
    _, _, sort, *columns = row
    if sort == "history":
        change, outcome, commit_seq, digest = columns
        return Answered(
            msgspec.convert(change, Change), msgspec.convert(outcome, Outcome), commit_seq, digest
        )
    if sort == "joined":
        state, commit_seq = columns
        return Joined(decode_state(state), commit_seq)
    if sort == "grave":
        return Grave(*columns)
    state, document, is_deleted, orphans, open_conflicts = columns
    entity = decode_state(state)
    return Stored(entity, document, is_deleted, orphans, frozenset(open_conflicts))


def counter_findings(connection: Connection, tenant_id: str) -> Iterator[Finding]:
    """Yield the devices whose counters have gaps, or end elsewhere than their row says."""
    rows = connection.execute(
        "SELECT d.device_id, CASE WHEN d.subject_id IS NULL AND d.device_id = 'server:' || t.epoch"
        " THEN t.authority_counter ELSE d.counter END, count(c.counter), coalesce(max(c.counter), 0),"
        " d.subject_id IS NULL, d.subject_id IS NULL AND d.device_id <> 'server:' || t.epoch"
        " FROM app.devices d JOIN app.tenants t USING (tenant_id)"
        " LEFT JOIN app.changes c USING (tenant_id, device_id) WHERE d.tenant_id = %s"
        " GROUP BY d.device_id, d.subject_id, d.counter, t.epoch, t.authority_counter ORDER BY 1",
        [tenant_id],
    )
    for device_id, said, count, greatest, is_authority, is_former_authority in rows:
        # The authority's own counters run with its clock, and have gaps.
        if count != greatest and not is_authority:
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


def purge_findings(connection: Connection, tenant_id: str) -> Iterator[Finding]:
    """Yield what was collected too early: devices may have missed it, or a record names it."""
    rows = connection.execute(
        "SELECT p.kind, p.entity_id, p.commit_seq, t.purge_horizon"
        " FROM app.purged p JOIN app.tenants t USING (tenant_id)"
        " WHERE tenant_id = %s AND p.commit_seq > t.purge_horizon",
        [tenant_id],
    )
    for kind, entity_id, commit_seq, horizon in rows:
        message = f"it was deleted in commit {commit_seq}, and cursors are good from {horizon} on"
        yield Finding("purged", f"{kind} {entity_id}", message)
    rows = connection.execute(
        "SELECT DISTINCT r.kind, r.entity_id, r.path, r.target_kind, r.target_id"
        " FROM app.entity_references r JOIN app.purged p ON p.tenant_id = r.tenant_id"
        " AND p.kind = r.target_kind AND p.entity_id = r.target_id"
        " LEFT JOIN app.entities e ON e.tenant_id = p.tenant_id AND e.kind = p.kind"
        " AND e.entity_id = p.entity_id WHERE r.tenant_id = %s AND e.entity_id IS NULL"
        # A device may give back a record that named it: an orphan then, as it should be.
        " AND NOT EXISTS (SELECT FROM app.joins j WHERE j.tenant_id = r.tenant_id AND j.kind = r.kind"
        " AND j.entity_id = r.entity_id AND j.commit_seq > p.commit_seq)",
        [tenant_id],
    )
    for kind, entity_id, path, target_kind, target_id in rows:
        message = f"{path} names the {target_kind} {target_id}, which was collected"
        yield Finding("purged", f"{kind} {entity_id}", message)
