"""A contractor: a firm (or person) that does work, and the tag `contractor:<id>` that its people hold."""

from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import group, kind, merge, ref


@kind(
    "contractor",
    audience=["landlord"],
    groups={"business_address": group("house_number", "street", "city", "postcode")},
)
class Contractor(msgspec.Struct):
    """Lent to its own people by the work orders that are assigned to it."""

    name: Annotated[str, why("A firm's name goes on invoices: two at once are a question.")]
    property_id: Annotated[
        str | None,
        ref("property", on_delete="set_null"),
        why("The building it is registered for; the firm outlives that contract."),
    ] = None
    role: Annotated[str | None, why("Agent, owner, site manager: one at a time.")] = None
    house_number: Annotated[str | None, why("An address is right as a whole or wrong as a whole.")] = None
    street: Annotated[str | None, why("As the house number.")] = None
    city: Annotated[str | None, why("As the house number.")] = None
    postcode: Annotated[str | None, why("As the house number.")] = None
    phone: Annotated[str | None, why("A wrong number costs an emergency, so people choose.")] = None
    email: Annotated[str | None, why("As the phone.")] = None
    trades: Annotated[set[str], why("Gas and electric are learnt one by one.")] = set()
    notes: Annotated[str, merge("text"), why("Opinions of several people, sentence by sentence.")] = ""
    external_ids: Annotated[
        dict[str, str], merge("map"), why("Each register has its own number for the firm.")
    ] = {}
