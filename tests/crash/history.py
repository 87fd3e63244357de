"""The scripted history: a device's life in two processes, each call of the SDK written down once it has returned.

`python -m tests.crash.history PART EXTENSION REPLICA LOG SYNCHRONOUS` plays one of `PARTS`. The first ends
without closing its replica, as if it were killed, and the second goes on with what it left; so does the second.
"""

import os
import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rightfit_client import Offline, Replica
from rightfit_client.sqlite import sqlite3
from rightfit_client.testing import token_for
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_sync.causality.dot import Dot
from rightfit_sync.testing.device import MemoryDevice
from tests.crash.authority import (
    DEVICE,
    FORBIDDEN,
    NOW,
    OTHERS,
    SCHEMAS,
    URL,
    listening_authority,
    over_http,
)
from tests.crash.disk_log import Asked, Begins, Committed, Log, Made, Row, Rows, Told, asked, read_log
from tests.crash.recording import AS_OPENED, load
from tests.crash.tables import state_of

PAGES_BETWEEN_CHECKPOINTS: Final = 60
"""So that a short history has many: SQLite's own figure is 1,000."""

ORDER: Final = "work_order"


class AbandonedError(Exception):
    """The application gives a transaction up."""


class Teller:
    """Calls the SDK at `path`, and writes into `log` what each call has promised."""

    replica: Replica

    def __init__(self, path: Path, log_path: Path, synchronous: str) -> None:
        self.path = path
        self.log = Log(log_path)
        self.synchronous = synchronous
        former = [mark for mark in read_log(log_path) if isinstance(mark, Asked)]
        begun = [mark.schema_version for mark in read_log(log_path) if isinstance(mark, Begins)]
        self.schema_version = begun[-1] if begun else min(SCHEMAS)
        self.memory = listening_authority(lambda *_: None)
        for one in former:
            self.memory.sync(one.device_id, one.message, one.now)
        self.memory.heard = lambda device_id, now, request: self.log.mark(asked(device_id, now, request))
        self.http = over_http(self.memory)
        self._told: set[Dot] = set()
        self._ticks = NOW + 1_000_000 * len(former)
        self._listen()

    def _listen(self) -> None:
        """Hear of each COMMIT that has returned, and of each file that the SDK syncs itself."""
        ended, fsync = UnitOfWork._end, os.fsync

        def end(unit: UnitOfWork, *, was_committed: bool) -> None:
            ended(unit, was_committed=was_committed)
            if was_committed:
                self.log.mark(Committed(state_of(unit.connection)))

        def sync(descriptor: int) -> None:
            fsync(descriptor)
            self.log.sync(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

        UnitOfWork._end = end  # type: ignore[method-assign, assignment]
        os.fsync = sync  # type: ignore[assignment]

    def tick(self) -> int:
        self._ticks += 1
        return self._ticks

    def open(self, schema_version: int) -> None:
        self.log.mark(Begins(schema_version))
        self.replica = Replica.open(
            self.path,
            schema=SCHEMAS[schema_version],
            url=URL,
            token=token_for(DEVICE),
            clock=self.tick,
            transport=self.http,
        )
        if self.synchronous != AS_OPENED:
            self.pragma(f"synchronous = {self.synchronous}")
        self.pragma(f"wal_autocheckpoint = {PAGES_BETWEEN_CHECKPOINTS}")
        # What an application sees once it has opened its replica is as good as told.
        self.log.mark(Committed(state_of(self.replica._opened.connection)))
        self.tell("open", shows=self.shown())

    def close(self) -> None:
        self.replica.close()
        self.tell("close")

    def pragma(self, statement: str) -> None:
        self.replica.database.execute(f"PRAGMA {statement}").fetchall()

    def shown(self) -> Rows:
        rows: Rows = {}
        for kind in self.replica.schema.kinds:
            for row in self.replica.query(kind):
                rows[f"{kind}/{row['entity_id']}"] = row
        return rows

    def tell(
        self,
        step: str,
        wrote: Rows | None = None,
        *,
        shows: Rows | None = None,
        settled: Iterable[Dot] = (),
        is_rebuilding: bool = False,
    ) -> None:
        """Write down what a call has promised; it has returned, or the replica is closed."""
        made = [] if step == "close" else list(self._made())
        self.log.mark(Told(step, made, wrote or {}, shows, list(settled), is_rebuilding))

    def _made(self) -> Iterator[Made]:
        for entry in self.replica.pending():
            change = entry.change
            if change.dot not in self._told:
                self._told.add(change.dot)
                yield Made(change.dot, entry.digest, change.kind, change.entity_id)

    # What a person does, each told when it has returned.

    def insert(self, key: str, **values: object) -> None:
        self._insert(key, values)
        self.tell(f"insert {key}", {key: values})

    def update(self, key: str, **values: object) -> None:
        self.replica.update(*_key(key), values)
        self.tell(f"update {key}", {key: values})

    def delete(self, key: str) -> None:
        self.replica.delete(*_key(key))
        self.tell(f"delete {key}", {key: None})

    def together(self, wanted: dict[str, Row], *, whole: bool = True) -> None:
        """Insert or update several records in one transaction, or in one batch."""
        with self.replica.transaction() if whole else self.replica.batch():
            self._write_all(wanted)
        self.tell(f"{'transaction' if whole else 'batch'} of {', '.join(wanted)}", dict(wanted))

    def _write_all(self, wanted: dict[str, Row]) -> None:
        for key, values in wanted.items():
            if self.replica.get(*_key(key)) is None:
                self._insert(key, values)
            else:
                self.replica.update(*_key(key), values)

    def _insert(self, key: str, values: Row) -> None:
        kind, entity_id = _key(key)
        self.replica.insert(kind, values, entity_id=entity_id)

    def abandon(self, wanted: dict[str, Row]) -> None:
        """Begin a transaction and give it up."""
        with suppress(AbandonedError), self.replica.transaction():
            self._write_all(wanted)
            raise AbandonedError
        self.tell("abandoned", {})

    def sync(self) -> None:
        self.replica.sync()
        self.tell("sync", shows=self.shown())

    def sync_without_answer(self) -> None:
        """The authority takes the push in, and its answer is lost."""
        self.http.lose_response()
        with suppress(Offline):
            self.replica.sync()
        self.tell("sync without answer", shows=self.shown())

    @contextmanager
    def settling(self, step: str) -> Iterator[None]:
        """Deal with what is on the rejected list; whatever has gone from it by the end is settled."""
        before = {one.change.dot for one in self.replica.rejected()}
        yield
        after = {one.change.dot for one in self.replica.rejected()}
        self.tell(step, shows=self.shown(), settled=sorted(before - after))

    def others(self, name: str) -> MemoryDevice:
        """Return another device of the same person, up to date."""
        device = MemoryDevice(name, SCHEMAS[2], subject="ann", clock=self.tick)
        device.sync(self.memory, self.tick())
        return device


def _key(key: str) -> tuple[str, str]:
    kind, _, entity_id = key.partition("/")
    return kind, entity_id


def play_first(teller: Teller) -> None:
    """From no file at all to a device that has seen everything, killed in the end."""
    _offline(teller)
    _with_others(teller)
    _refused(teller)
    _under_way(teller)


def _offline(teller: Teller) -> None:
    teller.open(1)
    teller.insert("property/p1", address="1 Mill Lane")
    teller.insert(f"{ORDER}/o1", title="Boiler leaks", notes="The boiler leaks.", cost_pence=100, tags=["a"])
    teller.update(f"{ORDER}/o1", title="Boiler drips", tags=["a", "b"])
    for words in (
        "The old boiler leaks.",
        "The old boiler leaks badly.",
        "The old boiler leaks badly again.",
    ):
        teller.update(f"{ORDER}/o1", notes=words)
    teller.together({f"{ORDER}/o2": {"title": "Left"}, f"{ORDER}/o3": {"title": "Right"}})
    teller.abandon({f"{ORDER}/o2": {"title": "never"}, f"{ORDER}/o9": {"title": "never"}})
    teller.together(
        {f"property/b{number}": {"address": f"{number} High Street"} for number in range(6)}, whole=False
    )
    teller.delete("property/b0")
    teller.replica.restore("property", "b0")
    teller.tell("restore property/b0", {"property/b0": {"address": "0 High Street"}})
    teller.delete("property/b1")
    for number in range(40):
        teller.insert(f"property/r{number}", address=f"{number} Station Road")
    teller.close()


def _with_others(teller: Teller) -> None:
    teller.open(1)
    teller.sync()
    bob = teller.others(OTHERS[0])
    bob.edit((ORDER, "o1"), {"title": "Boiler is cold"})
    bob.edit((ORDER, "o1"), {"notes": "Look: the old boiler leaks badly again."})
    bob.create((ORDER, "bob"), {"title": "Gate squeaks"})
    bob.create(("visit", "v1"), {"note": "of a kind that the device does not know yet"})
    bob.delete(("property", "b2"))
    bob.sync(teller.memory, teller.tick())
    teller.update(f"{ORDER}/o1", title="Boiler bursts")
    teller.update(f"{ORDER}/o1", notes="The old boiler leaks badly again today.")
    teller.insert(f"{ORDER}/o4", title="Tap drips", notes="Drip.")
    teller.sync_without_answer()
    teller.update(f"{ORDER}/o4", cost_pence=7)
    teller.sync()
    (conflict,) = teller.replica.conflicts()
    teller.replica.resolve(conflict, "Boiler bursts, cold")
    teller.tell("resolve", {f"{ORDER}/o1": {"title": "Boiler bursts, cold"}})
    teller.together({f"{ORDER}/o2": {"title": "Left, later"}, f"{ORDER}/o3": {"title": "Right, later"}})
    teller.sync()
    teller.pragma("wal_checkpoint(TRUNCATE)")
    teller.tell("checkpoint")


def _refused(teller: Teller) -> None:
    replica = teller.replica
    teller.update(f"{ORDER}/o2", title=FORBIDDEN)
    teller.together({f"{ORDER}/o5": {"title": FORBIDDEN}, f"{ORDER}/o6": {"title": "beside it"}})
    teller.update(f"{ORDER}/o3", cost_pence=12)
    teller.sync()
    first, _, third = (one.change.dot for one in replica.rejected())
    with teller.settling("edit again"):
        replica.edit_again(first, title="Left, allowed")
    with teller.settling("retry of a transaction"):
        replica.retry(third)
    teller.sync()
    for one in replica.rejected():
        with teller.settling("discard"):
            replica.discard(one.change.dot)
    teller.update(f"{ORDER}/o4", notes=random.Random(4).randbytes(10_000).hex())
    teller.update(f"{ORDER}/o3", title="Right, behind what is too large")
    teller.sync()
    (aside,) = replica.rejected()
    with teller.settling("edit again"):
        replica.edit_again(aside.change.dot, notes="Drip, drip.")


def _under_way(teller: Teller) -> None:
    """Checkpoints with and without a reader that holds a snapshot; the process ends in the middle of its work."""
    reader = sqlite3.connect(str(teller.path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM property").fetchall()
    for number in range(8):
        teller.insert(f"property/c{number}", address=f"{number} Station Road")
    teller.pragma("wal_checkpoint(PASSIVE)")
    reader.close()
    for number in range(8):
        teller.update(f"property/c{number}", address=f"{number} Station Road, flat {number}")
    teller.sync()
    teller.update(f"{ORDER}/o1", cost_pence=250)
    teller.delete("property/c7")


def play_second(teller: Teller) -> None:
    """What the killed process left, a newer schema, a copy rebuilt; killed with changes in the outbox."""
    teller.open(1)
    teller.insert(f"{ORDER}/o7", title="Roof", notes="Tiles.")
    teller.close()
    carol = teller.others(OTHERS[1])
    carol.edit((ORDER, "o1"), {"title": "Boiler is new", "urgent": True})
    carol.delete((ORDER, "o3"))
    carol.sync(teller.memory, teller.tick())
    teller.open(2)
    teller.update(f"{ORDER}/o7", urgent=True, notes="Tiles are loose.")
    teller.insert("visit/v2", note="Tuesday")
    teller.update(f"{ORDER}/o3", title="Edited where it was deleted")
    teller.sync()
    teller.replica.resync()
    teller.tell("resync", shows=teller.shown(), is_rebuilding=True)
    teller.insert("visit/v3", note="while the copy is away")
    teller.sync()
    for conflict in teller.replica.conflicts():
        choice = "keep" if conflict.reason == "delete_edit" else "Boiler is new"
        teller.replica.resolve(conflict, choice)
        teller.tell(f"resolve {conflict.path}", shows=teller.shown())
    teller.sync()
    teller.pragma("wal_checkpoint(RESTART)")
    for number in range(4):
        teller.insert(f"visit/w{number}", note=f"Week {number}")
    teller.sync()
    teller.update("visit/w0", note="Monday")
    teller.together({"visit/w1": {"note": "both"}, "visit/w2": {"note": "or neither"}})
    teller.update(f"{ORDER}/o7", notes="Tiles are loose and the gutter is full.", cost_pence=5)


def play_after_a_kill(teller: Teller) -> None:
    """What anybody does first after a crash, whatever the crash has left."""
    teller.open(teller.schema_version)
    teller.sync()
    teller.insert("property/after", address="after the kill")
    teller.sync()


PARTS: Final = {"first": play_first, "second": play_second, "after_a_kill": play_after_a_kill}


def main(part: str, extension: str, path: str, log: str, synchronous: str) -> None:
    load(Path(extension))
    PARTS[part](Teller(Path(path), Path(log), synchronous))
    # Nothing is closed: the process ends as one that is killed does.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
