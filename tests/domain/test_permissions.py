"""Who may write what, role by role and field by field."""

from collections.abc import Mapping

import pytest

from rightfit_server.domain import APPLICATION, SCHEMA
from rightfit_server.domain.permissions import ASSIGNED_FIELDS
from rightfit_server.ports.application import Subject
from rightfit_sync import Change, Dot, Entity, Stamp, apply, create, delete, edit, restore
from rightfit_sync.changes import resolve
from rightfit_sync.conflicts import conflicts

STAFF = Subject("t1", "olive", frozenset({"landlord"}))
MINE = Subject("t1", "quay", frozenset({"contractor:c1"}))
STRANGER = Subject("t1", "nobody", frozenset())
STAMP = Stamp(Dot("a", 1), 9)

ORDER = {"title": "Boiler", "property_id": "p1", "contractor_id": "c1", "status": "ASSIGNED"}
SAMPLES: Mapping[str, object] = {
    "title": "Other",
    "property_id": "p2",
    "unit_id": "u1",
    "contact_id": "k1",
    "contractor_id": "c2",
    "priority": "LOW",
    "category": "heating",
    "description": "No heat",
    "status": "IN_PROGRESS",
    "completed_at": "2026-01-06T12:00:00Z",
    "signature": "Quay Plumbing",
    "opened_at": "2026-01-05T09:00:00Z",
    "due_on": "2026-01-07",
    "checklist": [{"id": "1", "text": "Drain"}],
    "notes": "Parts ordered",
    "tags": ["parts"],
    "cost_pence": 500,
    "external_ids": {"hpd": "1"},
}
"""One new value for each field of a work order."""


def entity(kind: str, wanted: Mapping[str, object]) -> Entity:
    made, _ = apply(None, create(kind, "e1", wanted, Stamp(Dot("office", 1), 1), SCHEMA), SCHEMA)
    assert made is not None
    return made


def edited(before: Entity, wanted: Mapping[str, object]) -> Change:
    change = edit(before, wanted, STAMP, SCHEMA)
    assert change is not None
    return change


def code(subject: Subject, before: Entity | None, change: Change) -> str:
    answer = APPLICATION.authorize(subject, before, change)
    return "" if answer is None else answer.code


@pytest.mark.parametrize("field", sorted(SAMPLES))
def test_a_contractor_writes_only_its_own_fields_of_its_own_work(field: str) -> None:
    before = entity("work_order", ORDER)
    change = edited(before, {field: SAMPLES[field]})
    allowed = {"checklist", "notes", "tags", "cost_pence", "status", "completed_at", "signature"}
    assert code(MINE, before, change) == ("" if field in allowed else "not_permitted")
    assert code(STAFF, before, change) == ""
    assert code(STRANGER, before, change) == "not_permitted"


def test_the_samples_cover_the_kind() -> None:
    assert set(SAMPLES) == set(SCHEMA.kinds["work_order"].fields)


def test_every_writable_name_exists() -> None:
    for kind, names in ASSIGNED_FIELDS.items():
        assert names <= {*SCHEMA.kinds[kind].fields, *SCHEMA.kinds[kind].groups}


@pytest.mark.parametrize("status", ["OPEN", "CLOSED", "CANCELLED"])
def test_the_office_opens_closes_and_cancels(status: str) -> None:
    before = entity("work_order", ORDER)
    change = edited(before, {"status": status, "completed_at": "2026-01-06T12:00:00Z"})
    assert code(MINE, before, change) == "not_permitted"
    assert code(STAFF, before, change) == ""


def test_T09_work_of_others_is_answered_like_work_that_does_not_exist() -> None:
    before = entity("work_order", {**ORDER, "contractor_id": "c2"})
    change = edited(before, {"notes": "Parts ordered"})
    answer = APPLICATION.authorize(MINE, before, change)
    _, missing = apply(None, change, SCHEMA)
    assert answer == missing


@pytest.mark.parametrize("kind", sorted(set(SCHEMA.kinds) - {"comment", "photo"}))
def test_a_contractor_adds_no_records_of_the_office(kind: str) -> None:
    change = Change(Dot("a", 1), kind, "e1", "create")
    assert code(MINE, None, change) == "not_permitted"
    assert code(STAFF, None, change) == ""


def test_a_contractor_neither_deletes_nor_restores_work() -> None:
    before = entity("work_order", ORDER)
    assert code(MINE, before, delete(before, STAMP)) == "not_permitted"
    assert code(MINE, before, restore(before, STAMP)) == "not_permitted"


def test_a_contractor_may_resolve_what_it_may_write() -> None:
    seen = entity("work_order", {**ORDER, "notes": "The red door"})
    one = edit(seen, {"notes": "The green door"}, Stamp(Dot("a", 1), 2), SCHEMA)
    two = edit(seen, {"notes": "The blue door"}, Stamp(Dot("b", 1), 3), SCHEMA)
    assert one is not None
    assert two is not None
    both, _ = apply(apply(seen, one, SCHEMA)[0], two, SCHEMA)
    assert both is not None
    (found,) = conflicts(both, SCHEMA)
    change = resolve(both, found, "The blue door", Stamp(Dot("a", 2), 4), SCHEMA)
    assert code(MINE, both, change) == ""


def test_comments_are_under_ones_own_name() -> None:
    said = {"work_order_id": "w1", "author_id": "quay", "body": "On my way"}
    assert code(MINE, None, create("comment", "e1", said, STAMP, SCHEMA)) == ""
    forged = create("comment", "e1", {**said, "author_id": "olive"}, STAMP, SCHEMA)
    assert code(MINE, None, forged) == "not_permitted"
    about_nothing = create("comment", "e1", {"author_id": "quay", "body": "Hello"}, STAMP, SCHEMA)
    assert code(MINE, None, about_nothing) == "not_permitted"


def test_an_author_may_correct_and_take_back() -> None:
    own = entity("comment", {"work_order_id": "w1", "author_id": "quay", "body": "On my way"})
    assert code(MINE, own, edited(own, {"body": "On our way"})) == ""
    assert code(MINE, own, delete(own, STAMP)) == ""
    assert code(MINE, own, edited(own, {"work_order_id": "w2"})) == "not_permitted"
    others = entity("comment", {"work_order_id": "w1", "author_id": "olive", "body": "When?"})
    assert code(MINE, others, edited(others, {"body": "Never"})) == "not_permitted"
    assert code(MINE, others, delete(others, STAMP)) == "not_permitted"


def test_lent_records_are_read_only() -> None:
    before = entity("property", {"street": "Quay Road"})
    assert code(MINE, before, edited(before, {"street": "Key Road"})) == "not_permitted"


def test_an_edit_of_nothing_is_left_to_apply() -> None:
    change = edited(entity("work_order", ORDER), {"notes": "Parts"})
    assert APPLICATION.authorize(MINE, None, change) is None
