"""A small application for the server's tests: sites, jobs on them, notes on those, contacts. Nothing of
RightFit's own.

The office sees everything. A contractor sees its jobs, the sites that those lend, the notes that inherit
from them, and may change jobs and notes.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated

import msgspec

from rightfit_server.ports.application import Effect, Subject
from rightfit_sync.records import Change, Entity, Outcome, rejected
from rightfit_sync.schema.declare import declare, group, kind, merge, ref
from rightfit_sync.schema.spec import Schema


@kind("site", audience=["office"])
class Site(msgspec.Struct):
    """A place."""

    name: str


@kind(
    "job",
    audience=["office", "contractor:{contractor}"],
    groups={"completion": group("status", "signature", lead="status")},
)
class Job(msgspec.Struct):
    """Something to do there, with a field of every sort."""

    title: str
    notes: Annotated[str, merge("text")] = ""
    cost_pence: Annotated[int, merge("counter")] = 0
    tags: set[str] = set()
    due: date | None = None
    price: float | None = None
    done: bool | None = None
    contractor: str | None = None
    site_id: Annotated[str | None, ref("site", on_delete="restrict", lends_audience=True)] = None
    status: Annotated[str, merge("workflow", transitions={"OPEN": ["DONE"]})] = "OPEN"
    signature: str | None = None
    analysis: Annotated[str | None, merge("server")] = None


@kind("note")
class Note(msgspec.Struct):
    """A remark on a job: goes with it, and is seen by whoever sees it."""

    body: str
    job_id: Annotated[str | None, ref("job", on_delete="cascade", inherits_audience=True)] = None


@kind("contact", audience=["office"])
class Contact(msgspec.Struct):
    """Somebody at a site."""

    name: str
    site_id: Annotated[str | None, ref("site", on_delete="set_null")] = None


SCHEMA = declare(1, Site, Job, Note, Contact)


class TestApplication:
    """See the module's docstring."""

    __test__ = False

    def __init__(self, schema: Schema = SCHEMA) -> None:
        self._schema = schema

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def roles(self) -> Mapping[str, Sequence[str]]:
        return {"office": ["office"], "contractor": ["contractor:{subject_id}"]}

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        if "office" in subject.tags or change.kind in ("job", "note"):
            return None
        return rejected("not_permitted", f"only the office changes a {change.kind}: ask them")

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        if change.kind == "job" and before is None:
            return [Effect("tell_contractor", {"entity_id": after.entity_id})]
        return []


APPLICATION = TestApplication()
