"""Whom a change tells something, and that it tells nobody twice."""

from collections.abc import Mapping

from rightfit_server.domain import APPLICATION, SCHEMA
from rightfit_server.ports.application import Effect
from rightfit_sync import Change, Dot, Entity, Stamp, apply, create, delete, edit

ORDER = {"title": "Boiler", "property_id": "p1"}


def after_create(kind: str, wanted: Mapping[str, object]) -> tuple[Entity, list[Effect]]:
    change = create(kind, "e1", wanted, Stamp(Dot("office", 1), 1), SCHEMA)
    return step(None, change)


def step(before: Entity | None, change: Change | None) -> tuple[Entity, list[Effect]]:
    assert change is not None
    after, _ = apply(before, change, SCHEMA)
    assert after is not None
    return after, list(APPLICATION.effects(before, after, change))


def stamp(counter: int) -> Stamp:
    return Stamp(Dot("office", counter), counter)


def test_an_emergency_that_is_nobodys_job_tells_the_office() -> None:
    _, effects = after_create("work_order", {**ORDER, "priority": "EMERGENCY"})
    assert effects == [Effect("notify_office", {"work_order_id": "e1", "priority": "EMERGENCY"})]


def test_an_assignment_tells_the_contractor_once() -> None:
    before, effects = after_create("work_order", {**ORDER, "priority": "EMERGENCY", "contractor_id": "c1"})
    told = {"work_order_id": "e1", "contractor_id": "c1", "priority": "EMERGENCY"}
    assert effects == [Effect("notify_contractor", told)]
    before, effects = step(before, edit(before, {"notes": "Hurry"}, stamp(2), SCHEMA))
    assert not effects
    _, effects = step(before, edit(before, {"contractor_id": "c2"}, stamp(3), SCHEMA))
    assert effects == [Effect("notify_contractor", {**told, "contractor_id": "c2"})]


def test_what_becomes_an_emergency_tells_the_contractor_again() -> None:
    before, effects = after_create("work_order", {**ORDER, "contractor_id": "c1"})
    assert [effect.payload["priority"] for effect in effects] == [None]
    _, effects = step(before, edit(before, {"priority": "EMERGENCY"}, stamp(2), SCHEMA))
    assert [effect.name for effect in effects] == ["notify_contractor"]


def test_a_delete_tells_nobody() -> None:
    before, _ = after_create("work_order", {**ORDER, "priority": "EMERGENCY", "contractor_id": "c1"})
    _, effects = step(before, delete(before, stamp(2)))
    assert not effects


def test_a_certificate_reminds_of_its_expiry() -> None:
    wanted = {"property_id": "p1", "type": "GAS_SAFETY", "expires_on": "2026-06-01"}
    before, effects = after_create("certificate", wanted)
    facts = {"certificate_id": "e1", "type": "GAS_SAFETY", "expires_on": "2026-06-01"}
    assert effects == [Effect("certificate_reminder", facts)]
    before, effects = step(before, edit(before, {"expires_on": "2026-01-01"}, stamp(2), SCHEMA))
    assert not effects, "an older date does not move a maximum"
    _, effects = step(before, edit(before, {"expires_on": "2027-06-01"}, stamp(3), SCHEMA))
    assert effects == [Effect("certificate_reminder", {**facts, "expires_on": "2027-06-01"})]


def test_a_photo_is_analysed_once() -> None:
    before, effects = after_create("photo", {"work_order_id": "w1", "sha256": "ab" * 32})
    assert [effect.name for effect in effects] == ["analyse_photo"]
    _, effects = step(before, edit(before, {"caption": "The valve"}, stamp(2), SCHEMA))
    assert not effects


def test_a_comment_has_no_effect() -> None:
    _, effects = after_create("comment", {"work_order_id": "w1", "author_id": "quay", "body": "Hello"})
    assert not effects
