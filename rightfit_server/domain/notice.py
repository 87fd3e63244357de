"""A notice: an order by an authority, such as to vacate a building."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import invariant, kind, merge, ref


@kind(
    "notice",
    audience=["landlord"],
    invariants={"rescinded_after_effect": invariant("ordered", "effective_on", "rescinded_on")},
)
class Notice(msgspec.Struct):
    """Seen by the landlord's staff."""

    property_id: Annotated[
        str,
        ref("property", on_delete="restrict"),
        why("An order against a building cannot be lost with the building's record."),
    ]
    number: Annotated[
        str | None, merge("once"), why("The authority gave it; another number is another order.")
    ] = None
    reason: Annotated[str | None, why("A legal word: two at once are a question.")] = None
    extent: Annotated[
        Literal["PARTIAL", "ENTIRE"],
        merge("workflow", transitions={"PARTIAL": ["ENTIRE"]}),
        why("The wider order stands: safety first."),
    ] = "PARTIAL"
    effective_on: Annotated[dt.date | None, merge("minimum"), why("In doubt it was in force already.")] = None
    rescinded_on: Annotated[
        dt.date | None,
        why("Two different days of release: somebody must read the letter."),
    ] = None
    units_vacated: Annotated[int | None, merge("maximum"), why("In doubt more people had to leave.")] = None
    notes: Annotated[str, merge("text"), why("A diary of several people.")] = ""
