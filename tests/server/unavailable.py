"""What F15 asks of an answer: 503 with Retry-After, soon."""

import time
from collections.abc import Awaitable, Callable

import httpx

from rightfit_server.settings import Settings
from rightfit_sync.wire.messages import SyncRequest
from tests.server.world import Phone

ANSWER_SECONDS_MAX = 2
BACK_SECONDS_MAX = 10
AS_SHIPPED = Settings().lock_timeout_seconds


async def check_unavailable(ask: Callable[[], Awaitable[httpx.Response]]) -> None:
    """Ask, and be told soon to come back."""
    assert not await is_served(ask)


async def is_served(ask: Callable[[], Awaitable[httpx.Response]]) -> bool:
    """Ask, and return whether there was an answer; otherwise one is told soon to come back."""
    started = time.monotonic()
    response = await ask()
    seconds = time.monotonic() - started
    if response.status_code == 200:
        return True
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert seconds < ANSWER_SECONDS_MAX
    return False


async def check_push_unavailable(phone: Phone, request: SyncRequest) -> None:
    """Push, and be told soon to come back."""
    await check_unavailable(lambda: phone.post("/v1/sync", request))
