"""The exchange: changes up, receipts and a page of the feed down. `/v1/push` and `/v1/pull` are its halves.

With `?wait=<seconds>` a request that has nothing to push, and for which there is nothing, is held until
there is.
"""

import asyncio

from litestar import Response, post

from rightfit_server.feed.pages import Pulled
from rightfit_server.http.bodies import asked_type, read, write
from rightfit_server.http.caller import identify
from rightfit_server.http.services import AnyRequest, Services, services_of
from rightfit_server.ingest.service import Answer
from rightfit_server.ports.storage import Identity
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PROTOCOL_VERSION, PROTOCOL_VERSIONS_SPOKEN
from rightfit_sync.wire.messages import Deferred, SyncRequest, SyncResponse


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
    services, identity = services_of(request), identify(request)
    wait_seconds = _wait_seconds(request, services)
    message = await read(request, SyncRequest)
    _check_protocol(message)
    if message.changes and not is_pushing:
        raise RemoteError("invalid_message", "a pull carries no changes: use /v1/sync", path="changes")
    answer = await _push(services, identity, message) if message.changes else None
    pulled = None
    if is_pulling and message.rows_max:
        pulled = await _pull(services, identity, message, 0 if answer else wait_seconds)
    epoch = answer.epoch if answer else pulled.epoch if pulled else await _epoch(services, identity)
    schema = services.application.schema
    response = SyncResponse(
        protocol_version=min(message.protocol_version, PROTOCOL_VERSION),
        schema_version=schema.schema_version,
        epoch=epoch,
        kinds=sorted(schema.kinds),
        receipts=answer.receipts if answer else (),
        deferred=[Deferred(dot, "schema_ahead") for dot in answer.deferred] if answer else (),
        page=pulled.page if pulled else None,
    )
    return write(request, response, default=asked_type(request))


def _check_protocol(message: SyncRequest) -> None:
    oldest = min(PROTOCOL_VERSIONS_SPOKEN)
    if message.protocol_version < oldest:
        text = f"version {message.protocol_version} is spoken no more, the oldest is {oldest}: update the app"
        raise RemoteError("protocol_too_old", text, path="protocol_version")


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


async def _push(services: Services, identity: Identity, message: SyncRequest) -> Answer:
    answer = await services.ingest.push(identity, message.changes)
    if answer.head is not None:
        services.waiting.wake(identity.tenant_id)
    return answer


async def _pull(services: Services, identity: Identity, message: SyncRequest, wait_seconds: float) -> Pulled:
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_seconds
    pulled = await services.feed.pull(identity, message.cursor, message.rows_max)
    await services.presence.note(identity, pulled.acknowledged_seq)
    while not pulled.is_news and clock() < deadline and not services.waiting.is_closed:
        await services.waiting.wait(identity.tenant_id, deadline - clock())
        pulled = await services.feed.pull(identity, message.cursor, message.rows_max)
    return pulled


async def _epoch(services: Services, identity: Identity) -> str:
    async with services.storage.records(identity.tenant_id) as transaction:
        return (await transaction.viewer(identity)).position.epoch
