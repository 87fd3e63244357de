"""The background loop: pushes edits, hears of others', backs off, wakes up. Tests wait for events alone."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import httpx
import pytest

from rightfit_client import LocalError, Replica, loop
from rightfit_client.activity import Activity
from rightfit_client.limits import BACK_OFF_MAX_SECONDS
from rightfit_client.loop import BackOff, LoopThread, SyncLoop
from rightfit_client.status import Status
from rightfit_client.testing import HttpAuthority, problem
from rightfit_sync.exchange import Exchange

Open = Callable[..., Replica]
TIMEOUT_SECONDS = 20


class Until:
    """Waits until a replica's status (or a row) is as wished."""

    def __init__(self, replica: Replica, holds: Callable[[Status], bool]) -> None:
        self._event = threading.Event()
        self._holds = holds
        replica.on_status(self._look)
        self._look(replica.status())

    def _look(self, status: Status) -> None:
        if self._holds(status):
            self._event.set()

    def wait(self) -> None:
        assert self._event.wait(TIMEOUT_SECONDS)


def arrives(replica: Replica, title: str) -> threading.Event:
    event = threading.Event()
    replica.subscribe(
        "work_order", lambda rows: event.set() if title in [row["title"] for row in rows] else None
    )
    return event


def nothing() -> Any:  # noqa: ANN401 - it is never called.
    raise AssertionError


def test_an_edit_on_one_side_arrives_on_the_other(open_replica: Open, authority: HttpAuthority) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    there, back = arrives(bob, "hello"), arrives(ann, "good day")
    ann.start()
    bob.start()
    for _ in range(2):
        assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    order_id = ann.insert("work_order", title="hello")
    assert there.wait(TIMEOUT_SECONDS)
    bob.update("work_order", order_id, title="good day")
    assert back.wait(TIMEOUT_SECONDS)
    ann.stop()
    bob.stop()
    assert ann.status().state == "up_to_date"


def test_the_loop_backs_off_and_a_poke_wakes_it(replica: Replica, authority: HttpAuthority) -> None:
    offline = Until(replica, lambda status: status.state == "offline")
    online = Until(replica, lambda status: status.state == "up_to_date" and status.last_synced_at is not None)
    authority.refuse(problem(503, "unavailable", headers={"Retry-After": "3000"}))
    replica.insert("work_order", title="x")
    replica.start()
    offline.wait()
    # An edit does not disturb an authority that asked to be left alone; a poke does.
    replica.insert("work_order", title="y")
    assert replica.status().pending == 2
    replica.poke()
    online.wait()
    assert replica.status().pending == 0


def test_the_loop_tries_again_by_itself_after_what_a_sync_could_not_mend(
    replica: Replica, authority: HttpAuthority
) -> None:
    broken = Until(replica, lambda status: status.state == "needs_repair")
    mended = Until(replica, lambda status: status.state == "up_to_date" and status.last_synced_at is not None)
    authority.refuse(problem(403, "wrong_device"))
    replica.insert("work_order", title="x")
    replica.start()
    broken.wait()
    mended.wait()
    assert replica.status().pending == 0


@pytest.mark.anyio
async def test_an_edit_does_not_end_a_pause_that_the_authority_asked_for() -> None:
    resting = SyncLoop(Activity(lambda: None), nothing, nothing)
    resting._events = asyncio.get_running_loop()
    pausing = asyncio.create_task(resting._rest(None))
    resting.nudge()
    for _ in range(10):
        await asyncio.wait({pausing}, timeout=0)
    assert not pausing.done()
    resting.poke()
    await asyncio.wait_for(pausing, TIMEOUT_SECONDS)
    # Between two pulls of an authority that holds no long polls, an edit does.
    resting._woken = resting._nudged = False
    pausing = asyncio.create_task(resting._rest(1_000.0, may_be_nudged=True))
    resting.nudge()
    await asyncio.wait_for(pausing, TIMEOUT_SECONDS)


def test_the_loop_waits_for_a_login(
    replica: Replica, authority: HttpAuthority, make_token: Callable[..., str]
) -> None:
    stopped = Until(replica, lambda status: status.state == "needs_login")
    sent = Until(replica, lambda status: status.last_synced_at is not None and not status.pending)
    authority.refused_tokens.add(make_token("dev-a"))
    replica.insert("work_order", title="x")
    replica.start()
    stopped.wait()
    replica.log_in(make_token("dev-a") + "2")
    sent.wait()


def test_the_loop_survives_what_the_authority_answers(replica: Replica, authority: HttpAuthority) -> None:
    refused = Until(replica, lambda status: status.state == "problem")
    fine = Until(replica, lambda status: status.last_synced_at is not None)
    authority.refuse(problem(403, "forbidden"))
    replica.start()
    refused.wait()
    replica.poke()
    fine.wait()


def test_the_loop_survives_a_mistake_and_says_so(
    replica: Replica, authority: HttpAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_serve: Callable[[], httpx.Response]) -> httpx.Response:
        raise RuntimeError("a mistake of ours")

    failed = Until(replica, lambda status: "a mistake of ours" in status.message)
    authority.faults.append(fail)
    replica.start()
    failed.wait()
    assert replica.status().state == "problem"
    assert "goes on" in caplog.text
    fine = Until(replica, lambda status: status.state == "up_to_date")
    replica.poke()
    fine.wait()


def test_a_broken_long_poll_is_tried_again(replica: Replica, authority: HttpAuthority) -> None:
    def break_off(_serve: Callable[[], httpx.Response]) -> httpx.Response:
        raise httpx.ReadError("cut")

    offline = Until(replica, lambda status: status.state == "offline")
    authority.faults += [None, break_off]
    replica.start()
    offline.wait()
    fine = Until(replica, lambda status: status.state == "up_to_date")
    replica.poke()
    fine.wait()


