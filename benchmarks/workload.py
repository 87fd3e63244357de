"""The records that everything here is measured with: work orders of about 500 bytes of JSON, from a seed.

Ids are random (they do not compress), words come from a small vocabulary (they do). The same seed gives the same
records. W1 to W8 are described in docs/explanation/performance.md.
"""

import datetime as dt
import random
import uuid

import msgspec

KIND = "work_order"
STATUSES = ("new", "triaged", "quoted", "approved", "scheduled", "in_progress", "done", "cancelled")
PRIORITIES = ("low", "normal", "high", "emergency")
TAGS = ("plumbing", "electrical", "gas", "roofing", "joinery", "decorating", "pest", "safety")
PROPERTIES, CONTRACTORS = 500, 60
TITLE_LENGTH, DESCRIPTION_LENGTH = 40, 200

_VOCABULARY = """
boiler leak tap kitchen bathroom window frame roof tile gutter drain socket light switch fuse door lock hinge
paint wall damp mould radiator valve pressure heating thermostat carpet floor stair rail alarm smoke detector garden
fence gate bin pest shower seal tenant reported urgent inspect replace repair quote access key landlord agreed visit
morning afternoon noise water pipe burst ceiling
"""
_WORDS = _VOCABULARY.split()


class Record(msgspec.Struct, frozen=True):
    """One work order as an application would hold it; `msgspec.json.encode` gives its JSON."""

    id: str
    title: str
    description: str
    status: str
    priority: str
    property_id: str
    contractor_id: str | None
    due_date: dt.date
    cost: int
    tags: list[str]
    updated_at: dt.datetime

    def values(self) -> dict[str, object]:
        """Return its fields but for the id, as the SDK takes them."""
        return {name: getattr(self, name) for name in FIELDS}

    def columns(self) -> tuple[object, ...]:
        """Return its eleven columns as a plain SQLite table holds them."""
        tags = msgspec.json.encode(self.tags).decode()
        return (
            *(self.id, self.title, self.description, self.status, self.priority, self.property_id),
            *(self.contractor_id, self.due_date.isoformat(), self.cost, tags, self.updated_at.isoformat()),
        )


COLUMNS = Record.__struct_fields__
FIELDS = COLUMNS[1:]
COLUMN_TYPES = (
    "uuid",
    "text",
    "text",
    "text",
    "text",
    "uuid",
    "uuid",
    "date",
    "int",
    "text[]",
    "timestamptz",
)
"""What PostgreSQL calls them."""


def records(count: int, seed: int = 42) -> list[Record]:
    """Return `count` records; they are the same for the same seed."""
    draw = random.Random(seed)
    properties = [_id(draw) for _ in range(PROPERTIES)]
    contractors = [_id(draw) for _ in range(CONTRACTORS)]
    return [_record(draw, properties, contractors) for _ in range(count)]


def _record(draw: random.Random, properties: list[str], contractors: list[str]) -> Record:
    return Record(
        id=_id(draw),
        title=_text(draw, TITLE_LENGTH),
        description=_text(draw, DESCRIPTION_LENGTH),
        status=draw.choice(STATUSES),
        priority=draw.choice(PRIORITIES),
        property_id=draw.choice(properties),
        contractor_id=None if draw.random() < 0.4 else draw.choice(contractors),
        due_date=dt.date(2026, 1, 1) + dt.timedelta(days=draw.randrange(365)),
        cost=draw.randrange(500_000),
        tags=sorted(draw.sample(TAGS, draw.randrange(4))),
        updated_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=draw.randrange(40_320)),
    )


def _id(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _text(draw: random.Random, length: int) -> str:
    text = draw.choice(_WORDS)
    while len(text) < length:
        text += " " + draw.choice(_WORDS)
    return text[:length].rstrip()
