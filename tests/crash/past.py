"""A recorded history as a row of moments at which the device may die, each with what had been promised by then."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.testing.authority import MemoryAuthority
from tests.crash.authority import SCHEMAS, new_authority
from tests.crash.disk import Disk
from tests.crash.disk_log import Asked, Begins, Committed, Event, Mark, Rows, Told, read_log
from tests.crash.tables import EMPTY


class Moment(msgspec.Struct, frozen=True):
    """A place in the log: how many events, commits and calls lie before it, and what the program is."""

    events: int
    commits: int
    calls: int
    schema_version: int
    latest: str
    """What has just happened, for people."""


class Past:
    """What the log at `path` tells."""

    def __init__(self, path: Path) -> None:
        self.items: Sequence[Event | Mark] = list(read_log(path))
        self.calls = [one for one in self.items if isinstance(one, Told)]
        self.states = [EMPTY, *(one.state for one in self.items if isinstance(one, Committed))]
        self.events = sum(isinstance(one, Event) for one in self.items)
        self.edits = sum(len(call.made) for call in self.calls)
        self.expected = list(_expectations(self.calls))
        """What the app must see after so many calls."""

    def unsynced_commits(self) -> list[Moment]:
        """Return when a COMMIT has written everything and synced nothing of it yet."""
        moments = [moment for moment, _ in self.moments(Disk())]
        places = [item for item in self.items if not isinstance(item, Begins | Asked)]
        return [
            before
            for before, sync, following in zip(moments, places[1:], places[2:], strict=False)
            if isinstance(sync, Event) and sync.kind == "s" and isinstance(following, Committed)
        ]

    def next_call(self, moment: Moment) -> Told | None:
        """Return the call that is under way."""
        return self.calls[moment.calls] if moment.calls < len(self.calls) else None

    def settled(self, moment: Moment) -> frozenset[Dot]:
        """Return the rejected changes that the user has dealt with, or is dealing with."""
        return frozenset(dot for call in self.calls[: moment.calls + 1] for dot in call.settled)

    def is_rebuilding(self, moment: Moment) -> bool:
        """Whether the copy has been let go and not fetched again."""
        looks = [call for call in self.calls[: moment.calls] if call.shows is not None]
        under_way = self.next_call(moment)
        return bool(looks and looks[-1].is_rebuilding) or (under_way is not None and under_way.is_rebuilding)

    def moments(self, disk: Disk) -> Iterator[tuple[Moment, MemoryAuthority]]:
        """Play the log to `disk` and stop at each event and each promise.

        The authority is as it was then; it goes on with the history, so copy it to use it.
        """
        authority = new_authority()
        moment = Moment(0, 0, 0, min(SCHEMAS), "nothing yet")
        for item in self.items:
            match item:
                case Event():
                    disk.take(item)
                    moment = msgspec.structs.replace(moment, events=moment.events + 1, latest=_told(item))
                case Committed():
                    moment = msgspec.structs.replace(moment, commits=moment.commits + 1, latest="COMMIT")
                case Told():
                    latest = f"the end of {item.step!r}"
                    moment = msgspec.structs.replace(moment, calls=moment.calls + 1, latest=latest)
                case Begins():
                    moment = msgspec.structs.replace(moment, schema_version=item.schema_version)
                    continue
                case Asked():
                    authority.sync(item.device_id, item.message, item.now)
                    continue
            yield moment, authority


def _told(event: Event) -> str:
    where = (
        event.payload.decode() if event.kind in "odDS" else f"{len(event.payload)} bytes at {event.offset}"
    )
    return f"{event.kind} of file {event.file}, {where}"


def _expectations(calls: Sequence[Told]) -> Iterator[Rows]:
    rows: Rows = {}
    yield rows
    for call in calls:
        rows = dict(rows) if call.shows is None else {**dict.fromkeys(rows), **call.shows}
        for key, values in call.wrote.items():
            rows[key] = None if values is None else {**(rows.get(key) or {}), **values}
        yield rows
