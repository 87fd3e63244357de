"""What the SDK makes of a disk after a crash, and whether that keeps what had been promised.

A file found after a crash is opened by the SDK itself. It keeps its promise if

- it opens, and every check of the replica's doctor holds (the integrity of the pages first);
- all its tables together are exactly as they were after the last COMMIT that had returned, or after the one that was
  under way: so nothing is lost and nothing is there by half;
- every change that a caller had been told of is in the outbox with its digest, in the trunk, or on the rejected list;
- the app sees what its calls had written, and of the call that was under way everything or nothing;
- the device goes on: a new edit spends a new counter, a sync empties the outbox, the authority has each change once.

The second says all of the third and fourth, but says it by the SDK's own bytes; those are told by who called it.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from random import Random

import msgspec

from rightfit_client import OpenError, Replica, StorageError
from rightfit_client.sqlite import sqlite3
from rightfit_client.testing import token_for
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.records import Alias
from rightfit_sync.testing.authority import MemoryAuthority
from tests.crash.authority import DEVICE, NOW, SCHEMAS, URL, new_authority, over_http
from tests.crash.disk import Disk, Image, Variant
from tests.crash.disk_log import Made, Rows
from tests.crash.past import Moment, Past
from tests.crash.recording import NAME
from tests.crash.tables import EMPTY, state_of

SEED = 20_251_122


class Found(msgspec.Struct, frozen=True):
    """What the SDK shows of a file.

    `former` are the names that changes in the outbox had before the replica took a new device id.
    """

    problems: list[str] = []
    opens: bool = True
    state: str = EMPTY
    device_id: str = DEVICE
    counter: int = 0
    outbox: dict[Dot, str] = {}
    former: frozenset[Alias] = frozenset()
    rejected: frozenset[Dot] = frozenset()
    vectors: dict[tuple[str, str], dict[str, int]] = {}
    rows: Rows = {}


class Tally(msgspec.Struct):
    """What a run has tried, and what it has found wrong."""

    points: int = 0
    images: int = 0
    opened: int = 0
    resumed: int = 0
    problems: list[str] = []

    def said(self, past: Past) -> str:
        """Return the counts as a line."""
        return (
            f"{self.points} crash points, {self.images} states of the disk ({self.opened} different ones opened, "
            f"{self.resumed} synced with the authority), {past.edits} edits acknowledged, "
            f"{len(self.problems)} promises broken"
        )


class Judge:
    """Opens what a crash has left, in `folder`; the same file is opened once."""

    def __init__(self, past: Past, folder: Path) -> None:
        self.past = past
        self.folder = folder
        self._known: dict[bytes, Found] = {}
        self._nobody = over_http(new_authority())

    @property
    def opened(self) -> int:
        """How many different files have been opened."""
        return len(self._known)

    def problems(self, image: Image, moment: Moment, authority: MemoryAuthority) -> list[str]:
        """Return which promises the file breaks that is found after a crash at `moment`."""
        found = self.found(image, moment)
        if not found.opens:
            return found.problems
        return [
            *found.problems,
            *self._whole(found, moment),
            *self._missing(found, moment, authority),
            *self._unseen(found, moment),
        ]

    def resume(self, image: Image, moment: Moment, authority: MemoryAuthority) -> list[str]:
        """Go on with the file as its program would: an edit and a sync; return what went wrong."""
        self._put(image)
        with Replica.open(
            self.folder / NAME,
            schema=SCHEMAS[moment.schema_version],
            url=URL,
            token=token_for(DEVICE),
            clock=lambda: NOW,
            transport=over_http(authority),
        ) as replica:
            replica.database.execute("PRAGMA synchronous = OFF")
            replica.insert("property", address="after the crash")
            fresh = replica.pending()[-1].change.dot
            replica.sync()
            return [
                *self._spent(fresh, moment),
                *(f"{entry.change.dot} is stuck in the outbox" for entry in replica.pending()),
                *(f"after a sync: {one.check}: {one.detail}" for one in replica.examine() if not one.holds),
                *self._arrived(moment, authority),
                *_differing(replica, authority),
            ]

    def found(self, image: Image, moment: Moment) -> Found:
        """Return what the SDK shows of a file that is found after a crash at `moment`."""
        digest = blake2b(digest_size=16)
        for name, content in image.items():
            digest.update(f"{name} {len(content)} ".encode())
            digest.update(content)
        known = digest.digest()
        if known not in self._known:
            self._put(image)
            try:
                self._known[known] = self._look(moment)
            except (OpenError, StorageError, sqlite3.Error, msgspec.MsgspecError) as error:
                self._known[known] = Found([f"broken: {type(error).__name__}: {error}"], opens=False)
        return self._known[known]

    def _put(self, image: Image) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        for name, content in image.items():
            (self.folder / name).write_bytes(content)

    def _look(self, moment: Moment) -> Found:
        path = self.folder / NAME
        try:
            # Nobody is asked; but httpx's own transport would read all certificates, which takes longer than the rest.
            replica = Replica.open(path, transport=self._nobody)
        except OpenError as error:
            if error.code != "needs_schema":
                raise
            schema = SCHEMAS[moment.schema_version]
            replica = Replica.open(path, schema=schema, token=token_for(DEVICE))
            replica.close()
            return Found()
        with replica:
            # Closing need not wait for the disk: the file has told all that it will.
            replica.database.execute("PRAGMA synchronous = OFF")
            return _seen(replica)

    def _whole(self, found: Found, moment: Moment) -> Iterator[str]:
        states, at = self.past.states, moment.commits
        if found.state in states[at : at + 2]:
            return
        if found.state in states[:at]:
            back = at - max(place for place, state in enumerate(states[:at]) if state == found.state)
            yield f"lost: the file is {back} commits behind what was durable"
        else:
            yield "half: the tables are as they were after no commit"

    def _missing(self, found: Found, moment: Moment, authority: MemoryAuthority) -> Iterator[str]:
        settled, is_rebuilding = self.past.settled(moment), self.past.is_rebuilding(moment)
        for call in self.past.calls[: moment.calls]:
            for made in call.made:
                if made.dot.device_id == found.device_id and made.dot.counter > found.counter:
                    yield f"lost: {made.dot} of {call.step!r} will be spent again"
                if not (is_rebuilding or made.dot in settled or _is_kept(made, found, authority)):
                    yield f"lost: {call.step!r} made {made.dot}, which is nowhere"

    def _unseen(self, found: Found, moment: Moment) -> Iterator[str]:
        """Compare what is shown with what the calls wrote."""
        before = self.past.expected[moment.calls]
        under_way = self.past.next_call(moment)
        after = before if under_way is None else self.past.expected[moment.calls + 1]
        if under_way is not None and under_way.shows is not None:
            # It takes in several answers, each for itself: what it leaves as it was must stay so throughout.
            before = after = {key: values for key, values in before.items() if after.get(key, ()) == values}
        wrong = _unlike(found.rows, before)
        if wrong and _unlike(found.rows, after):
            yield f"lost or half: {', '.join(wrong)} not as they were written"

    def _spent(self, fresh: Dot, moment: Moment) -> Iterator[str]:
        for call in self.past.calls[: moment.calls]:
            for made in call.made:
                if made.dot.device_id == fresh.device_id and made.dot.counter >= fresh.counter:
                    yield f"{made.dot} of {call.step!r} was spent again by {fresh}"

    def _arrived(self, moment: Moment, authority: MemoryAuthority) -> Iterator[str]:
        times = Counter(one.change.dot for one in authority.history)
        yield from (f"the authority has {dot} {count} times" for dot, count in times.items() if count > 1)
        for call in self.past.calls[: moment.calls]:
            for made in call.made:
                receipt = _receipt(made, authority)
                if receipt is None:
                    yield f"the authority has not decided about {made.dot} of {call.step!r}"
                    continue
                entity = authority.entity((made.kind, made.entity_id))
                vector = {} if entity is None else entity.version_vector
                if receipt.outcome.is_accepted and not includes(vector, receipt.dot):
                    yield f"{made.dot} of {call.step!r} is in no record of the authority"


def _seen(replica: Replica) -> Found:
    opened = replica._opened
    store = opened.store
    state = state_of(opened.connection)
    trunks = store.trunks(store.entity_keys())
    entries = [*store.pending(), *store.acknowledged()]
    return Found(
        problems=[f"damaged: {one.check}: {one.detail}" for one in replica.examine() if not one.holds],
        state=state,
        device_id=store.state().device_id,
        counter=store.state().counter,
        outbox={entry.change.dot: entry.digest for entry in entries},
        former=frozenset(one.change.was for one in entries if isinstance(one.change.was, Alias)),
        rejected=frozenset(one.change.dot for one in store.rejected()),
        vectors={key: dict(row.entity.version_vector) for key, row in trunks.items()},
        rows={
            f"{kind}/{row['entity_id']}": row for kind in replica.schema.kinds for row in replica.query(kind)
        },
    )


def _is_kept(made: Made, found: Found, authority: MemoryAuthority) -> bool:
    if found.outbox.get(made.dot) == made.digest or made.dot in found.rejected:
        return True
    if Alias(made.dot, made.digest) in found.former:
        return True
    receipt = _receipt(made, authority)
    vector = found.vectors.get((made.kind, made.entity_id), {})
    return includes(vector, made.dot if receipt is None else receipt.dot)


def _receipt(made: Made, authority: MemoryAuthority) -> Receipt | None:
    """Return what the authority has said about a change, under its own name or a later one."""
    receipt = authority.receipts.get(made.dot)
    if receipt is not None and receipt.digest == made.digest:
        return receipt
    return authority.aliases.get(Alias(made.dot, made.digest))


def _unlike(rows: Rows, expected: Rows) -> list[str]:
    """Return the records that do not show what was written (a field that nobody wrote may hold anything)."""
    return [
        key
        for key, values in expected.items()
        if (row := rows.get(key)) != values
        and (row is None or values is None or any(row.get(name) != value for name, value in values.items()))
    ]


def _differing(replica: Replica, authority: MemoryAuthority) -> Iterator[str]:
    store = replica._opened.store
    held = {key: one.entity for key, one in authority.held.items()}
    copy = {key: row.entity for key, row in store.trunks(store.entity_keys()).items()}
    for key in held.keys() | copy.keys():
        if held.get(key) != copy.get(key):
            yield f"the copy of {key} is not what the authority has"


def run(
    past: Past,
    folder: Path,
    variants: tuple[Variant, ...],
    *,
    ignores_syncs: bool = False,
    since: int = 0,
    every: int = 1,
    resume_every: int = 10,
) -> Tally:
    """Crash at each moment of `past` (or `every` so many) and judge what is found, in each of the `variants`.

    The first moment is after `since` events. Every `resume_every` moments one of the files goes on and syncs.
    """
    tally, judge, disk = Tally(), Judge(past, folder), Disk(ignores_syncs=ignores_syncs)
    points: set[int] = set()
    for number, (moment, authority) in enumerate(past.moments(disk)):
        if number % every or moment.events < since:
            continue
        points.add(moment.events)
        going_on = variants[(number // resume_every) % len(variants)] if number % resume_every == 0 else None
        for variant in variants:
            image = disk.image(variant, Random(f"{SEED} {moment.events} {variant}"))
            tally.images += 1
            problems = judge.problems(image, moment, authority)
            if variant == going_on and not problems:
                problems = judge.resume(image, moment, authority.copy())
                tally.resumed += 1
            place = (
                f"event {moment.events} of {past.events} ({moment.latest}), {variant} of what was not synced"
            )
            tally.problems += [f"{place}: {problem}" for problem in problems]
    tally.points, tally.opened = len(points), judge.opened
    return tally
