"""The next request is on its way while an answer is taken in; should it turn out to be another, nothing is lost."""

from collections.abc import Callable, Collection
from typing import cast

import pytest

from rightfit_sync import Change, Outcome
from rightfit_sync.causality.dot import Dot
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call, Exchange, Progress, Response, Synced
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX
from rightfit_sync.records import Entity, rejected
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

SCHEMA = Schema(1, {"task": KindSpec({"title": FieldSpec(type="str")}, audience=["all"])})
RECORDS = 2 * CHANGES_PER_PUSH_MAX + 10


class Driver:
    """Answers announced requests at once, as an authority may that is quicker than the device."""

    def __init__(self, authority: MemoryAuthority, device: MemoryDevice) -> None:
        self.authority = authority
        self.device = device
        self.asked: list[Call] = []
        self.dropped = 0
        self.before_answer: Callable[[], None] = lambda: None
        self._announced: tuple[Call, Response] | None = None

    def announce(self, call: Call) -> None:
        """Send it already."""
        assert self._announced is None
        self._announced = (call, self._answer(call))

    def _answer(self, call: Call) -> Response:
        self.asked.append(call)
        return self.authority.answer(self.device.token, call.request, 100)

    def _ask(self, call: Call) -> Response:
        announced, self._announced = self._announced, None
        if announced is not None and announced[0] is call:
            self.before_answer()
            return announced[1]
        self.dropped += announced is not None
        return self._answer(call)

    def sync(self, report: Callable[[Progress], None] = lambda _: None, *, announcing: bool = True) -> Synced:
        """Sync once."""
        exchange = Exchange(self.device.core, report=report, rows_max=100)
        exchange.announce = self.announce if announcing else None
        steps = exchange.steps()
        call = next(steps)
        while True:
            try:
                response = self._ask(call)
            except RemoteError as problem:
                call = steps.throw(problem)
                continue
            try:
                call = steps.send(response)
            except StopIteration as end:
                return cast("Synced", end.value)


def joined(authority: MemoryAuthority, name: str) -> MemoryDevice:
    authority.grant("ann", ["all"])
    authority.register(name, "ann")
    return MemoryDevice(name, SCHEMA)


def filled(device: MemoryDevice) -> MemoryDevice:
    for number in range(RECORDS):
        device.create(("task", f"{number}"), {"title": f"title {number}"})
    return device


@pytest.mark.parametrize("announcing", [False, True])
def test_as_many_requests_are_made_as_without(announcing: bool) -> None:
    authority = MemoryAuthority(SCHEMA)
    writer, reader = (
        Driver(authority, filled(joined(authority, "a"))),
        Driver(authority, joined(authority, "b")),
    )
    assert writer.sync(announcing=announcing).pushed == RECORDS
    assert reader.sync(announcing=announcing).pulled == RECORDS
    assert (writer.dropped, reader.dropped) == (0, 0)
    assert len(writer.asked) + len(reader.asked) == 6
    for number in range(RECORDS):
        key = ("task", f"{number}")
        assert reader.device.view(key) == writer.device.view(key) == {"title": f"title {number}"}
    assert list(writer.device.store.pending()) == list(writer.device.store.acknowledged()) == []


def test_what_is_written_meanwhile_is_pushed_too() -> None:
    authority = MemoryAuthority(SCHEMA)
    driver = Driver(authority, filled(joined(authority, "a")))
    late: list[Change | None] = []

    def write(_: Progress) -> None:
        if len(late) < 2:
            late.append(driver.device.edit(("task", "0"), {"title": f"late {len(late)}"}))

    assert driver.sync(write).pushed == RECORDS + 2
    found = authority.entity(("task", "0"))
    assert found is not None
    assert [one.value for one in found.fields["title"]] == ["late 1"]


def test_an_answer_to_what_is_not_asked_any_more_is_as_good_as_lost() -> None:
    authority = MemoryAuthority(SCHEMA)
    driver = Driver(authority, filled(joined(authority, "a")))
    authority.register("a-1", "ann", "a")
    taken: list[Progress] = []

    def take_new_id(done: Progress) -> None:
        if not taken:
            driver.device.core.take_new_id()
        taken.append(done)

    driver.sync(take_new_id)
    assert driver.dropped == 1
    assert list(driver.device.store.pending()) == []
    assert driver.device.store.rejected() == []
    for number in range(RECORDS):
        found = authority.entity(("task", f"{number}"))
        assert found is not None
        assert [one.value for one in found.fields["title"]] == [f"title {number}"]


def test_what_comes_next_is_planned_while_the_request_before_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = MemoryAuthority(SCHEMA)
    driver = Driver(authority, filled(joined(authority, "a")))
    core = driver.device.core
    plan, planned = core.plan_push, []

    def plan_push(
        *, changes_max: int, bytes_max: int, answered: Collection[Dot] = frozenset()
    ) -> list[Pushed]:
        planned.append(len(driver.asked))
        return plan(changes_max=changes_max, bytes_max=bytes_max, answered=answered)

    monkeypatch.setattr(core, "plan_push", plan_push)
    # Each of these is called when an answer has come, so that whatever is planned for the next request is planned.
    seen: list[int] = []
    driver.before_answer = lambda: seen.append(len(planned))
    driver.sync()
    assert len(driver.asked) == 3
    assert planned == [0, 1, 2, 3]
    assert seen == [3, 4]


@pytest.mark.parametrize("happens", ["an edit", "a new id"])
def test_what_happens_after_the_next_push_was_planned_counts(happens: str) -> None:
    authority = MemoryAuthority(SCHEMA)
    driver = Driver(authority, filled(joined(authority, "a")))
    authority.register("a-1", "ann", "a")
    happened: list[str] = []

    def happen() -> None:
        if not happened and happens == "an edit":
            driver.device.edit(("task", f"{RECORDS - 1}"), {"title": "late"})
        elif not happened:
            driver.device.core.take_new_id()
        happened.append(happens)

    driver.before_answer = happen
    driver.sync()
    assert list(driver.device.store.pending()) == list(driver.device.store.acknowledged()) == []
    assert driver.device.store.rejected() == []
    assert {one.change.dot for one in authority.history} == set(authority.receipts)
    titles = [f"title {number}" for number in range(RECORDS)]
    if happens == "an edit":
        titles[-1] = "late"
    for number, title in enumerate(titles):
        found = authority.entity(("task", f"{number}"))
        assert found is not None
        assert [one.value for one in found.fields["title"]] == [title]


def test_nothing_is_announced_after_a_rejection() -> None:
    def authorize(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
        return rejected("forbidden", "no") if change.entity_id == "7" else None

    authority = MemoryAuthority(SCHEMA, authorize=authorize)
    driver = Driver(authority, filled(joined(authority, "a")))
    announced: list[Call] = []
    exchange = Exchange(driver.device.core)
    exchange.announce = announced.append
    steps = exchange.steps()
    steps.send(authority.answer("a", next(steps).request, 100))
    assert announced == []
    assert len(driver.device.store.rejected()) == 1
