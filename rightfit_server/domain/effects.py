"""What the world must be told of a change: recorded with it, carried out later, at least once.

| effect | when | payload |
|---|---|---|
| `notify_contractor` | a work order gets a contractor, or with one becomes an EMERGENCY | ids, priority |
| `notify_office` | an EMERGENCY that is nobody's job yet | the work order, priority |
| `certificate_reminder` | a certificate's expiry is set or moved | the certificate, type, expires_on |
| `analyse_photo` | a photo appears, or its digest does | the photo, sha256 |

A delete has no effect: whoever carries one out looks at the record first. All is decided from the record
before and after, so that an edit which merges into nothing new tells nobody anything.
"""

from collections.abc import Callable, Iterator, Mapping

from rightfit_server.domain.schema import SCHEMA
from rightfit_server.ports.application import Effect
from rightfit_sync.records import Change, Entity
from rightfit_sync.values import Value
from rightfit_sync.view import view

View = Mapping[str, Value]


def effects(before: Entity | None, after: Entity, change: Change) -> list[Effect]:
    """Return the side effects of `change`, which turned `before` into `after`."""
    found = _BY_KIND.get(change.kind)
    now = view(after, SCHEMA)
    if found is None or not now:
        return []
    return list(found(change.entity_id, {} if before is None else view(before, SCHEMA), now))


def _of_work_order(entity_id: str, was: View, now: View) -> Iterator[Effect]:
    contractor, priority = now.get("contractor_id"), now.get("priority")
    is_emergency = priority == "EMERGENCY"
    becomes_emergency = is_emergency and was.get("priority") != "EMERGENCY"
    if contractor is not None and (contractor != was.get("contractor_id") or becomes_emergency):
        facts = {"work_order_id": entity_id, "contractor_id": contractor, "priority": priority}
        yield Effect("notify_contractor", facts)
    elif contractor is None and becomes_emergency:
        yield Effect("notify_office", {"work_order_id": entity_id, "priority": priority})


def _of_certificate(entity_id: str, was: View, now: View) -> Iterator[Effect]:
    expires_on = now.get("expires_on")
    if expires_on is not None and expires_on != was.get("expires_on"):
        facts = {"certificate_id": entity_id, "type": now.get("type"), "expires_on": expires_on}
        yield Effect("certificate_reminder", facts)


def _of_photo(entity_id: str, was: View, now: View) -> Iterator[Effect]:
    if not was or now.get("sha256") != was.get("sha256"):
        yield Effect("analyse_photo", {"photo_id": entity_id, "sha256": now.get("sha256")})


_BY_KIND: Mapping[str, Callable[[str, View, View], Iterator[Effect]]] = {
    "work_order": _of_work_order,
    "certificate": _of_certificate,
    "photo": _of_photo,
}
