"""A photo: what is known about a picture. The picture itself is an attachment and travels apart."""

import datetime as dt
from typing import Annotated

import msgspec

from rightfit_server.domain.reasons import why
from rightfit_sync.schema.declare import kind, merge, ref


@kind("photo", audience=["landlord"])
class Photo(msgspec.Struct):
    """Seen by whoever sees the work order or inspection that it belongs to."""

    work_order_id: Annotated[
        str | None,
        ref("work_order", on_delete="cascade", inherits_audience=True),
        why("A picture of a job goes with the job."),
    ] = None
    inspection_id: Annotated[
        str | None,
        ref("inspection", on_delete="cascade", inherits_audience=True),
        why("A picture of a finding goes with the inspection."),
    ] = None
    taken_by: Annotated[
        str | None, merge("once"), why("Who took it is a fact of the moment it was taken.")
    ] = None
    taken_at: Annotated[dt.datetime | None, merge("once"), why("As `taken_by`.")] = None
    sha256: Annotated[
        str | None,
        merge("once"),
        why("Another digest is another picture, and needs a record of its own."),
    ] = None
    content_type: Annotated[str | None, merge("once"), why("As the digest.")] = None
    size_bytes: Annotated[int | None, merge("once"), why("As the digest.")] = None
    caption: Annotated[str, merge("text"), why("The office completes what the contractor began.")] = ""
    labels: Annotated[
        list[str], merge("server"), why("Written by the analysis alone, so nobody can forge it.")
    ] = []
