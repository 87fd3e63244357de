"""Violations, complaints and emergency repairs: all of them become work orders.

| file | state | priority |
|---|---|---|
| violations | `Close` is CLOSED, else OPEN | class A is LOW, B MEDIUM, C (a hazard) EMERGENCY |
| complaints | `CLOSE` is CLOSED, else OPEN | immediate emergency EMERGENCY, emergency HIGH, else MEDIUM |
| repairs (OMO) | completed is CLOSED, no access ON_HOLD, awarded IN_PROGRESS, else OPEN | HIGH; its cost |
"""

from collections.abc import Mapping

from rightfit_server.domain.hpd.buildings import Buildings
from rightfit_server.domain.hpd.record import Record, entity_id, filled
from rightfit_server.domain.hpd.rows import Row, at_midnight
from rightfit_sync.values import Value

TITLE_LENGTH = 80
_CLASSES = {"A": "LOW", "B": "MEDIUM", "C": "EMERGENCY"}
_COMPLAINTS = {"IMMEDIATE EMERGENCY": "EMERGENCY", "EMERGENCY": "HIGH"}


def violation(row: Row, buildings: Buildings) -> Record:
    """Return the work order of one violation."""
    number = row.text("violationid") or f"{row.source}:{row.line}"
    grade = row.text("class")
    tags = [f"class-{grade.lower()}"] if grade else []
    tags += ["rent-impairing"] if row.text("rentimpairing") == "Y" else []
    values = filled(
        title=_shortened(row.text("novdescription") or f"Violation {number}"),
        description=row.text("novdescription"),
        category="violation",
        priority=_CLASSES.get(grade or "", "MEDIUM"),
        opened_at=at_midnight(row.date("inspectiondate")),
        due_on=row.date("originalcorrectbydate"),
        notes=row.text("currentstatus"),
        tags=tags,
        external_ids=filled(
            hpd_violation=number, hpd_nov=row.text("novid"), hpd_order=row.text("ordernumber")
        ),
    )
    closed_on = row.date("currentstatusdate") or row.date("certifieddate")
    ended = _ended(row.text("violationstatus") == "Close", closed_on)
    return _work_order(row, buildings, "violation", number, {**values, **ended})


def complaint(row: Row, buildings: Buildings) -> Record:
    """Return the work order of one problem of a complaint."""
    number = row.text("problemid") or f"{row.source}:{row.line}"
    words = [row.text(name) for name in ("majorcategory", "minorcategory", "problemcode", "spacetype")]
    sentence = ", ".join(word.capitalize() for word in words if word)
    values = filled(
        title=_shortened(sentence or f"Complaint {number}"),
        description=sentence,
        category="complaint",
        priority=_COMPLAINTS.get(row.text("type") or "", "MEDIUM"),
        opened_at=at_midnight(row.date("receiveddate")),
        notes=row.text("statusdescription"),
        external_ids=filled(hpd_problem=number, hpd_complaint=row.text("complaintid")),
    )
    ended = _ended(row.text("problemstatus") == "CLOSE", row.date("problemstatusdate"))
    return _work_order(row, buildings, "complaint", number, {**values, **ended})


def repair(row: Row, buildings: Buildings) -> Record:
    """Return the work order of one emergency repair, with what was awarded for it."""
    number = row.text("omonumber", "omoid") or f"{row.source}:{row.line}"
    awarded_on = row.date("omoawarddate")
    reason = row.text("omostatusreason")
    values = filled(
        title=_shortened(row.text("omodescription") or f"Repair {number}"),
        description=row.text("omodescription"),
        category="repair",
        priority="HIGH",
        opened_at=at_midnight(row.date("omocreatedate")),
        cost_pence=round((row.number("omoawardamount") or 0) * 100) or None,
        tags=[word.lower() for word in [row.text("worktypegeneral")] if word],
        notes=reason,
        external_ids=filled(hpd_omo=number),
    )
    state: dict[str, Value] = {"status": "IN_PROGRESS" if awarded_on else "OPEN"}
    if reason == "No Access":
        state = {"status": "ON_HOLD"}
    if reason == "OMO Completed":
        state = _ended(True, awarded_on or row.date("omocreatedate"))
    return _work_order(row, buildings, "repair", number, {**values, **state})


def _work_order(
    row: Row, buildings: Buildings, what: str, number: str, values: Mapping[str, Value]
) -> Record:
    places = filled(property_id=buildings.property_of(row), unit_id=buildings.unit_of(row))
    source = f"{row.source}:{row.line}"
    return Record("work_order", entity_id("work_order", what, number), {**places, **values}, source)


def _ended(is_closed: bool, on: str | None) -> dict[str, Value]:
    if not is_closed or on is None:
        return {"status": "OPEN"}
    return {"status": "CLOSED", "completed_at": at_midnight(on)}


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= TITLE_LENGTH else f"{sentence[: TITLE_LENGTH - 1].rstrip()}…"
