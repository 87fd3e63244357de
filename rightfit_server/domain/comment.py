"""A comment: what one person said about a work order."""

import datetime as dt
from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import kind, merge, ref


@kind("comment", audience=["landlord"])
class Comment(msgspec.Struct):
    """Seen by whoever sees its work order."""

    work_order_id: Annotated[
        str,
        ref("work_order", on_delete="cascade", inherits_audience=True),
        why("A remark about nothing is of no use."),
    ]
    author_id: Annotated[str, merge("once"), why("Nobody may put words into another's mouth.")]
    body: Annotated[str, merge("text"), why("One author, two devices: both corrections count.")] = ""
    written_on: Annotated[dt.datetime | None, merge("once"), why("When it was said does not change.")] = None
