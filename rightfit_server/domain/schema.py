"""RightFit's schema: its kinds, each after those that it refers to. docs/reference/domain.md shows them."""

from collections.abc import Mapping

import msgspec

from rightfit_server.domain.certificate import Certificate
from rightfit_server.domain.comment import Comment
from rightfit_server.domain.contact import Contact
from rightfit_server.domain.contractor import Contractor
from rightfit_server.domain.inspection import Inspection
from rightfit_server.domain.notice import Notice
from rightfit_server.domain.photo import Photo
from rightfit_server.domain.property import Property
from rightfit_server.domain.unit import Unit
from rightfit_server.domain.work_order import WorkOrder
from rightfit_sync.schema.declare import declare

SCHEMA_VERSION = 1
"""Grows by one with every published change of a kind."""

CLASSES: tuple[type[msgspec.Struct], ...] = (
    Property,
    Unit,
    Contact,
    Contractor,
    WorkOrder,
    Certificate,
    Inspection,
    Photo,
    Comment,
    Notice,
)

SCHEMA = declare(SCHEMA_VERSION, *CLASSES)

KINDS: Mapping[str, type[msgspec.Struct]] = dict(zip(SCHEMA.kinds, CLASSES, strict=True))
"""`{kind: class}`."""
