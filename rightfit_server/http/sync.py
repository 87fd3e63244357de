"""The exchange: changes up, receipts and a page of the feed down. `/v1/push` and `/v1/pull` are its halves.

With `?wait=<seconds>` a request that has nothing to push, and for which there is nothing, is held until
there is. Whether device and server share their past is looked at before anything of the push is taken in.
"""

import asyncio
from functools import partial

from litestar import Response, post

from rightfit_server.feed.pages import Pulled
from rightfit_server.http.bodies import asked_type, read, write
from rightfit_server.http.caller import answered, identify, writing_as
from rightfit_server.http.protocol import check_protocol
from rightfit_server.http.services import AnyRequest, Services, services_of
from rightfit_server.ingest.service import Answer
from rightfit_server.ports.storage import Chains, Identity, Viewer
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.wire.messages import Deferred, SyncRequest
from rightfit_sync.wire.packed import PackedSyncResponse


@post("/v1/sync", status_code=200)
async def sync(request: AnyRequest) -> Response[bytes]:
    """Push, then pull."""
    return await _exchange(request, is_pushing=True, is_pulling=True)


@post("/v1/push", status_code=200)
async def push(request: AnyRequest) -> Response[bytes]:
    """Push alone: the answer has no page."""
    return await _exchange(request, is_pushing=True, is_pulling=False)


@post("/v1/pull", status_code=200)
async def pull(request: AnyRequest) -> Response[bytes]:
    """Pull alone: the request's changes must be empty."""
    return await _exchange(request, is_pushing=False, is_pulling=True)


async def _exchange(request: AnyRequest, *, is_pushing: bool, is_pulling: bool) -> Response[bytes]:
    services, caller = services_of(request), identify(request)
    wait_seconds = _wait_seconds(request, services)
    message = await read(request, SyncRequest)
    check_protocol(message.protocol_version)
    if message.changes and not is_pushing:
        raise RemoteError("invalid_message", "a pull carries no changes: use /v1/sync", path="changes")
    identity = writing_as(caller, message.device_id)
    ask = _Asked(services, identity, message)
    answer = await answered(services, identity, ask.push) if message.changes else None
    pulled = None
    if is_pulling:
        pulled = await answered(services, identity, partial(ask.pull, 0 if answer else wait_seconds))
    epoch = (
        answer.epoch if answer else pulled.epoch if pulled else await answered(services, identity, ask.epoch)
    )
    schema = services.application.schema
    response = PackedSyncResponse(
        protocol_version=min(message.protocol_version, PROTOCOL_VERSION),
        schema_version=schema.schema_version,
        epoch=epoch,
        kinds=sorted(schema.kinds),
        receipts=answer.receipts if answer else (),
        deferred=[Deferred(dot, "schema_ahead") for dot in answer.deferred] if answer else (),
        page=pulled.page if pulled else None,
    )
    return write(request, response, default=asked_type(request))


def _wait_seconds(request: AnyRequest, services: Services) -> float:
    text = request.query_params.get("wait", "0")
    longest = services.settings.wait_seconds_max
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= longest:
        raise RemoteError(
            "invalid_message", f"{text[:40]!r} is no waiting time: use 0 to {longest} seconds", path="wait"
        )
    return seconds


class _Asked:
    """One exchange, for one device: each half of it is done in a transaction that begins with its cursor."""

    def __init__(self, services: Services, identity: Identity, message: SyncRequest) -> None:
        self._services = services
        self._identity = identity
        self._message = message

    async def push(self) -> Answer:
        answer = await self._services.ingest.push(self._identity, self._message.changes, self._guard)
        if answer.head is not None:
            self._services.waiting.wake(self._identity.tenant_id)
        return answer

    async def _guard(self, transaction: Chains, viewer: Viewer) -> None:
        await self._services.lineage.place(transaction, viewer, self._identity, self._message.cursor)

    async def pull(self, wait_seconds: float) -> Pulled:
        services, message = self._services, self._message
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait_seconds
        pulled = await services.feed.pull(self._identity, message.cursor, message.rows_max)
        await services.presence.note(self._identity, pulled.acknowledged_seq)
        while not pulled.is_news and clock() < deadline and not services.waiting.is_closed:
            await services.waiting.wait(self._identity.tenant_id, deadline - clock())
            pulled = await services.feed.pull(self._identity, message.cursor, message.rows_max)
        return pulled

    async def epoch(self) -> str:
        async with self._services.storage.feed(self._identity.tenant_id) as transaction:
            viewer = await transaction.viewer(self._identity)
            await self._guard(transaction, viewer)
        return viewer.position.epoch
