"""A contact: whom to call to get in: a resident, a key holder, a managing agent."""

from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import kind, merge, ref


@kind("contact", audience=["landlord"])
class Contact(msgspec.Struct):
    """Personal data: lent to a contractor only by a work order that names it."""

    property_id: Annotated[
        str | None,
        ref("property", on_delete="cascade"),
        why("Without the building nobody needs the person's number any more."),
    ] = None
    name: Annotated[str, why("Two spellings at once: somebody knows which is right.")] = ""
    phone: Annotated[str | None, why("A wrong number wastes a visit, so people choose.")] = None
    email: Annotated[str | None, why("As the phone.")] = None
    notes: Annotated[
        str, merge("text"), why("`Knock loudly` and `not before ten` can stand side by side.")
    ] = ""
