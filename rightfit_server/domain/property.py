"""A property: one building that the landlord is answerable for."""

import datetime as dt
from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import group, kind, merge


@kind(
    "property",
    audience=["landlord"],
    groups={
        "address": group("house_number", "street", "city", "postcode"),
        "location": group("latitude", "longitude"),
    },
)
class Property(msgspec.Struct):
    """Lent to a contractor by the work orders, certificates and inspections that are the contractor's."""

    house_number: Annotated[
        str | None, why("Half of one correction and half of another is an address nobody wrote.")
    ] = None
    street: Annotated[str | None, why("As the house number.")] = None
    city: Annotated[str | None, why("As the house number.")] = None
    postcode: Annotated[str | None, why("As the house number.")] = None
    latitude: Annotated[
        float | None, why("A point is two numbers: both are one person's, or it is elsewhere.")
    ] = None
    longitude: Annotated[float | None, why("As the latitude.")] = None
    name: Annotated[str | None, why("Two names given at once are a question for people.")] = None
    registration_number: Annotated[
        str | None, merge("once"), why("An authority gave it; a second one must be looked into.")
    ] = None
    registered_until: Annotated[
        dt.date | None,
        merge("maximum"),
        why("A renewal is never undone by an older reading."),
    ] = None
    storeys: Annotated[int | None, why("A fact: two readings that differ want a third.")] = None
    tags: Annotated[set[str], why("Each label comes and goes by itself.")] = set()
    notes: Annotated[str, merge("text"), why("Access notes grow by sentences from several people.")] = ""
    external_ids: Annotated[
        dict[str, str], merge("map"), why("Each register has its own number for the building.")
    ] = {}
