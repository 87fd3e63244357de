"""Resolutions through the API: a change of the authority's own device, made on behalf of the subject.

It takes the way of every push: under locks, through the core, with receipt, history and effects. The
choice is made against the siblings as they are now; where somebody was quicker, the conflict is found
closed.
"""

import asyncio
from collections.abc import Callable
from time import time

import msgspec

from rightfit_server.ingest.service import ATTEMPTS_MAX, Answer, Ingest
from rightfit_server.ports.storage import (
    ConflictRow,
    ContentionError,
    Identity,
    Pusher,
    Storage,
    StoredEntity,
)
from rightfit_sync import changes
from rightfit_sync.causality.dot import AUTHORITY_PREFIX, Dot
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import LocalError, RemoteError
from rightfit_sync.ingest.draft import next_counter
from rightfit_sync.ingest.snapshot import Device, Pushed
from rightfit_sync.records import Change, Outcome, digest
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value, problem


class Resolved(msgspec.Struct, frozen=True):
    """What a resolution came to: the change that was made, and its outcome."""

    change: Change
    outcome: Outcome


class Resolve:
    """Takes resolutions. `clock` returns the authority's time in milliseconds since 1970 UTC."""

    def __init__(
        self,
        storage: Storage,
        ingest: Ingest,
        schema: Schema,
        clock: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._storage = storage
        self._ingest = ingest
        self._schema = schema
        self._clock = clock

    async def resolve(self, identity: Identity, conflict_id: str, choice: Value) -> Resolved:
        """Settle a conflict by `choice` (see `changes.resolve`).

        Raises `RemoteError`: 404 for a conflict that the caller cannot see, 409 for one that is closed,
        422 for a choice that does not fit, 403 where the application says no.
        """
        illegal = problem(choice)
        if illegal is not None:
            raise RemoteError(illegal[0], f"choice: {illegal[1]}", status=422, path="choice")
        for attempt in range(1, ATTEMPTS_MAX + 1):
            found, conflict = await self._find(identity, conflict_id)
            try:
                return await self._settle(identity, found.stored, conflict, choice)
            except ContentionError:
                await asyncio.sleep(0.01 * attempt)
        raise ContentionError("the same record is being changed by many: try again")

    async def _find(self, identity: Identity, conflict_id: str) -> tuple[ConflictRow, Conflict]:
        async with self._storage.records(identity.tenant_id) as transaction:
            viewer = await transaction.viewer(identity)
            found = await transaction.conflict(conflict_id, viewer.tags)
        if found is None:
            raise RemoteError("not_found", "there is no such conflict", status=404, path="conflict_id")
        stored = found.stored
        still = conflicts(stored.entity, self._schema, stored.orphans)
        conflict = next((one for one in still if one.conflict_id == conflict_id), None)
        if conflict is None:
            message = "this conflict is closed: look at the record as it is now"
            raise RemoteError("conflict_closed", message, status=409, path="conflict_id")
        return found, conflict

    async def _settle(
        self, identity: Identity, stored: StoredEntity, conflict: Conflict, choice: Value
    ) -> Resolved:
        async with self._storage.ingest(identity.tenant_id) as transaction:
            viewer = await transaction.viewer(identity)
            position = viewer.position
            now = self._clock()
            counter = next_counter(position.authority_counter, now)
            device = Device(AUTHORITY_PREFIX + position.epoch, counter - 1)
            stamp = changes.Stamp(Dot(device.device_id, counter), now)
            try:
                change = changes.resolve(stored.entity, conflict, choice, stamp, self._schema)
            except LocalError as error:
                raise RemoteError(error.code, str(error), status=422, path="choice") from error
            pushed = Pushed(change, digest(change))
            answer = await self._ingest.take(transaction, identity, Pusher(device, viewer), [pushed])
            outcome = _accepted(answer, stored)
        return Resolved(change, outcome)


def _accepted(answer: Answer, stored: StoredEntity) -> Outcome:
    """Return the outcome; a rejected one is an error to the caller, and leaves no trace."""
    outcome = answer.receipts[0].outcome
    if outcome.is_accepted:
        return outcome
    status = 403 if outcome.code in ("not_permitted", "unknown_entity") else 422
    message = outcome.message or f"{stored.entity.kind} cannot be changed like this"
    raise RemoteError(outcome.code, message, status=status, path=outcome.path)
