"""Who may write what. What a subject may not see, the server has answered already, as if it did not exist.

| role | tag | may write |
|---|---|---|
| landlord's staff | `landlord` | everything |
| a contractor's people | `contractor:<id>` | `ASSIGNED_FIELDS` of what is assigned to the contractor |
| | | comments and photos under their own name, which they may correct and take back |
| anybody else | | nothing |

A contractor is answered `not_permitted` with the field's name; work that is no longer the contractor's is
answered like work that does not exist. Source: docs/explanation/semantics.md, section 7.
"""

from collections.abc import Iterable, Mapping

from rightfit_server.domain.schema import SCHEMA
from rightfit_server.domain.workflow import CONTRACTOR_STATUSES
from rightfit_server.ports.application import Subject
from rightfit_sync.audience import own_tags
from rightfit_sync.paths import root
from rightfit_sync.records import Change, Entity, Outcome, Patch, rejected
from rightfit_sync.view import values

LANDLORD = "landlord"
CONTRACTOR = "contractor:"

ROLES: Mapping[str, list[str]] = {LANDLORD: [LANDLORD], "contractor": [CONTRACTOR + "{of}"]}
"""The tags that each role gives; `{of}` is the id of the contractor entity."""

ASSIGNED_FIELDS: Mapping[str, frozenset[str]] = {
    "work_order": frozenset({"completion", "checklist", "notes", "tags", "cost_pence"}),
    "inspection": frozenset({"outcome", "findings", "notes"}),
}
"""What a contractor may write of the work that is assigned to it: fields, and groups by their name."""

AUTHORED: Mapping[str, str] = {"comment": "author_id", "photo": "taken_by"}
"""Kinds that a contractor may add to, each with the field that names the author."""

AUTHORED_FIELDS: Mapping[str, frozenset[str]] = {
    "comment": frozenset({"body"}),
    "photo": frozenset({"caption"}),
}
"""What an author may correct afterwards."""

AUTHORED_ABOUT: Mapping[str, frozenset[str]] = {
    "comment": frozenset({"work_order_id"}),
    "photo": frozenset({"work_order_id", "inspection_id"}),
}
"""The references, one of which says what it is about, and so who else sees it."""


def authorize(subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
    """Return the rejection of `change` on `before` by `subject`, or None where it may be made."""
    if LANDLORD in subject.tags:
        return None
    if not any(tag.startswith(CONTRACTOR) for tag in subject.tags):
        return _refused("this account has no role that may write: ask the landlord for one")
    if before is None:
        # Only a create brings something into being; `apply` answers everything else.
        return _may_add(subject, change) if change.op == "create" else None
    if change.kind in ASSIGNED_FIELDS:
        return _may_work_on(subject, before, change)
    if change.kind in AUTHORED:
        return _may_correct(subject, before, change)
    return _refused(f"only the landlord's staff write a {change.kind}")


def _may_add(subject: Subject, change: Change) -> Outcome | None:
    author = AUTHORED.get(change.kind)
    if author is None:
        return _refused(f"only the landlord's staff add a {change.kind}")
    if _value(change.patches.get(author)) != subject.subject_id:
        return _refused(f"{author} must be your own id, {subject.subject_id}", author)
    about = AUTHORED_ABOUT[change.kind]
    if not any(_value(change.patches.get(path)) is not None for path in about):
        return _refused(f"say what this {change.kind} is about: {' or '.join(sorted(about))}")
    return None


def _may_work_on(subject: Subject, before: Entity, change: Change) -> Outcome | None:
    if not own_tags(before, SCHEMA) & subject.tags:
        return rejected(
            "unknown_entity", f"{change.kind} {change.entity_id} does not exist here: create it first"
        )
    if change.op not in ("edit", "resolve"):
        return _refused(f"a contractor cannot {change.op} a {change.kind}: ask the landlord")
    refused = _only(ASSIGNED_FIELDS[change.kind], change)
    return refused or _may_complete(change)


def _may_complete(change: Change) -> Outcome | None:
    wanted = _value(change.patches.get("completion"))
    status = wanted.get("status") if isinstance(wanted, Mapping) else None
    if status is None or status in CONTRACTOR_STATUSES:
        return None
    before = change.patches["completion"].base
    if isinstance(before, Mapping) and before.get("status") == status:
        return None
    return _refused(f"a contractor cannot make a work order {status}: that is the landlord's", "completion")


def _may_correct(subject: Subject, before: Entity, change: Change) -> Outcome | None:
    author = AUTHORED[change.kind]
    if values(before, SCHEMA.kinds[change.kind]).get(author) != subject.subject_id:
        return _refused(f"only its author may change this {change.kind}", author)
    if change.op == "create":
        return _may_add(subject, change)
    if change.op in ("delete", "restore"):
        return None
    return _only(AUTHORED_FIELDS[change.kind], change)


def _only(allowed: Iterable[str], change: Change) -> Outcome | None:
    for path in change.patches:
        if root(path) not in allowed:
            mine = ", ".join(sorted(allowed))
            return _refused(f"a contractor cannot write {path} of a {change.kind}, only {mine}", path)
    return None


def _value(patch: Patch | None) -> object:
    return None if patch is None or not patch.value else patch.value


def _refused(message: str, path: str = "") -> Outcome:
    return rejected("not_permitted", message, path)
