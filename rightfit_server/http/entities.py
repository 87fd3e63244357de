"""One record, and its history.

What the caller cannot see is answered like what does not exist, word for word.
"""

from collections.abc import Mapping, Sequence

import msgspec
from litestar import Response, get

from rightfit_server.http.bodies import write
from rightfit_server.http.caller import identify
from rightfit_server.http.paging import after_of, limit_of
from rightfit_server.http.services import AnyRequest, services_of
from rightfit_server.ingest.shape import is_storable_name
from rightfit_server.ports.storage import HistoryRow, RecordsTransaction, StoredEntity, Viewer
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.life import Tombstone, tombstone
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value
from rightfit_sync.view import view


class Record(msgspec.Struct, frozen=True):
    """One record: what an app shows of it, what stands against what, whether it is deleted.

    And the whole state.
    """

    kind: str
    entity_id: str
    seq: int
    view: Mapping[str, Value]
    conflicts: Sequence[Conflict]
    tombstone: Tombstone | None
    entity: Entity


class HistoryEntry(msgspec.Struct, frozen=True):
    """One change that was answered.

    What, what became of it, for whom, when (milliseconds since 1970 UTC).
    """

    change: Change
    outcome: Outcome
    subject_id: str | None
    received_at: int


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes of one record, oldest first; `next` goes into `?after=` where there are more."""

    history: Sequence[HistoryEntry]
    next: str = ""


@get("/v1/entities/{kind:str}/{entity_id:str}")
async def record(request: AnyRequest) -> Response[bytes]:
    """Show one record."""
    services, identity = services_of(request), identify(request)
    async with services.storage.records(identity.tenant_id) as transaction:
        stored = await _visible(transaction, await transaction.viewer(identity), _key(request))
    return write(request, _record(stored, services.application.schema))


@get("/v1/entities/{kind:str}/{entity_id:str}/history")
async def history(request: AnyRequest) -> Response[bytes]:
    """Show the accepted changes of one record, and the caller's own rejected ones."""
    services, identity, key = services_of(request), identify(request), _key(request)
    limit, (seq, ordinal) = limit_of(request), after_of(request)
    if not (ordinal or "0").isdecimal():
        raise RemoteError("invalid_message", "this is no place in the list: begin anew", path="after")
    async with services.storage.records(identity.tenant_id) as transaction:
        await _visible(transaction, await transaction.viewer(identity), key)
        after = (seq, int(ordinal[:9])) if ordinal else (0, -1)
        rows = await transaction.history(key, identity.subject_id, after, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = "" if last is None else f"{last.commit_seq}.{last.ordinal}"
    return write(request, History([_entry(row) for row in rows[:limit]], following))


def _key(request: AnyRequest) -> Key:
    return str(request.path_params["kind"]), str(request.path_params["entity_id"])


async def _visible(transaction: RecordsTransaction, viewer: Viewer, key: Key) -> StoredEntity:
    stored = await transaction.entity(key) if all(map(is_storable_name, key)) else None
    if stored is None or viewer.tags.isdisjoint(stored.audience):
        raise RemoteError("not_found", "there is no such record", status=404, path="entity_id")
    return stored


def _record(stored: StoredEntity, schema: Schema) -> Record:
    entity, kind = stored.entity, schema.kinds.get(stored.entity.kind)
    found = [
        msgspec.structs.replace(one, suggestion=stored.suggestions.get(one.path))
        for one in conflicts(entity, schema, stored.orphans)
    ]
    gone = None if kind is None else tombstone(entity, kind)
    return Record(entity.kind, entity.entity_id, stored.seq, view(entity, schema), found, gone, entity)


def _entry(row: HistoryRow) -> HistoryEntry:
    change = msgspec.json.decode(row.change, type=Change)
    outcome = msgspec.json.decode(row.outcome, type=Outcome)
    return HistoryEntry(change, outcome, row.subject_id, row.received_at)
