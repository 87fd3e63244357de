"""The background loop: sync, wait for news or for an edit, sync again; back off where nobody answers.

One coroutine, `SyncLoop.run`, in the application's event loop or in a thread of its own (`LoopThread`).
What is written to the database is written in a worker thread, so that an event loop is never held up by a disk, and
callbacks of live queries are in none. What to ask next is read there, too, unless the event loop is the replica's own.

| after | the loop waits for |
|---|---|
| a sync | the long poll's answer, an edit, a poke |
| `Offline` | a growing pause with jitter (or what the authority asked for), a poke |
| `NeedsLogin`, `NeedsUpgrade` | a poke (a new token gives one) |
| another problem, `NeedsRepair` too | a growing pause, a poke |

A long poll is given up without harm when an edit comes: it only asked for news. What else is under way when the loop
is stopped may finish within `STOP_SECONDS`, and is dropped then: the next sync resumes where it stopped.
"""

import asyncio
import gc
import logging
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeAlias

from rightfit_client.activity import Activity
from rightfit_client.errors import (
    NeedsLogin,
    NeedsRepair,
    NeedsUpgrade,
    Offline,
    RemoteError,
    RemoteProblem,
    RightFitError,
    told_by_the_core,
)
from rightfit_client.limits import (
    BACK_OFF_FIRST_SECONDS,
    BACK_OFF_MAX_SECONDS,
    CANCEL_AGAIN_SECONDS,
    LONG_POLL_SECONDS,
    POLL_SECONDS,
    STOP_SECONDS,
)
from rightfit_client.transport import AsyncHttpTransport
from rightfit_sync.exchange import Call, Exchange, Response, Steps, Synced
from rightfit_sync.wire.messages import SyncResponse

_LOG = logging.getLogger(__name__)

Send: TypeAlias = Callable[[Call], Awaitable[Response]]

_LOCK_POLL_SECONDS = 0.01
_QUICK_SECONDS = 1.0


def drive(steps: Steps, send: Callable[[Call], Response]) -> Synced:
    """Carry out the steps of a sync from this thread."""
    response: Response | None = None
    problem: RightFitError | None = None
    while True:
        call = _advance(steps, response, problem)
        if isinstance(call, Synced):
            return call
        response = problem = None
        try:
            response = send(call)
        except RightFitError as caught:
            problem = caught


