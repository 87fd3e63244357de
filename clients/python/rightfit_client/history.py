"""The history of one entity: what the authority has recorded, then what only this device knows yet."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Literal, TypeAlias
from urllib.parse import quote

import msgspec

from rightfit_client.errors import NeedsLogin, Offline, RemoteProblem
from rightfit_client.store import SqliteStore
from rightfit_client.transport import HttpRequest
from rightfit_sync.records import Change, Outcome
from rightfit_sync.store import Key

Place: TypeAlias = Literal["authority", "outbox", "rejected"]


class HistoryEntry(msgspec.Struct, frozen=True):
    """One change and where it is; `outcome` is None while the authority has not answered."""

    change: Change
    place: Place
    outcome: Outcome | None = None


class History(msgspec.Struct, frozen=True):
    """Oldest first. `is_complete` is false where the authority could not be asked: the local part."""

    entries: Sequence[HistoryEntry]
    is_complete: bool


class _Answered(msgspec.Struct, frozen=True):
    change: Change
    outcome: Outcome


class _Page(msgspec.Struct, frozen=True):
    history: Sequence[_Answered]
    next: str = ""


def history(store: SqliteStore, key: Key, fetch: Callable[[HttpRequest], bytes] | None) -> History:
    """Return the history of `key`; `fetch` asks the authority (None: there is none to ask)."""
    recorded: Sequence[HistoryEntry] | None = None
    if fetch is not None:
        try:
            recorded = list(_recorded(key, fetch))
        except (Offline, NeedsLogin):
            recorded = None
    entries = recorded or []
    known = {entry.change.dot for entry in entries}
    local = [HistoryEntry(one.change, "outbox", one.outcome) for one in store.entries([key]).get(key, ())]
    local += [
        HistoryEntry(one.change, "rejected", one.outcome)
        for one in store.rejected()
        if (one.change.kind, one.change.entity_id) == key
    ]
    mine = sorted(
        (one for one in local if one.change.dot not in known), key=lambda one: one.change.dot.counter
    )
    return History([*entries, *mine], recorded is not None)


def _recorded(key: Key, fetch: Callable[[HttpRequest], bytes]) -> Iterator[HistoryEntry]:
    path = f"/v1/entities/{quote(key[0], safe='')}/{quote(key[1], safe='')}/history"
    page = _Page((), "")
    while True:
        try:
            page = msgspec.json.decode(
                fetch(HttpRequest("GET", path, params={"after": page.next} if page.next else {})), type=_Page
            )
        except RemoteProblem as problem:
            # The authority has never heard of it, or does not show it to this subject.
            if problem.status == HTTPStatus.NOT_FOUND:
                return
            raise
        yield from (HistoryEntry(one.change, "authority", one.outcome) for one in page.history)
        if not page.next:
            return
