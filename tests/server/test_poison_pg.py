"""A change on which the application itself fails: it is rejected with its payload, and everything else flows."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from rightfit_server.ports.application import Effect, Subject
from rightfit_sync.records import Change, Entity, Outcome
from tests.server.application import TestApplication
from tests.server.restoring import check
from tests.server.world import Database, serving

pytestmark = pytest.mark.anyio
JOB, TAP = ("job", "boiler"), ("job", "tap")


class Failing(TestApplication):
    """Fails on whatever says so in its title."""

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        if str(change.patches.get("title")).count("poison authorize"):
            raise ZeroDivisionError("a bug")
        return super().authorize(subject, before, change)

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        if str(change.patches.get("title")).count("poison effects") or change.op == "delete":
            raise KeyError("another bug")
        return super().effects(before, after, change)


@pytest.mark.parametrize("where", ["authorize", "effects"])
async def test_a_poison_change_is_rejected_and_everything_else_flows(database: Database, where: str) -> None:
    async with serving(database, Failing()) as world:
        office = world.office()
        office.create(JOB, {"title": "Boiler"})
        office.edit(JOB, {"notes": "before"})
        office.edit(JOB, {"title": f"poison {where}"})
        office.edit(JOB, {"title": "builds on it"})
        office.edit(JOB, {"notes": "before, after"})
        office.create(TAP, {"title": "Tap"})
        with capture_logs() as logs:
            await office.settle()
        assert [one.outcome.code for one in office.store.rejected()] == [
            "internal_error",
            "depends_on_rejected",
        ]
        assert office.store.rejected()[0].change.patches["title"].value == f"poison {where}"
        assert (office.view(JOB)["title"], office.view(JOB)["notes"]) == ("Boiler", "before, after")
        assert office.view(TAP)["title"] == "Tap"
        assert office.store.count_pending() == 0
        (failure,) = [one for one in logs if one["event"] == "change_failed"]
        assert failure["log_level"] == "error"
        assert (failure["dot"], failure["kind"]) == (f"{office.device_id}:3", "job")
        assert "bug" in failure["failure"]
        assert world.database.rows("SELECT count(*) FROM app.effects") == [(2,)]
        check(database)


async def test_where_a_consequence_fails_its_cause_is_rejected(database: Database) -> None:
    async with serving(database, Failing()) as world:
        office = world.office()
        office.create(JOB, {"title": "Boiler"})
        office.create(("note", "n1"), {"body": "x", "job_id": "boiler"})
        office.delete(JOB)
        office.create(TAP, {"title": "Tap"})
        await office.settle()
        assert [one.outcome.code for one in office.store.rejected()] == ["internal_error"]
        assert office.view(("note", "n1"))["body"] == "x"
        assert office.view(TAP)["title"] == "Tap"
        check(database)
