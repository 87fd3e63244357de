"""The exchange: changes up, receipts and a page of the feed down. `/v1/push` and `/v1/pull` are its halves.

With `?wait=<seconds>` a request that has nothing to push, and for which there is nothing, is held until
there is, or until its caller has hung up. Whether device and server share their past is looked at before anything
of the push is taken in.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from litestar import Response, post

from rightfit_server.feed.ahead import Standing
from rightfit_server.feed.pages import NOTHING_MADE, Made, Pulled
from rightfit_server.http.bodies import asked_type, read, reads_columns, write
from rightfit_server.http.caller import answered, identify, writing_as
from rightfit_server.http.protocol import check_protocol
from rightfit_server.http.services import AnyRequest, Services, services_of
from rightfit_server.ingest.service import Answer
from rightfit_server.ports.storage import Chains, Expected, Identity, Viewer
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.packing import PackedPage, apart, by_columns
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
    ask = _Asked(services, identity, message, request)
    answer = await answered(services, identity, ask.push) if message.changes else None
    pulled = None
    if is_pulling:
        pull = partial(ask.pull, answer) if answer else partial(ask.wait, wait_seconds)
        pulled = await answered(services, identity, pull)
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
        page=_as_sent(pulled.page, request) if pulled else None,
    )
    return write(request, response, default=asked_type(request))


def _as_sent(page: PackedPage, request: AnyRequest) -> PackedPage:
    return by_columns(page) if reads_columns(request) else apart(page)


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

    def __init__(
        self, services: Services, identity: Identity, message: SyncRequest, request: AnyRequest
    ) -> None:
        self._services = services
        self._identity = identity
        self._message = message
        self._request = request
        self._standing: Standing | None = None

    async def push(self) -> Answer:
        answer = await self._services.ingest.push(self._identity, self._message.changes, self._guard)
        if answer.head is not None:
            self._services.waiting.wake(self._identity.tenant_id)
        return answer

    async def _guard(self, transaction: Chains, viewer: Viewer) -> None:
        lineage, identity = self._services.lineage, self._identity
        place = await lineage.place(transaction, viewer, identity, self._message.cursor)
        self._standing = Standing(place, viewer.tags)

    async def pull(self, answer: Answer | None = None) -> Pulled:
        # What was pushed is news to the device itself; where it stands was seen with the push.
        pulled = await self._look(self._made(answer), self._standing)
        await self._note(pulled, is_busy=answer is not None or pulled.page.more)
        return pulled

    async def _note(self, pulled: Pulled, *, is_busy: bool = False) -> None:
        await self._services.presence.note(self._identity, pulled.standing.place.seq, is_busy=is_busy)

    async def _look(self, made: Made, standing: Standing | None) -> Pulled:
        feed, message = self._services.feed, self._message
        return await feed.pull(self._identity, message.cursor, message.rows_max, made, standing=standing)

    def _made(self, answer: Answer | None) -> Made:
        """Return what the device has just made; it is sent back all the same where it might work it out otherwise."""
        message, schema = self._message, self._services.application.schema
        if answer is None or answer.head is None:
            return NOTHING_MADE
        if message.takes_own and message.schema_version == schema.schema_version:
            return Made(answer.head, answer.own, answer.written)
        return Made(answer.head, {}, answer.written)

    async def wait(self, seconds: float) -> Pulled:
        """Pull until there is news, at most for `seconds`, and no longer than somebody waits for the answer."""
        if not seconds:
            return await self.pull()
        waiting, clock = self._services.waiting, asyncio.get_running_loop().time
        deadline = clock() + seconds
        with waiting.listening(self._identity.tenant_id) as news:
            pulled = await self._look(NOTHING_MADE, None)
            await self._note(pulled, is_busy=True)
            with self._hanging_up(news) as hung_up:
                while not (pulled.is_news or clock() >= deadline or waiting.is_closed):
                    await waiting.wait(news, deadline - clock())
                    if hung_up.done():
                        break
                    is_woken = news.is_set()
                    news.clear()
                    pulled = await self._look(NOTHING_MADE, pulled.standing if is_woken else None)
                    if not is_woken:
                        await self._note(pulled)
        return pulled

    @contextmanager
    def _hanging_up(self, news: asyncio.Event) -> Iterator[asyncio.Future[object]]:
        """Give a future that is done when the caller has hung up, which sets `news`, too."""
        # The body has been read, so that all that can still come is the end of the connection.
        hung_up: asyncio.Future[object] = asyncio.ensure_future(self._request.receive())
        hung_up.add_done_callback(lambda _: news.set())
        try:
            yield hung_up
        finally:
            hung_up.cancel()

    async def epoch(self) -> str:
        async with self._services.storage.feed(self._identity, Expected()) as transaction:
            await self._guard(transaction, transaction.viewer)
            return transaction.viewer.position.epoch
