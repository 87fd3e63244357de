"""An inspection: a visit that was planned, what was found, and how it ended."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import group, invariant, kind, merge, ref

STATE_TRANSITIONS = {"PLANNED": ["NO_ACCESS", "DONE", "CANCELLED"], "NO_ACCESS": ["DONE", "CANCELLED"]}


class Finding(msgspec.Struct):
    """One thing found in one place."""

    place: Annotated[str, why("Short, and read as a whole.")] = ""
    text: Annotated[str, why("One inspector's words on one thing.")] = ""
    severity: Annotated[
        Literal["NOTE", "REPAIR", "DANGER"], why("NOTE beside DANGER: somebody has to look.")
    ] = "NOTE"


@kind(
    "inspection",
    audience=["landlord", "contractor:{contractor_id}"],
    groups={"outcome": group("state", "inspected_at", "signature", lead="state")},
    invariants={"done_has_a_time": invariant("requires", "state", "inspected_at", when=["DONE"])},
)
class Inspection(msgspec.Struct):
    """Seen by the landlord's staff and by the contractor that inspects."""

    property_id: Annotated[
        str,
        ref("property", on_delete="restrict", lends_audience=True),
        why("What was found stays on record, so the building does."),
    ]
    unit_id: Annotated[
        str | None,
        ref("unit", on_delete="set_null", lends_audience=True),
        why("The finding outlives the flat's record."),
    ] = None
    contractor_id: Annotated[
        str | None,
        ref("contractor", on_delete="set_null", lends_audience=True),
        why("Two inspectors sent at once must be told."),
    ] = None
    purpose: Annotated[str, why("A headline: two at once are a question.")] = ""
    planned_on: Annotated[dt.date | None, why("A promise to a resident: two dates are a question.")] = None
    state: Annotated[
        Literal["PLANNED", "NO_ACCESS", "DONE", "CANCELLED"],
        merge("workflow", transitions=STATE_TRANSITIONS),
        why("The later state stands; DONE beside CANCELLED is for people. Leads its group."),
    ] = "PLANNED"
    inspected_at: Annotated[dt.datetime | None, why("Belongs to the state.")] = None
    signature: Annotated[str | None, why("Belongs to the state.")] = None
    findings: Annotated[list[Finding], why("Each finding is its own; two inspectors fill one list.")] = []
    notes: Annotated[str, merge("text"), why("Remarks from both, sentence by sentence.")] = ""
