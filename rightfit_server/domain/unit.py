"""A unit: one flat, shop or shared space of a property."""

from typing import Annotated, Literal

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import kind, merge, ref


@kind("unit", audience=["landlord"])
class Unit(msgspec.Struct):
    """Lent to a contractor by a work order in it."""

    property_id: Annotated[
        str,
        ref("property", on_delete="cascade"),
        why("A unit is a part of one building; two at once are a mistake to look at."),
    ]
    name: Annotated[str, why("What stands on the door; two different ones are a question.")] = ""
    floor: Annotated[str | None, why("A fact, corrected rarely and by one person.")] = None
    use: Annotated[
        Literal["FLAT", "SHOP", "SHARED", "OTHER"],
        why("Two classifications at once would change what the law asks: people choose."),
    ] = "FLAT"
    notes: Annotated[
        str,
        merge("text"),
        why("Where the stopcock is, which key: sentences from several people."),
    ] = ""