class BackOff:
    """Pauses that grow; `jitter` (a number from 0 to 1) keeps a thousand devices from returning at once."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._failures = 0

    def next_seconds(self, retry_after_seconds: float | None = None) -> float:
        """Return the next pause."""
        longest = min(BACK_OFF_FIRST_SECONDS * 2.0**self._failures, BACK_OFF_MAX_SECONDS)
        self._failures = min(self._failures + 1, 16)
        pause = longest * (0.5 + 0.5 * self._jitter())
        return pause if retry_after_seconds is None else retry_after_seconds + pause

    def reset(self) -> None:
        """Begin anew: the authority is there."""
        self._failures = 0


class SyncLoop:
    """`begin` gives a fresh `Exchange` and `connect` a transport; run one loop per replica."""

    def __init__(
        self,
        activity: Activity,
        begin: Callable[[], Exchange],
        connect: Callable[[], AsyncHttpTransport],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._activity = activity
        self._begin = begin
        self._connect = connect
        self._jitter = jitter
        self._back_off = BackOff(jitter)
        self._lock = threading.Lock()
        self._events: asyncio.AbstractEventLoop | None = None
        self._woken = self._nudged = False
        self._news, self._ending = asyncio.Event(), asyncio.Event()
        self._is_stopping = False
        self._must_sync = True
        self._is_alone = False
        self._own_threads: set[int] = set()
        self._worker = ThreadPoolExecutor(1, "rightfit-work", self._enter_thread)

    async def run(self, *, is_alone: bool = False) -> None:
        """Run until `stop()` or until the task is cancelled; `is_alone` says that nothing else is in its event loop."""
        self._is_alone = is_alone
        self._enter_thread()
        with self._lock:
            if self._is_stopping:
                return
            self._events = asyncio.get_running_loop()
            self._news, self._ending = asyncio.Event(), asyncio.Event()
        transport = self._connect()
        working, ending = (asyncio.ensure_future(one) for one in (self._work(transport), self._ending.wait()))
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({working}, timeout=STOP_SECONDS)
        finally:
            await _drop(working, ending)
            with self._lock:
                self._events = None
            self._worker.shutdown()
            await transport.close()
        if not working.cancelled():
            working.result()

    async def _work(self, transport: AsyncHttpTransport) -> None:
        while not self._is_stopping:
            await self._turn(transport)

    def poke(self) -> None:
        """Sync now, even if the loop is backing off. From any thread."""
        self._signal(woken=True)

    def nudge(self) -> None:
        """There is an edit to send: sync unless the authority asked to be left alone. From any thread."""
        self._signal(woken=False)

    def stop(self) -> None:
        """End the loop after what it is doing now, or `STOP_SECONDS` from now. From any thread."""
        self._is_stopping = True
        self._signal(woken=True)
        with self._lock:
            if self._events is not None:
                self._events.call_soon_threadsafe(self._ending.set)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller runs in a thread of the loop: it must not wait there for the loop's end."""
        return threading.get_ident() in self._own_threads

    def _enter_thread(self) -> None:
        self._own_threads.add(threading.get_ident())

    def _signal(self, *, woken: bool) -> None:
        with self._lock:
            self._nudged = True
            self._woken = self._woken or woken
            if self._events is not None:
                self._events.call_soon_threadsafe(self._news.set)

    async def _turn(self, transport: AsyncHttpTransport) -> None:
        """Do one thing: listen, or sync where something is pending, has failed, or somebody has said so."""
        must_sync = self._must_sync or self._woken or self._nudged
        self._woken = self._nudged = False
        self._must_sync = True
        try:
            if must_sync:
                await self._sync(transport)
            await self._listen(transport)
            self._must_sync = False
        except Offline as problem:
            await self._rest(self._back_off.next_seconds(problem.retry_after_seconds))
        except (NeedsLogin, NeedsUpgrade):
            await self._rest(None)
        except RightFitError:
            await self._rest(self._back_off.next_seconds())
        except Exception as mistake:  # noqa: BLE001 - it is logged, shown and tried again.
            # A loop that died without a word would strand every edit after it.
            _LOG.exception("the background loop failed, and goes on")
            self._activity.fail(RightFitError(f"the background loop failed ({mistake!r}): see the log"))
            await self._rest(self._back_off.next_seconds())

    async def _sync(self, transport: AsyncHttpTransport) -> None:
        exchange = self._begin()
        async with self._exclusive():
            with self._activity.attempt():
                await self._drive(exchange.steps(), transport.exchange)
            self._activity.authority_schema_version = exchange.authority_schema_version
        self._back_off.reset()

    async def _listen(self, transport: AsyncHttpTransport) -> None:
        """Wait for news from the authority, or for an edit of ours."""
        events = asyncio.get_running_loop()
        started = events.time()
        steps = self._begin().steps(LONG_POLL_SECONDS)
        call = await self._first_call(steps)
        round_before = self._activity.round
        if isinstance(call, Synced) or not call.wait_seconds:
            await self._sync(transport)
            return
        if self._nudged or self._is_stopping:
            return
        try:
            response = await self._before_edits(transport.exchange(call))
        except NeedsRepair:
            # A sync knows what to do about most of these.
            await self._sync(transport)
            return
        except RightFitError as problem:
            self._activity.fail(problem)
            raise
        if response is None:
            return
        async with self._exclusive():
            # A page that was cut before somebody else's sync says nothing about what that has sent.
            if self._activity.round == round_before:
                with self._activity.attempt():
                    await self._drive(steps, transport.exchange, response)
        has_news = isinstance(response, SyncResponse) and response.page is not None and response.page.rows
        if events.time() - started < _QUICK_SECONDS and not has_news:
            await self._rest(POLL_SECONDS * (0.5 + 0.5 * self._jitter()), may_be_nudged=True)

    async def _before_edits(self, exchange: Awaitable[Response]) -> Response | None:
        """Return the answer, or None where an edit or a poke came before it."""
        asking = asyncio.ensure_future(exchange)
        hearing = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({asking, hearing}, return_when=asyncio.FIRST_COMPLETED)
            self._news.clear()
            return asking.result() if asking.done() else None
        finally:
            await _drop(asking, hearing)

    async def _drive(self, steps: Steps, send: Send, response: Response | None = None) -> Synced:
        """Carry out the steps of a sync from an event loop; `response` answers a call that was made already."""
        call = await (self._first_call(steps) if response is None else self._written(steps, response))
        while not isinstance(call, Synced):
            problem = None
            try:
                response = await send(call)
            except RightFitError as caught:
                response, problem = None, caught
            call = await self._written(steps, response, problem)
        return call

    async def _first_call(self, steps: Steps) -> Call | Synced:
        """Find out what to ask first: no more than a look at the database, as a rule."""
        return _advance(steps) if self._is_alone else await self._written(steps)

    async def _written(
        self, steps: Steps, response: Response | None = None, problem: RightFitError | None = None
    ) -> Call | Synced:
        """Take a step in the worker thread, to its end even if this task is cancelled meanwhile."""
        events = asyncio.get_running_loop()
        working = events.run_in_executor(self._worker, _advance, steps, response, problem)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            while not working.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([working])
            raise

    async def _rest(self, seconds: float | None, *, may_be_nudged: bool = False) -> None:
        events = asyncio.get_running_loop()
        until = None if seconds is None else events.time() + seconds
        while not (self._is_stopping or self._woken or (may_be_nudged and self._nudged)):
            self._news.clear()
            left = None if until is None else until - events.time()
            if left is not None and left <= 0:
                return
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                return

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Hold the lock of the one exchange at a time. Waiting in a thread could not be cancelled."""
        while not self._activity.exclusive.acquire(blocking=False):  # noqa: ASYNC110 - see above.
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            self._activity.exclusive.release()


async def _drop(*tasks: asyncio.Task[object]) -> None:
    """Cancel these tasks and wait until they have ended; what became of them is not asked.

    A library that cancels within a task (a connection that came in time) may take our cancellation for its own, and
    go on: so it is said again.
    """
    while running := [one for one in tasks if not one.done()]:
        for one in running:
            one.cancel()
        await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from walking through thousands of records that are in no cycle, for one step."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _advance(
    steps: Steps, response: Response | None = None, problem: RightFitError | None = None
) -> Call | Synced:
    try:
        with _collector_at_rest():
            if problem is not None:
                return steps.throw(problem)
            return next(steps) if response is None else steps.send(response)
    except StopIteration as end:
        return end.value if isinstance(end.value, Synced) else Synced()
    except RemoteProblem:
        raise
    except RemoteError as error:
        raise told_by_the_core(error) from error


class LoopThread:
    """A `SyncLoop` in a thread of its own.

    It is started by a call of its own, so that whoever is interrupted in `start` (by Ctrl-C) has something to stop.
    """

    def __init__(self, loop: SyncLoop) -> None:
        self.loop = loop
        self._thread = threading.Thread(
            target=lambda: asyncio.run(loop.run(is_alone=True)), name="rightfit-sync", daemon=True
        )

    def start(self) -> None:
        """Let the loop run."""
        self._thread.start()

    def stop(self) -> bool:
        """End the loop and wait for it; False where the caller is a callback in one of its threads, and cannot wait."""
        self.loop.stop()
        if self.loop.is_own_thread:
            return False
        # A thread that was interrupted before it ran ends by itself: it looks first.
        if self._thread.is_alive():
            self._thread.join()
        return True
