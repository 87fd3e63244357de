"""Open conflicts, and settling one.

A conflict that the caller cannot see is answered like one that never was.
"""

from collections.abc import Sequence

import msgspec
from litestar import Response, get, post

from rightfit_server.http.bodies import read, write
from rightfit_server.http.caller import identify
from rightfit_server.http.paging import after_of, limit_of
from rightfit_server.http.services import AnyRequest, services_of
from rightfit_server.ingest.shape import is_storable_name
from rightfit_server.ports.storage import ConflictRow
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import RemoteError
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value
from rightfit_sync.wire.codec import JSON


class OpenConflict(msgspec.Struct, frozen=True):
    """One open conflict, with when it was opened (milliseconds since 1970 UTC) and by which device."""

    conflict: Conflict
    opened_at: int
    opened_by_device_id: str


class OpenConflicts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Open conflicts, oldest first; `next` goes into `?after=` where there are more."""

    conflicts: Sequence[OpenConflict]
    next: str = ""


class Choice(msgspec.Struct, frozen=True):
    """How to settle a conflict: a value; `"keep"` or `"delete"`; or a map of fields, for an invariant."""

    choice: Value


@get("/v1/conflicts")
async def open_conflicts(request: AnyRequest) -> Response[bytes]:
    """List the open conflicts of what the caller may see."""
    services, identity = services_of(request), identify(request)
    limit, (seq, conflict_id) = limit_of(request), after_of(request)
    if conflict_id and not is_storable_name(conflict_id):
        raise RemoteError("invalid_message", "this is no place in the list: begin anew", path="after")
    async with services.storage.records(identity.tenant_id) as transaction:
        viewer = await transaction.viewer(identity)
        rows = await transaction.open_conflicts(viewer.tags, (seq, conflict_id), limit + 1)
    schema = services.application.schema
    listed = [shown for row in rows[:limit] for shown in _open(row, schema)]
    last = rows[limit - 1] if len(rows) > limit else None
    following = "" if last is None else f"{last.opened_seq}.{last.conflict_id}"
    return write(request, OpenConflicts(listed, following))


def _open(row: ConflictRow, schema: Schema) -> list[OpenConflict]:
    """Return the conflict as the record has it now.

    None if the schema has changed so that it is none any more.
    """
    stored = row.stored
    return [
        OpenConflict(
            msgspec.structs.replace(found, suggestion=row.suggestion), row.opened_at, row.opened_by_device_id
        )
        for found in conflicts(stored.entity, schema, stored.orphans)
        if found.conflict_id == row.conflict_id
    ]


@post("/v1/conflicts/{conflict_id:str}/resolve", status_code=200)
async def resolve_conflict(request: AnyRequest) -> Response[bytes]:
    """Settle a conflict, on behalf of the caller."""
    services, identity = services_of(request), identify(request)
    conflict_id = str(request.path_params["conflict_id"])
    if not is_storable_name(conflict_id):
        raise RemoteError("not_found", "there is no such conflict", status=404, path="conflict_id")
    message = await read(request, Choice, default=JSON)
    resolved = await services.resolve.resolve(identity, conflict_id, message.choice)
    services.waiting.wake(identity.tenant_id)
    return write(request, resolved)
