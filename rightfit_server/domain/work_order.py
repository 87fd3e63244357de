"""A work order: one job at one property, from the report to the signature."""

import datetime as dt
from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_server.domain.workflow import PRIORITY_LADDER, STATUS_TRANSITIONS, Priority, Status
from rightfit_sync.schema.declare import group, invariant, kind, merge, ref


class ChecklistItem(msgspec.Struct):
    """One step of the job; its id and position are the list's."""

    text: Annotated[str, why("The wording of a step is short: two at once are a question.")] = ""
    done: Annotated[bool, why("Ticked and not ticked at once: somebody has to look.")] = False
    reading: Annotated[str | None, why("A measured value; two differing ones both matter.")] = None


@kind(
    "work_order",
    audience=["landlord", "contractor:{contractor_id}"],
    groups={"completion": group("status", "completed_at", "signature", lead="status")},
    invariants={
        "completed_after_opened": invariant("ordered", "opened_at", "completed_at"),
        "done_has_a_time": invariant("requires", "status", "completed_at", when=["DONE", "CLOSED"]),
    },
)
class WorkOrder(msgspec.Struct):
    """Seen by the landlord's staff and by the contractor that it is assigned to."""

    title: Annotated[str, why("A headline is read as a whole: two at once are a question.")]
    property_id: Annotated[
        str,
        ref("property", on_delete="restrict", lends_audience=True),
        why("A building with jobs on record stays; who has the job sees it."),
    ]
    unit_id: Annotated[
        str | None,
        ref("unit", on_delete="set_null", lends_audience=True),
        why("If the flat is gone the job is still the building's."),
    ] = None
    contact_id: Annotated[
        str | None,
        ref("contact", on_delete="set_null", lends_audience=True),
        why("Whom to call; the job outlives the tenancy."),
    ] = None
    contractor_id: Annotated[
        str | None,
        ref("contractor", on_delete="set_null", lends_audience=True),
        why("Two dispatchers who send two firms must be told, so they conflict."),
    ] = None
    priority: Annotated[
        Priority,
        merge("workflow", transitions=PRIORITY_LADDER),
        why("The more urgent stands: a needless visit costs less than a missed gas leak."),
    ] = "MEDIUM"
    category: Annotated[str | None, why("One heading for the reports, chosen by one person.")] = None
    description: Annotated[
        str, merge("text"), why("What was reported; later callers add their own sentences.")
    ] = ""
    status: Annotated[
        Status,
        merge("workflow", transitions=STATUS_TRANSITIONS),
        why("The later state stands; DONE beside CANCELLED is for people. Leads its group."),
    ] = "OPEN"
    completed_at: Annotated[
        dt.datetime | None,
        why("Belongs to the state: never one's time with the other's signature."),
    ] = None
    signature: Annotated[str | None, why("As `completed_at`: who signed, signed that state.")] = None
    opened_at: Annotated[
        dt.datetime | None,
        merge("minimum"),
        why("The first report counts: deadlines run from it."),
    ] = None
    due_on: Annotated[dt.date | None, why("A promise to a resident: two different ones are a question.")] = (
        None
    )
    checklist: Annotated[
        list[ChecklistItem], why("Each step is ticked by whoever does it; order is kept.")
    ] = []
    notes: Annotated[str, merge("text"), why("Office and contractor write in the same notes all day.")] = ""
    tags: Annotated[set[str], why("Each label comes and goes by itself.")] = set()
    cost_pence: Annotated[int, merge("counter"), why("Each adds what they spent: both sums count.")] = 0
    external_ids: Annotated[
        dict[str, str], merge("map"), why("Each register has its own number for the case.")
    ] = {}
