"""`Ledger`: what happened, told by somebody who watches the screens and the authority's feed.

Per record it keeps every write; per screen (a device, whatever its id is by now) which writes it shows: its own that
are still in its outbox, and those inside the authority's row that it holds. What a row contains is remembered by the
place in the feed that it was given, in each *life* of the authority (a restored authority lives again, and may hand
out the same places). Nothing is merged here: rows are sets of writes, and a join unites two.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rightfit_sync.testing.simulation.ledger.rules import Rules
from rightfit_sync.testing.simulation.ledger.writes import AUTHORITY, Json, Key, Typed, Write, places


@dataclass(slots=True)
class Record:
    """One record: its writes by place, those that the authority has taken in, and what its rows contained."""

    key: Key
    writes: list[Write] = field(default_factory=list)
    taken: int = 0
    rows: dict[tuple[int, int], int] = field(default_factory=dict)
    states: dict[bytes, int] = field(default_factory=dict)
    is_joined: bool = False
    is_purged: bool = False
    was_purged: bool = False
    was_lost: bool = False
    excused: int = 0

    def these(self, bits: int) -> list[Write]:
        """Return the writes of a set, in the order of their making."""
        return [self.writes[place] for place in places(bits)]


@dataclass(slots=True)
class Screen:
    """What one device shows of one record, and what it has let go of.

    `runs` are unsent text writes, each with the row it was made on; `given_up` are writes of its own that were refused
    or set aside, and left it.
    """

    own: int = 0
    trunk: int = 0
    given_up: int = 0
    runs: list[tuple[Write, int]] = field(default_factory=list)


@dataclass(slots=True)
class Kept:
    """What an authority held when it was backed up."""

    life: int
    taken: dict[Key, int]
    purged: frozenset[Key]


class Ledger:
    """Everything that was written, and what each screen knew."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.writes: list[Write] = []
        self.records: dict[Key, Record] = {}
        self.transactions: dict[str, list[Write]] = {}
        self.life = 0
        self.rewound: set[str] = set()
        self._parents: dict[int, int] = {}
        self._screens: dict[str, dict[Key, Screen]] = {}

    def record(self, key: Key) -> Record:
        """Return the record of `key`, an empty one where nothing was written yet."""
        found = self.records.get(key)
        if found is None:
            found = self.records[key] = Record(key)
        return found

    def screen(self, who: str, key: Key) -> Screen:
        """Return what `who` shows of `key`."""
        return self._screens.setdefault(who, {}).setdefault(key, Screen())

    def screens(self, who: str) -> dict[Key, Screen]:
        """Return all that `who` shows."""
        return self._screens.setdefault(who, {})

    # What people and the authority do

    def wrote(
        self,
        who: str,
        key: Key,
        op: str,
        values: Mapping[str, Json],
        before: Mapping[str, Json],
        *,
        texts: Mapping[str, Typed] | None = None,
        beside: frozenset[str] = frozenset(),
        transaction: str | None = None,
        planted: frozenset[str] = frozenset(),
    ) -> Write:
        """Somebody wrote; what the screen had shown is worked out here."""
        write = self._noted(who, key, op, values, before, texts or {}, beside, transaction, planted)
        screen = self.screen(who, key)
        write.seen, write.given_up = screen.own | screen.trunk, screen.given_up
        self._close_runs(screen)
        for first, trunk in reversed(screen.runs):
            write.seen_in_text.update(dict.fromkeys(first.texts, screen.own | trunk))
        if write.texts:
            screen.runs.append((write, screen.trunk))
        screen.own |= write.bit
        return write

    def wrote_itself(
        self,
        key: Key,
        op: str,
        values: Mapping[str, Json],
        before: Mapping[str, Json],
        beside: frozenset[str] = frozenset(),
    ) -> Write:
        """The authority wrote, seeing all that it had taken in."""
        write = self._noted(AUTHORITY, key, op, values, before, {}, beside, None, frozenset())
        write.seen = self.record(key).taken
        self.accepted(write)
        return write

    def _noted(
        self,
        who: str,
        key: Key,
        op: str,
        values: Mapping[str, Json],
        before: Mapping[str, Json],
        texts: Mapping[str, Typed],
        beside: frozenset[str],
        transaction: str | None,
        planted: frozenset[str],
    ) -> Write:
        record, lists = self.record(key), self.rules.lists(key[0])
        write = Write(
            *(len(self.writes), len(record.writes), who, key, op, values, before, texts, beside),
            transaction=transaction,
            planted=planted,
            lists=lists,
        )
        self.writes.append(write)
        record.writes.append(write)
        if transaction is not None:
            self.transactions.setdefault(transaction, []).append(write)
        return write

    def gave_up(self, who: str, write: Write) -> None:
        """Somebody set it aside before the authority had answered."""
        if write.fate == "pending":
            write.fate = "set aside"
        write.was_refused = True
        self.left_screen(who, write)

    def dealt_with(self, write: Write) -> None:
        """Its author tried a rejected write again, or discarded it: it need not be in the rejected list any more."""
        write.is_dealt_with = True

    # What the authority says

    def accepted(self, write: Write, *, is_other_name: bool = False) -> None:
        """The authority took it in; `is_other_name`: under another name than it was refused under before."""
        # A restored authority does not know that it had refused it; its author is told both.
        write.is_told_twice |= write.was_refused and (self.life > 0 or is_other_name)
        write.fate, write.code = "accepted", ""
        self.record(write.key).taken |= write.bit

    def rejected(self, write: Write, code: str, *, by_rule: bool = False) -> None:
        """The authority would not have it; `by_rule`: the application itself said so."""
        write.was_refused = True
        if write.fate != "accepted":
            write.fate, write.code, write.by_rule = "rejected", code, by_rule
        elif self.record(write.key).is_joined:
            # It came back inside a row, where it cannot be told apart any more: its author is asked to look.
            write.is_told_twice = True

    def voided(self, write: Write) -> None:
        """The authority took note that it was given up."""
        write.was_refused = True
        if write.fate != "accepted":
            write.fate = "void"
        elif self.record(write.key).is_joined:
            write.is_told_twice = True

    def arrived_before(self, write: Write, former: Write) -> None:
        """`write` was `former`, tried again, which had arrived: whoever saw the one saw the other."""
        write.was_recognised = True
        if write is former:
            return
        if write.fate != "accepted":
            write.fate = "duplicate"
        for other in self.record(write.key).writes:
            if other.seen & write.bit:
                other.seen |= former.bit
                for path, seen in other.seen_in_text.items():
                    other.seen_in_text[path] = seen | former.bit
        screen = self.screen(write.who, write.key)
        if screen.own & write.bit and not screen.own & former.bit:
            write.stands_for = former.bit
            screen.own |= former.bit

    def placed(self, key: Key, seq: int, state: bytes) -> None:
        """The authority gave a record's present state, known by its hash `state`, the place `seq` in its feed."""
        record = self.record(key)
        record.rows[self.life, seq] = record.states[state] = record.taken

    def _contained(self, record: Record, life: int, seq: int) -> int:
        while (life, seq) not in record.rows:
            life = self._parents[life]
        return record.rows[life, seq]

    # What screens come to show

    def row_came(self, who: str, key: Key, life: int, seq: int) -> None:
        """A screen holds this row of the feed now."""
        screen, record = self.screen(who, key), self.record(key)
        screen.trunk = self._contained(record, life, seq)
        self._close_runs(screen)

    def row_went(self, who: str, key: Key, own: int) -> None:
        """A screen holds no row of this record any more; of its own writes, `own` are still in its outbox."""
        screen = self.screen(who, key)
        screen.trunk = 0
        screen.own &= own

    def is_back(self, who: str, write: Write) -> None:
        """What its author had given up has arrived after all, and is on the screen again."""
        self.screen(who, write.key).own |= write.bit

    def left_screen(self, who: str, write: Write) -> None:
        """A write of its own is no longer in the outbox of `who`, and was not accepted."""
        screen = self.screen(who, write.key)
        screen.own &= ~(write.bit | write.stands_for)
        screen.given_up |= write.bit

    def _close_runs(self, screen: Screen) -> None:
        """Let go of text writes that the row covers, unless they share a text with one that it does not cover."""
        runs = [run for run in screen.runs if screen.own & run[0].bit]
        waiting = [run for run in runs if not screen.trunk & run[0].bit]
        while waiting:
            held = {path for write, _ in waiting for path in write.texts}
            more = [run for run in runs if run not in waiting and not held.isdisjoint(run[0].texts)]
            if not more:
                break
            waiting += more
        screen.runs = [run for run in runs if run in waiting]

    # Copies, backups and joins

    def screen_copy(self, who: str) -> dict[Key, Screen]:
        """Return what `who` shows, for a backup."""
        known = self._screens.get(who, {})
        return {key: replace(one, runs=list(one.runs)) for key, one in known.items()}

    def screen_put_back(self, who: str, copy: Mapping[Key, Screen]) -> None:
        """Let `who` show what that backup showed."""
        self._screens[who] = {key: replace(one, runs=list(one.runs)) for key, one in copy.items()}

    def rewind(self, who: str, waiting: frozenset[int], listed: frozenset[int]) -> None:
        """An older copy of `who` was put back by hand, or a copy began to live.

        `waiting` are all writes that are still in some outbox, `listed` those in some rejected list. What nobody holds
        any more was destroyed by that hand, unless the authority has it or gets it off the wire.
        """
        self.rewound.add(who)
        for write in self.writes:
            is_held = write.number in waiting or write.number in listed
            if not is_held and write.fate in ("pending", "rejected", "set aside", "void"):
                write.is_destroyed = True
            elif write.number in waiting and write.number not in listed and write.fate == "set aside":
                write.fate = "pending"
        self.excuse()

    def authority_copy(self) -> Kept:
        """Return what the authority has taken in, for a backup."""
        purged = frozenset(key for key, record in self.records.items() if record.is_purged)
        return Kept(self.life, {key: record.taken for key, record in self.records.items()}, purged)

    def authority_put_back(self, kept: Kept, life: int) -> None:
        """The authority was restored, and begins its life number `life`."""
        self.life = life
        self._parents[life] = kept.life
        for key, record in self.records.items():
            lost = record.taken & ~kept.taken.get(key, 0)
            record.taken = kept.taken.get(key, 0)
            record.was_lost |= bool(lost)
            record.is_purged = key in kept.purged
            for write in record.these(lost):
                write.fate = "lost"
            for write in record.these(record.taken):
                write.fate, write.code = "accepted", ""
        self.excuse()

    def excuse(self, keys: Iterable[Key] | None = None) -> None:
        """Excuse what the authority has lost and nobody holds any more: it may be gone for good, all else may not."""
        for key in self.records if keys is None else keys:
            record = self.records[key]
            lost = sum(write.bit for write in record.writes if write.fate == "lost")
            mine = sum(
                write.bit for write in record.writes if write.fate == "lost" and write.who == AUTHORITY
            )
            record.excused |= mine
            if lost:
                for screens in self._screens.values():
                    lost &= ~(screens[key].own | screens[key].trunk) if key in screens else lost
                record.excused |= lost

    def joined(self, key: Key, state: bytes) -> None:
        """The authority united its row with another state of it, one that it had once placed."""
        record = self.record(key)
        record.is_joined = True
        bits = record.states[state]
        record.taken |= bits
        for write in record.these(bits):
            # It may have been refused as long as nobody knew of the restore: then it is told twice, and not lost.
            write.is_told_twice |= write.fate in ("rejected", "void", "set aside")
            write.fate, write.code = "accepted", ""
        for write in record.these(record.taken):
            for original in record.these(write.says_again & bits):
                write.fate = "duplicate"
                self.arrived_before(write, original)
