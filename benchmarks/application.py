"""The application that the benchmarks serve: one kind, with the merge policies that a real one would choose.

| field | policy | why |
|---|---|---|
| title, property_id, contractor_id, due_date | register | two different ones are a question for people |
| description | text | several people add their sentences |
| status, priority | workflow | the later state, the greater urgency stands |
| cost | counter | each adds what they spent |
| tags | set | each label comes and goes by itself |
| updated_at | maximum | the last one counts |

Everybody with the tag `office` sees and changes everything, as in the peers' benchmarks.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from benchmarks.workload import KIND, PRIORITIES, STATUSES
from rightfit_server.ports.application import Application, Effect, Subject
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.declare import declare, kind, merge
from rightfit_sync.schema.spec import Schema

OFFICE = "office"
_STEPS = {before: [after] for before, after in pairwise(STATUSES[:-1])}
TRANSITIONS = {before: [*after, "cancelled"] for before, after in _STEPS.items()}
LADDER = {before: [after] for before, after in pairwise(PRIORITIES)}


@kind(KIND, audience=[OFFICE])
class WorkOrder(msgspec.Struct):
    title: str
    description: Annotated[str, merge("text")]
    status: Annotated[
        Literal["new", "triaged", "quoted", "approved", "scheduled", "in_progress", "done", "cancelled"],
        merge("workflow", transitions=TRANSITIONS),
    ]
    priority: Annotated[Literal["low", "normal", "high", "emergency"], merge("workflow", transitions=LADDER)]
    property_id: str
    contractor_id: str | None
    due_date: dt.date
    cost: Annotated[int, merge("counter")]
    tags: set[str]
    updated_at: Annotated[dt.datetime, merge("maximum")]


SCHEMA = declare(1, WorkOrder)


class Benchmark:
    """See `rightfit_server.ports.application.Application` for the contract."""

    @property
    def schema(self) -> Schema:
        return SCHEMA

    @property
    def roles(self) -> Mapping[str, Sequence[str]]:
        return {OFFICE: [OFFICE]}

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        return None

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        return []


APPLICATION: Application = Benchmark()
