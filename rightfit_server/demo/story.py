"""The story: an office and two contractors work on one set of records, mostly at once and offline.

Each step is a function that says what happens (`tell`) and does it; `play` is the order. The records may be
anybody's: the story needs a dozen open work orders, whichever they are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rightfit_server.demo.evidence import Key
from rightfit_server.demo.person import Person
from rightfit_server.domain.hpd.plan import Plan
from rightfit_server.domain.hpd.record import entity_id
from rightfit_sync.errors import RightFitError
from rightfit_sync.values import Value

Tell = Callable[[str], None]

PLUMBER_ID = entity_id("contractor", "demo", "plumber")
ELECTRICIAN_ID = entity_id("contractor", "demo", "electrician")
JOBS_OF_PLUMBER = 7
JOBS_OF_ELECTRICIAN = 4


class Cast(NamedTuple):
    """Who takes part."""

    office: Person
    plumber: Person
    electrician: Person


class Jobs(msgspec.Struct, frozen=True):
    """The work orders that the story is about, by contractor."""

    plumber: Sequence[Key]
    electrician: Sequence[Key]


def play(cast: Cast, plan: Plan, tell: Tell) -> None:
    """Play everything, up to the last sync."""
    take_stock(cast, plan, tell)
    jobs = hand_out_jobs(cast, plan, tell)
    go_offline(cast, tell)
    work_side_by_side(cast, jobs, tell)
    disagree(cast, jobs, tell)
    finish_and_photograph(cast, jobs, tell)
    overstep(cast, jobs, tell)
    come_back(cast, tell)
    settle_offline(cast, tell)


def take_stock(cast: Cast, plan: Plan, tell: Tell) -> None:
    """The office imports its records."""
    office = cast.office
    with office.batch():
        for record in plan.records:
            office.insert(record.kind, record.values, record.entity_id)
    office.sync()
    tell(f"The office imports {sum(plan.rows.values())} rows as records: {_counted(plan.counts())}.")
    tell(f"{plan.placeholders} properties are placeholders: no line of the files is about them alone.")


def hand_out_jobs(cast: Cast, plan: Plan, tell: Tell) -> Jobs:
    """The office takes on two contractors and gives each some open jobs."""
    office = cast.office
    firms = ((PLUMBER_ID, "Quayside Plumbing", "gas"), (ELECTRICIAN_ID, "Brightspark Electrical", "electric"))
    for name, title, trade in firms:
        office.insert("contractor", {"name": title, "trades": [trade]}, name)
    is_open = [
        record for record in plan.records if record.kind == "work_order" and record.values["status"] == "OPEN"
    ]
    keys: list[Key] = [(record.kind, record.entity_id) for record in is_open]
    jobs = Jobs(keys[:JOBS_OF_PLUMBER], keys[JOBS_OF_PLUMBER : JOBS_OF_PLUMBER + JOBS_OF_ELECTRICIAN])
    checklist = [{"id": "1", "text": "Isolate", "done": False}, {"id": "2", "text": "Test", "done": False}]
    contact = office.insert("contact", {"name": "Caretaker", "phone": "+00 555 0100", "notes": "Rings back."})
    for keys_of, contractor_id in ((jobs.plumber, PLUMBER_ID), (jobs.electrician, ELECTRICIAN_ID)):
        for key in keys_of:
            office.update(key, contractor_id=contractor_id, status="ASSIGNED", contact_id=contact[1])
            office.update(key, checklist=checklist)
            _append_note(office, key, "Ring before you come.")
    office.sync()
    for contractor in (cast.plumber, cast.electrician):
        contractor.sync()
        seen = {kind: contractor.count(kind) for kind in plan.counts()}
        tell(f"{contractor.title} sees what is assigned, and what belongs to it: {_counted(seen)}.")
    return jobs


def go_offline(cast: Cast, tell: Tell) -> None:
    """The network goes; a sync says so, and nothing else changes."""
    for person in cast:
        person.link.go_down()
        try:
            person.sync()
        except RightFitError as offline:
            reason = type(offline).__name__
        else:
            raise AssertionError(f"{person.title} could sync without a network")
        tell(f"[dim]{person.title} goes offline ({reason}).[/dim]")


def work_side_by_side(cast: Cast, jobs: Jobs, tell: Tell) -> None:
    """What can merge: other fields, notes, tags, costs, steps, urgencies."""
    office, plumber, electrician = cast
    job = jobs.plumber[0]
    office.update(job, title="Hot water: boiler in the basement")
    plumber.update(job, status="IN_PROGRESS")
    tell("The office renames a job while the plumber starts it.")
    _append_note(office, job, "Key is with the caretaker.")
    _prepend_note(plumber, job, "Boiler is a Combi 24.")
    tell("Both write in the same note.")
    office.update(job, tags=[*_tags(office, job), "vip"])
    plumber.update(job, tags=[*_tags(plumber, job), "parts-needed"])
    tell("Both tag it.")
    office.update(job, cost_pence=_cost(office, job) + 12_000)
    plumber.update(job, cost_pence=_cost(plumber, job) + 4_550)
    plumber.update(job, cost_pence=_cost(plumber, job) + 1_000)
    tell("The office books 120.00 for the boiler, the plumber 45.50 for a valve and 10.00 for parking.")
    office.update(
        job, checklist=[*_steps(office, job), {"id": "3", "text": "Bleed the radiators", "done": False}]
    )
    plumber.update(job, checklist=[{**step, "done": True} for step in _steps(plumber, job)])
    tell("The office adds a step to the checklist while the plumber ticks the others off.")
    office.update(jobs.plumber[1], priority="EMERGENCY")
    office.update(jobs.electrician[0], due_on="2026-03-01", category="electrical")
    electrician.update(jobs.electrician[0], status="IN_PROGRESS", notes="Board is behind the meter cupboard.")
    plumber.insert("comment", _comment(plumber, jobs.plumber[1], "On my way."))
    office.insert("comment", _comment(office, jobs.plumber[1], "Please ring first."))
    tell("They comment, prioritise and plan, each on their own.")


def disagree(cast: Cast, jobs: Jobs, tell: Tell) -> None:
    """What cannot merge: one field written twice, one job ended in two ways, a delete beside an edit."""
    office, plumber, electrician = cast
    stays_open, to_settle, deleted, ended = jobs.plumber[2:6]
    _append_note(office, stays_open, "Door: the red one.")
    steps = _steps(office, stays_open)
    office.update(stays_open, checklist=[{**steps[0], "text": "Isolate at the meter"}, *steps[1:]])
    plumber.update(stays_open, checklist=[{**steps[0], "text": "Isolate at the tank"}, *steps[1:]])
    office.update(to_settle, checklist=[{**steps[0], "reading": "1.2 bar"}, *steps[1:]])
    plumber.update(to_settle, checklist=[{**steps[0], "reading": "2.1 bar"}, *steps[1:]])
    tell("Both reword the same step of a job, and measure different pressures at another.")
    office.delete(deleted)
    _append_note(plumber, deleted, "Tenant says it still drips.")
    tell("The office deletes a job on which the plumber is writing.")
    office.update(ended, status="CANCELLED")
    plumber.update(ended, status="IN_PROGRESS")
    done: dict[str, Value] = {
        "status": "DONE",
        "completed_at": "2026-02-03T15:30:00Z",
        "signature": "Quayside Plumbing",
    }
    plumber.update(ended, **done)
    tell("The office cancels a job that the plumber completes and signs.")
    office.update(jobs.electrician[1], title="Landing light: whole staircase")
    _append_note(electrician, jobs.electrician[1], "Needs a ladder.")


def finish_and_photograph(cast: Cast, jobs: Jobs, tell: Tell) -> None:
    """One transaction: the job is done, and here is the picture."""
    electrician, job = cast.electrician, jobs.electrician[2]
    electrician.update(job, status="IN_PROGRESS")
    with electrician.transaction():
        electrician.update(
            job, status="DONE", completed_at="2026-02-03T11:00:00Z", signature="Brightspark Electrical"
        )
        facts = {
            "work_order_id": job[1],
            "taken_by": electrician.name,
            "sha256": "5f" * 32,
            "caption": "New fuse board.",
        }
        electrician.insert("photo", facts)
        electrician.insert("comment", _comment(electrician, job, "Done, see the photo."))
    tell("The electrician completes a job with a photo and a comment: all of it or nothing.")


def overstep(cast: Cast, jobs: Jobs, tell: Tell) -> None:
    """The contractor writes what only the office may."""
    cast.electrician.update(jobs.electrician[3], due_on="2027-01-01")
    cast.electrician.update(jobs.electrician[3], tags=["waiting"])
    tell("The electrician moves a deadline, which is not theirs to move, and tags the job, which is.")


def come_back(cast: Cast, tell: Tell) -> None:
    """The network returns, loses an answer after the server has committed, and all sync."""
    for person in cast:
        person.link.go_up()
    office, plumber, electrician = cast
    office.sync()
    plumber.link.lose_next_answer()
    try:
        plumber.sync()
    except RightFitError as lost:
        reason = type(lost).__name__
        tell(f"The plumber's changes arrive, but the answer is lost ({reason}): the SDK sends them again.")
    for person in (plumber, electrician, office, plumber, electrician):
        person.sync()
    if not plumber.link.lost_answers:
        raise AssertionError("the answer was to be lost, and was not")
    for refused in electrician.replica.rejected():
        tell(f"Rejected, and kept: [yellow]{refused.outcome.message}[/yellow]")
    for conflict in office.replica.conflicts():
        values = (
            " / ".join(str(sibling.value) for sibling in conflict.siblings)
            or "a delete, and edits that it had not seen"
        )
        tell(f"In conflict: [yellow]{conflict.path}[/yellow]: {values}")


def settle_offline(cast: Cast, tell: Tell) -> None:
    """The office, offline again, decides two conflicts and leaves the others for later; all sync."""
    office = cast.office
    office.link.go_down()
    conflicts = office.replica.conflicts()
    for conflict in conflicts:
        if conflict.reason == "delete_edit":
            office.resolve(conflict, "keep")
            tell("Offline, the office decides to keep the job that it had deleted.")
        elif conflict.path.endswith("/reading"):
            office.resolve(conflict, "2.1 bar")
            tell("Offline, the office believes the plumber's gauge.")
    office.link.go_up()
    for person in (*cast, *cast):
        person.sync()
    tell(f"All sync. {len(office.replica.conflicts())} conflicts stay open until somebody decides.")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items() if count)


def _append_note(person: Person, key: Key, sentence: str) -> None:
    person.update(key, notes=f"{person.screen(key).get('notes') or ''} {sentence}".strip())


def _prepend_note(person: Person, key: Key, sentence: str) -> None:
    person.update(key, notes=f"{sentence} {person.screen(key).get('notes') or ''}".strip())


def _tags(person: Person, key: Key) -> list[Value]:
    shown = person.screen(key).get("tags")
    return [*shown] if isinstance(shown, list) else []


def _steps(person: Person, key: Key) -> list[dict[str, Value]]:
    shown = person.screen(key).get("checklist")
    return [dict(step) for step in shown if isinstance(step, dict)] if isinstance(shown, list) else []


def _cost(person: Person, key: Key) -> int:
    shown = person.screen(key).get("cost_pence")
    return shown if isinstance(shown, int) else 0


def _comment(person: Person, job: Key, body: str) -> dict[str, Value]:
    return {"work_order_id": job[1], "author_id": person.name, "body": body}
