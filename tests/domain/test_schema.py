"""RightFit's kinds merge as property maintenance needs it, through the core's own `apply`."""

from collections.abc import Mapping

import msgspec
import pytest

from rightfit_server.domain.schema import SCHEMA
from rightfit_server.domain.workflow import PRIORITY_LADDER, STATUS_TRANSITIONS
from rightfit_sync import Dot, Entity, Schema, Stamp, apply, conflicts, create, edit, view
from rightfit_sync.audience import own_tags

START: Mapping[str, Mapping[str, object]] = {
    "work_order": {
        "title": "Boiler",
        "property_id": "p1",
        "status": "ASSIGNED",
        "opened_at": "2026-01-05T09:00:00Z",
        "notes": "No heat in flat 2.",
        "cost_pence": 1000,
        "tags": ["gas"],
        "checklist": [{"id": "1", "position": "V", "text": "Isolate", "done": False}],
    },
    "certificate": {"property_id": "p1", "type": "GAS_SAFETY", "expires_on": "2026-06-01"},
    "property": {"house_number": "1", "street": "Quay Road", "city": "Portwick", "postcode": "PW1 1AA"},
    "notice": {"property_id": "p1", "extent": "PARTIAL", "effective_on": "2026-02-01"},
}


def start(kind: str) -> Entity:
    made, _ = apply(None, create(kind, "e1", START[kind], Stamp(Dot("office", 1), 1), SCHEMA), SCHEMA)
    assert made is not None
    return made


def meet(
    kind: str, left: Mapping[str, object], right: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    """What comes of two concurrent edits, in either order, with the paths in conflict."""
    seen = start(kind)
    a = edit(seen, left, Stamp(Dot("a", 1), 2), SCHEMA)
    b = edit(seen, right, Stamp(Dot("b", 1), 3), SCHEMA)
    assert a is not None
    assert b is not None
    one, _ = apply(apply(seen, a, SCHEMA)[0], b, SCHEMA)
    two, _ = apply(apply(seen, b, SCHEMA)[0], a, SCHEMA)
    assert one == two
    assert one is not None
    return view(one, SCHEMA), [conflict.path for conflict in conflicts(one, SCHEMA)]


def test_the_schema_travels_as_json() -> None:
    sent = msgspec.json.encode(SCHEMA)
    assert msgspec.json.encode(msgspec.json.decode(sent, type=Schema)) == sent


@pytest.mark.parametrize(
    ("kind", "left", "right", "field", "expected"),
    [
        ("work_order", {"priority": "HIGH"}, {"priority": "EMERGENCY"}, "priority", "EMERGENCY"),
        ("work_order", {"cost_pence": 1500}, {"cost_pence": 1300}, "cost_pence", 1800),
        ("work_order", {"tags": ["gas", "urgent"]}, {"tags": []}, "tags", ["urgent"]),
        ("work_order", {"status": "IN_PROGRESS"}, {"status": "CANCELLED"}, "status", "CANCELLED"),
        (
            "work_order",
            {"notes": "No heat in flat 2. Key at no. 9."},
            {"notes": "No heat or light in flat 2."},
            "notes",
            "No heat or light in flat 2. Key at no. 9.",
        ),
        (
            "certificate",
            {"expires_on": "2027-06-01"},
            {"expires_on": "2026-12-01"},
            "expires_on",
            "2027-06-01",
        ),
        ("notice", {"extent": "ENTIRE"}, {"units_vacated": 4}, "extent", "ENTIRE"),
    ],
)
def test_what_can_merge_merges(
    kind: str, left: Mapping[str, object], right: Mapping[str, object], field: str, expected: object
) -> None:
    shown, paths = meet(kind, left, right)
    assert shown[field] == expected
    assert not paths


@pytest.mark.parametrize(
    ("kind", "left", "right", "path"),
    [
        ("work_order", {"title": "Boiler leaks"}, {"title": "Boiler drips"}, "title"),
        ("work_order", {"contractor_id": "c1"}, {"contractor_id": "c2"}, "contractor_id"),
        ("property", {"street": "Key Road"}, {"postcode": "PW1 1AB"}, "address"),
        ("certificate", {"number": "GS-1"}, {"number": "GS-2"}, "number"),
        (
            "work_order",
            {"status": "DONE", "completed_at": "2026-01-06T12:00:00Z", "signature": "Quay Plumbing"},
            {"status": "CANCELLED"},
            "completion",
        ),
    ],
)
def test_what_people_must_decide_is_a_conflict(
    kind: str, left: Mapping[str, object], right: Mapping[str, object], path: str
) -> None:
    _, paths = meet(kind, left, right)
    assert paths == [path]


def test_two_ends_of_a_job_never_mix() -> None:
    shown, paths = meet(
        "work_order",
        {"status": "DONE", "completed_at": "2026-01-06T12:00:00Z", "signature": "Quay Plumbing"},
        {"status": "IN_PROGRESS"},
    )
    assert not paths
    assert (shown["status"], shown["signature"]) == ("DONE", "Quay Plumbing")


def test_two_contractors_tick_one_checklist() -> None:
    ticked = [{"id": "1", "text": "Isolate", "done": True}]
    longer = [{"id": "1", "text": "Isolate", "done": False}, {"id": "2", "text": "Drain", "done": False}]
    shown, paths = meet("work_order", {"checklist": ticked}, {"checklist": longer})
    assert not paths
    items = shown["checklist"]
    assert isinstance(items, list)
    assert [(item["text"], item["done"]) for item in items] == [("Isolate", True), ("Drain", False)]


def test_a_job_done_before_it_was_opened_is_a_conflict() -> None:
    early = {"status": "DONE", "completed_at": "2026-01-04T12:00:00Z"}
    changed = edit(start("work_order"), early, Stamp(Dot("a", 1), 2), SCHEMA)
    assert changed is not None
    after, outcome = apply(start("work_order"), changed, SCHEMA)
    assert after is not None
    assert list(outcome.paths) == ["completed_after_opened"]


def test_done_needs_a_time() -> None:
    changed = edit(start("work_order"), {"status": "DONE"}, Stamp(Dot("a", 1), 2), SCHEMA)
    assert changed is not None
    _, outcome = apply(start("work_order"), changed, SCHEMA)
    assert list(outcome.paths) == ["done_has_a_time"]


def test_a_contractor_sees_what_is_assigned_to_it() -> None:
    order = start("work_order")
    assert own_tags(order, SCHEMA) == {"landlord"}
    assigned = edit(order, {"contractor_id": "c1"}, Stamp(Dot("a", 1), 2), SCHEMA)
    assert assigned is not None
    after, _ = apply(order, assigned, SCHEMA)
    assert after is not None
    assert own_tags(after, SCHEMA) == {"landlord", "contractor:c1"}


def test_the_ladders_name_only_states_that_exist() -> None:
    for ladder, field in ((STATUS_TRANSITIONS, "status"), (PRIORITY_LADDER, "priority")):
        known = set(SCHEMA.kinds["work_order"].fields[field].choices)
        assert {*ladder, *(state for following in ladder.values() for state in following)} <= known