def test_an_edit_is_planned_once(
    replica: Replica, authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Semaphore(0)
    begin = Replica._begin

    def counting(*arguments: Any) -> Exchange:  # noqa: ANN401 - as they are.
        begun.release()
        return begin(*arguments)

    monkeypatch.setattr(Replica, "_begin", counting)
    replica.start()
    assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    while begun.acquire(blocking=False):
        pass
    replica.insert("work_order", title="x")
    assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    assert replica.status().pending == 0
    # One exchange that sends it, and the next long poll.
    assert [begun.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_syncing_by_hand_beside_the_loop_is_safe(open_replica: Open, authority: HttpAuthority) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    ann.start()
    assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    bob.insert("work_order", title="from bob")
    bob.sync()
    ann.sync()
    assert len(ann.query("work_order")) == 1
    with pytest.raises(LocalError) as refused:
        asyncio.run(ann.run())
    assert refused.value.code == "already_syncing"
    ann.start()
    ann.stop()
    ann.stop()
    ann.sync()


@pytest.mark.anyio
async def test_the_loop_runs_in_an_event_loop_too(open_replica: Open, authority: HttpAuthority) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    there = arrives(ann, "hello")
    running = asyncio.create_task(ann.run())
    assert await asyncio.to_thread(authority.waiting.acquire, timeout=TIMEOUT_SECONDS)
    bob.insert("work_order", title="hello")
    await asyncio.to_thread(bob.sync)
    assert await asyncio.to_thread(there.wait, TIMEOUT_SECONDS)
    ann.stop()
    await asyncio.wait_for(running, TIMEOUT_SECONDS)
    # A task that is cancelled leaves a replica that goes on.
    running = asyncio.create_task(ann.run())
    assert await asyncio.to_thread(authority.waiting.acquire, timeout=TIMEOUT_SECONDS)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(ann.sync)
    assert ann.status().state == "up_to_date"


def test_closing_ends_the_loop(open_replica: Open, authority: HttpAuthority) -> None:
    replica = open_replica("dev-a")
    replica.start()
    assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    replica.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rightfit-sync"]


class Silent(httpx.AsyncBaseTransport):
    """Never answers; `asked` is released for each request, and so many of its cancellations are not heeded."""

    def __init__(self, deaf_for: int = 0) -> None:
        self.asked = threading.Semaphore(0)
        self._deaf_for = deaf_for

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        self.asked.release()
        for _ in range(self._deaf_for):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError


def stops(replica: Replica) -> bool:
    """Stop it; return whether that came to an end."""
    stopping = threading.Thread(target=replica.stop, daemon=True)
    stopping.start()
    stopping.join(TIMEOUT_SECONDS)
    return not stopping.is_alive()


@pytest.mark.parametrize("deaf_for", [0, 2])
def test_a_sync_that_nobody_answers_is_dropped_when_the_loop_is_stopped(
    open_replica: Open, monkeypatch: pytest.MonkeyPatch, deaf_for: int
) -> None:
    monkeypatch.setattr(loop, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(loop, "CANCEL_AGAIN_SECONDS", 0.01)
    silent = Silent(deaf_for)
    ann = open_replica("dev-a", async_transport=silent)
    ann.insert("work_order", title="x")
    ann.start()
    assert silent.asked.acquire(timeout=TIMEOUT_SECONDS)
    assert stops(ann)
    # Nothing is held that the next sync needs, and the edit is still there.
    assert ann.status().state == "pending"
    assert ann.sync().pushed == 1


@pytest.mark.anyio
async def test_a_long_poll_that_does_not_heed_its_end_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CANCEL_AGAIN_SECONDS", 0.01)
    silent = Silent(deaf_for=3)
    polling = SyncLoop(Activity(lambda: None), nothing, nothing)
    polling._news.set()
    asked = silent.handle_async_request(httpx.Request("POST", "http://authority"))
    response = await asyncio.wait_for(polling._before_edits(cast(Any, asked)), TIMEOUT_SECONDS)
    assert response is None


def test_a_callback_may_stop_the_loop_that_called_it(replica: Replica) -> None:
    stopped = threading.Event()

    def stop(_rows: object) -> None:
        if replica.pending() == [] and replica.query("work_order"):
            replica.stop()
            stopped.set()

    replica.insert("work_order", title="x")
    replica.on_status(stop)
    replica.start()
    assert stopped.wait(TIMEOUT_SECONDS)
    assert stops(replica)
    assert not [one for one in threading.enumerate() if one.name == "rightfit-sync"]


def test_a_loop_that_was_stopped_before_its_thread_ran_asks_nothing() -> None:
    stopped = SyncLoop(Activity(lambda: None), nothing, nothing)
    thread = LoopThread(stopped)
    thread.stop()
    thread.start()
    thread.stop()
    assert not [one for one in threading.enumerate() if one.name == "rightfit-sync"]


def test_whoever_is_interrupted_in_start_can_still_stop(
    replica: Replica, authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = LoopThread.start

    def interrupted(thread: LoopThread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(LoopThread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replica.start()
    assert authority.waiting.acquire(timeout=TIMEOUT_SECONDS)
    replica.stop()
    assert not [one for one in threading.enumerate() if one.name == "rightfit-sync"]


def test_pauses_grow_with_jitter_up_to_a_limit() -> None:
    least, most = BackOff(lambda: 0.0), BackOff(lambda: 1.0)
    assert [least.next_seconds() for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert [most.next_seconds() for _ in range(8)][-2:] == [BACK_OFF_MAX_SECONDS] * 2
    assert most.next_seconds(100.0) == 100.0 + BACK_OFF_MAX_SECONDS
    most.reset()
    assert most.next_seconds() == 1.0
