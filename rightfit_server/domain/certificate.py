"""A certificate: proof, for a time, that a property meets a duty of the law."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import invariant, kind, merge, ref


@kind(
    "certificate",
    audience=["landlord", "contractor:{contractor_id}"],
    invariants={"expires_after_issue": invariant("ordered", "issued_on", "expires_on")},
)
class Certificate(msgspec.Struct):
    """Gas safety, electrical installation (EICR), energy (EPC), legionella, fire alarm."""

    property_id: Annotated[
        str,
        ref("property", on_delete="restrict", lends_audience=True),
        why("Evidence must not vanish with a click on the building."),
    ]
    type: Annotated[
        Literal["GAS_SAFETY", "EICR", "EPC", "LEGIONELLA", "FIRE_ALARM"],
        merge("once"),
        why("A certificate of another type is another certificate."),
    ]
    unit_id: Annotated[
        str | None,
        ref("unit", on_delete="set_null", lends_audience=True),
        why("Evidence outlives the flat's record."),
    ] = None
    contractor_id: Annotated[
        str | None,
        ref("contractor", on_delete="set_null", lends_audience=True),
        why("Who issued it; two answers are a question."),
    ] = None
    number: Annotated[
        str | None,
        merge("once"),
        why("Printed on the paper: a second number means a second paper."),
    ] = None
    result: Annotated[str | None, why("`Satisfactory` beside `unsafe` must never settle itself.")] = None
    issued_on: Annotated[dt.date | None, merge("maximum"), why("A renewal moves it on, with the expiry.")] = (
        None
    )
    expires_on: Annotated[
        dt.date | None,
        merge("maximum"),
        why("A renewal is never undone by an older reading."),
    ] = None
    notes: Annotated[
        str,
        merge("text"),
        why("Remarks of the engineer and of the office, sentence by sentence."),
    ] = ""
