"""The simulated world: phones, an authority, the ledger that watches, and a trace of everything that happens.

Nothing here is drawn by chance: operations bring their own. The time goes on by the number of the operation, so that
leaving some of them out does not move the others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from rightfit_sync.causality.dot import Dot, is_authority
from rightfit_sync.digests import canonical_state
from rightfit_sync.identity import former_dots
from rightfit_sync.ingest.snapshot import Recorded
from rightfit_sync.records import Alias, Change, Entity, Outcome, digest, rejected
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ledger import Ledger, Rules, Write
from rightfit_sync.testing.simulation.ledger.book import Kept
from rightfit_sync.testing.simulation.phone import Phone, PhoneClock
from rightfit_sync.testing.simulation.ports import (
    Authorize,
    Decided,
    FreshId,
    Installation,
    Placed,
    Request,
    SimulatedAuthority,
    SimulatedDevice,
)
from rightfit_sync.testing.simulation.scenario import Scenario, older, tags_of
from rightfit_sync.testing.simulation.schedule import Plan
from rightfit_sync.testing.simulation.standing import StandingTexts
from rightfit_sync.testing.simulation.workload import FORBIDDEN, POISON, Workload
from rightfit_sync.values import Value

_BEGINNING = 1_760_000_000_000
_OPERATION_MS = 1_000

UNMARKED_EVERY = 2
"""Every so-manieth phone keeps no marker outside of its backups, unless the server is restored in its world."""


class Stray(NamedTuple):
    """A request that is still on the wire, after its sender has given up waiting."""

    phone: Phone
    body: bytes
    request_type: type[Request]


class Ports(Protocol):
    """Where devices and authorities come from."""

    def device(self, installation: Installation) -> SimulatedDevice:
        """Make a device."""

    def authority(self, schema: Schema, authorize: Authorize) -> SimulatedAuthority:
        """Make an authority."""


class World:
    """One history in the making. `story` tells it; `problems` is what was wrong on the way."""

    def __init__(self, plan: Plan, scenario: Scenario, ports: Ports) -> None:
        self.plan = plan
        self.scenario = scenario
        self.old_schema = older(scenario.schema)
        self.ledger = Ledger(Rules(msgspec.to_builtins(scenario.schema), scenario.holds))
        self.workload = Workload(scenario)
        self.standing = StandingTexts()
        self.story: list[str] = []
        self.problems: list[str] = []
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("faults", "policies", "outcomes", "acts", "states")
        }
        self.unsighted: set[Key | str] = set()
        self.strays: list[Stray] = []
        self.backups: list[tuple[object, Kept, dict[str, tuple[str, ...]]]] = []
        self.lives = 0
        self._hash = blake2b(digest_size=16)
        self._time = _BEGINNING
        self._by_name: dict[tuple[Dot, str], Write] = {}
        self._accepted: dict[Dot, Write] = {}
        self._refused_as: dict[int, Dot] = {}
        self._dots: dict[int, set[Dot]] = {}
        self._links: dict[Key, set[Key]] = {}
        self._by_rule: set[Dot] = set()
        self._owners: dict[str, str] = {}
        self.retried: dict[tuple[str, Dot, str], Write] = {}
        self.authority_is_old = plan.is_old
        schema = self.old_schema if plan.is_old else scenario.schema
        self.authority = ports.authority(schema, self._authorize)
        self.tags = tags_of(scenario.schema)
        self.grants: dict[str, tuple[str, ...]] = {}
        self._always: dict[str, tuple[str, ...]] = {}
        for number in range(plan.subjects):
            self.grant(f"subject {number}", self.tags if number == 0 else self.tags[number % 2 :: 2])
        self.phones = [self._phone(place, ports) for place in range(len(plan.devices))]

    def _phone(self, place: int, ports: Ports) -> Phone:
        planned = self.plan.devices[place]
        name, token, subject = f"device {place}", f"device-{place}", f"subject {planned.subject}"
        clock = PhoneClock(self.tick, planned.clock)
        schema = self.old_schema if planned.is_old and place else self.scenario.schema
        self.authority.register(token, subject)
        fresh_id = self.fresh_ids(name, token)
        # The server alone tells a copied file from the original; where it may be restored, too, markers are needed.
        has_marker = place % UNMARKED_EVERY > 0 or any(op.name == "F08" for op in self.plan.ops)
        made_with = Installation(token, schema, subject, clock, fresh_id, planned.rows_max, has_marker)
        return Phone(name, ports.device(made_with), subject, clock)

    def fresh_ids(self, name: str, token: str) -> FreshId:
        """Return what makes new device ids for a phone."""
        made = [0]

        def fresh_id() -> str:
            made[0] += 1
            device_id = f"{name.replace(' ', '-')}.{made[0]}"
            self._owners[device_id] = name
            return device_id

        self._owners.setdefault(token, name)
        return fresh_id

    def upgrade_authority(self) -> None:
        """Let the authority serve the schema of the present version."""
        if self.authority_is_old:
            self.authority.upgrade(self.scenario.schema)
            self.authority_is_old = False
            self.say("the authority serves the new schema")

    @property
    def schema_version(self) -> int:
        """The version of the schema that the authority serves."""
        return (self.old_schema if self.authority_is_old else self.scenario.schema).schema_version

    def rewind(self, phone: Phone) -> None:
        """An older copy of a phone's disk was put back, or a copy of it begins to live."""
        waiting, listed = set[int](), set[int]()
        for one in self.phones:
            for pushed in one.device.pending():
                write = self.find(pushed.change, pushed.digest)
                if write is not None and pushed.change.op != "void":
                    waiting.add(write.number)
            for refused in one.device.rejected():
                write = self.find(refused.change, refused.digest)
                listed.update(() if write is None else (write.number,))
        self.ledger.rewind(phone.name, frozenset(waiting), frozenset(listed))

    def add(self, phone: Phone) -> None:
        """Let another phone join in, a copy of one that there is."""
        self.phones.append(phone)

    # Telling

    def say(self, sentence: str) -> None:
        """Tell one thing that happened."""
        self.story.append(sentence)
        self._hash.update(sentence.encode())

    def trace(self, body: bytes) -> None:
        """Let a message count in the trace."""
        self._hash.update(body)

    @property
    def trace_hash(self) -> str:
        """A hash of everything so far: every message, write and outcome."""
        return self._hash.hexdigest()

    def wrong(self, sentence: str) -> None:
        """Something is not as it must be."""
        self.problems.append(sentence)

    def happened(self, fault: str) -> None:
        """A fault has really happened."""
        self.counts["faults"][fault] += 1

    def tick(self) -> int:
        """Read the true time."""
        self._time += 1
        return self._time

    def at(self, number: int) -> None:
        """Let the time of an operation come."""
        self._time = max(self._time, _BEGINNING + number * _OPERATION_MS)

    # The rules of the simulated application

    def _authorize(self, subject: str, entity: Entity | None, change: Change) -> Outcome | None:
        values = [patch.value for patch in change.patches.values()]
        if any(value == POISON for value in values):
            raise ValueError(POISON)
        if any(value == FORBIDDEN for value in values):
            return rejected("forbidden", "not this word")
        own = self.scenario.authorize
        outcome = None if own is None else own(subject, entity, change)
        if outcome is not None:
            self._by_rule.add(change.dot)
        return outcome

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give a subject exactly these tags."""
        if set(self.grants.get(subject, ())) - set(tags):
            self.unsighted.update(
                phone.name for phone in getattr(self, "phones", ()) if phone.subject == subject
            )
        self.grants[subject] = tuple(sorted(tags))
        self.authority.grant(subject, tags)

    def go_back_to(self, grants: Mapping[str, tuple[str, ...]]) -> None:
        """A restored authority knows the grants of then; what was not seen under both may be gone with either."""
        for subject, tags in self.grants.items():
            both = set(tags) & set(grants.get(subject, ())) & set(self._always.get(subject, tags))
            self._always[subject] = tuple(sorted(both))
        self.grants = dict(grants)

    # Writes by name

    def name(self, change: Change, write: Write, known_as: str | None = None) -> None:
        """Remember under which dot and digest a write goes.

        Who puts an older copy back and does the very same again, at the same time by its clock, has written once.
        """
        name = (change.dot, known_as or digest(change))
        former = self._by_name.setdefault(name, write)
        if former is not write:
            self.ledger.arrived_before(write, former)
        self._dots.setdefault(write.number, set()).add(change.dot)

    def knows(self, change: Change, known_as: str) -> bool:
        """Whether this change has been told to the ledger."""
        return (change.dot, known_as) in self._by_name

    def find(self, change: Change, known_as: str) -> Write | None:
        """Return the write that a change says, under this name or under a former one.

        `known_as` is its digest, empty where that is to be worked out.
        """
        known_as = known_as or digest(change)
        found = self._by_name.get((change.dot, known_as))
        if found is None and isinstance(change.was, Alias):
            name = (change.was.dot, change.was.digest)
            again = self.retried.get((self._owners.get(change.dot.device_id, ""), *name))
            is_again = again is not None and not self._dots[again.number].isdisjoint(former_dots(change))
            found = again if is_again else self._by_name.get(name)
            if found is not None:
                self.name(change, found, known_as)
        return found

    # Watching the authority

    def watch(self) -> None:
        """Tell the ledger what the authority has just done."""
        for fact in self.authority.facts():
            if isinstance(fact, Decided):
                self._judge(fact.recorded)
            elif isinstance(fact, Placed):
                self.ledger.placed(fact.key, fact.seq, _state(fact.entity))
            else:
                self.counts["acts"]["join"] += 1
                self.say(f"  authority: joins {fact.key[0]}/{fact.key[1]}")
                self.ledger.joined(fact.key, _state(fact.entity))

    def _judge(self, recorded: Recorded) -> None:
        change, outcome = recorded.change, recorded.outcome
        self.say(
            f"  authority: {change.dot} {outcome.status} {outcome.code} {' '.join(outcome.paths)}".rstrip()
        )
        self.counts["outcomes"][
            outcome.status if outcome.status != "rejected" else f"rejected {outcome.code}"
        ] += 1
        write = self.find(change, recorded.digest)
        if is_authority(change.dot.device_id):
            self._wrote_itself(change)
        elif write is None:
            self.wrong(f"the authority took in {change.dot}, and nobody wrote it")
        elif outcome.status == "duplicate":
            former = self._accepted.get(outcome.twin) if outcome.twin is not None else None
            self.ledger.arrived_before(write, former or write)
        elif outcome.is_accepted:
            self._accept(write, change)
        elif outcome.status == "rejected":
            self._refused_as.setdefault(write.number, change.dot)
            self.ledger.rejected(write, outcome.code, by_rule=change.dot in self._by_rule)
        else:
            self._refused_as.setdefault(write.number, change.dot)
            self.ledger.voided(write)

    def _accept(self, write: Write, change: Change) -> None:
        # A late request may bring it under a former name, after it was refused under a later one: both are told.
        was_refused_as = self._refused_as.get(write.number, change.dot)
        self.ledger.accepted(write, is_other_name=was_refused_as != change.dot)
        self._accepted[change.dot] = write
        for path in write.values:
            self.counts["policies"][self.ledger.rules.of(write.key[0], path).word] += 1
        self._note_moves(write)
        if write.op == "create" and not self._begins_in_sight(write, self.grants[self._subject_of(write)]):
            self.unsighted.add(write.key)

    def _subject_of(self, write: Write) -> str:
        return next(phone.subject for phone in self.phones if phone.name == write.who)

    def _begins_in_sight(self, write: Write, tags: Collection[str]) -> bool:
        """Whether who holds these tags sees a new record, from what was written there."""
        kind = self.scenario.schema.kinds[write.key[0]]
        filled = {template.format_map(_Blanks(write.values)) for template in kind.audience}
        return not filled.isdisjoint(tags)

    def _wrote_itself(self, change: Change) -> None:
        key = (change.kind, change.entity_id)
        values = {
            path: None if patch.value is msgspec.UNSET else patch.value
            for path, patch in change.patches.items()
        }
        before = {
            path: None if patch.base is msgspec.UNSET else patch.base
            for path, patch in change.patches.items()
        }
        entity = self.authority.entities().get(key)
        beside = {path for path in values if entity is not None and len(entity.fields.get(path, ())) > 1}
        write = self.ledger.wrote_itself(key, change.op, values, before, frozenset(beside))
        self._accepted[change.dot] = write
        for path in values:
            self.counts["policies"][self.ledger.rules.of(key[0], path).word] += 1
        self._note_moves(write)

    def _note_moves(self, write: Write) -> None:
        """Remember records whose sight a write may have changed: its own, and those that borrow from it."""
        key = write.key
        kind = self.scenario.schema.kinds.get(key[0])
        if kind is None:
            return
        names = {path.partition("/")[0] for path in write.values}
        named = {kind.references[name].kind: write.values[name] for name in names & set(kind.references)}
        self._links.setdefault(key, set()).update((target, str(one)) for target, one in named.items() if one)
        is_moved = any(f"{{{name}}}" in template for template in kind.audience for name in names)
        if is_moved or (named and write.op != "create") or write.op in ("delete", "restore"):
            holders = {holder for holder, targets in self._links.items() if key in targets}
            self.unsighted.update({key, *self._links[key], *holders})

    def lend_no_more(self, keys: Iterable[Key]) -> None:
        """Remember what borrowed its audience from records that are forgotten now."""
        gone = set(keys)
        self.unsighted.update(holder for holder, targets in self._links.items() if targets & gone)

    # What screens come to show

    def survey(self, phone: Phone, *, is_of_lost_past: bool = False) -> None:
        """Tell the ledger which rows a phone holds now; `is_of_lost_past`: after a page sent before a restore.

        What such a page took out of the subject's sight is gone from the phone with good reason.
        """
        screens, came = self.ledger.screens(phone.name), phone.line.rows
        held = phone.device.rows({*screens, *came})
        for key, (row, life) in list(came.items()):
            # What a comparison brought is held without its number.
            if key in held and held[key].seq in (0, row.seq) and held[key].entity == row.entity:
                self.ledger.row_came(phone.name, key, life, row.seq)
                del came[key]
        for key, screen in list(screens.items()):
            if key not in held and (screen.trunk or screen.own):
                self.lost_row(phone, key)
                if is_of_lost_past or (self.lives and not self._can_see(phone, key)):
                    self.ledger.excuse([key])

    def lost_row(self, phone: Phone, key: Key) -> None:
        """A phone has no row of this record any more; what is in its outbox is all that it shows of it."""
        self.ledger.row_went(phone.name, key, self._in_outbox(phone, key))

    def _can_see(self, phone: Phone, key: Key) -> bool:
        if key in self.authority.entities():
            return key in self.authority.visible_to(phone.subject)
        made = [write for write in self.ledger.record(key).writes if write.op == "create"]
        tags = self._always.get(phone.subject, self.grants[phone.subject])
        return any(self._begins_in_sight(write, tags) for write in made)

    def _in_outbox(self, phone: Phone, key: Key) -> int:
        return sum(
            write.bit
            for write in self.ledger.record(key).these(self.ledger.screen(phone.name, key).own)
            if any(phone.device.outbox_has(dot) for dot in self._dots.get(write.number, ()))
        )

    def leave(self, phone: Phone, dots: Collection[tuple[Dot, str]]) -> None:
        """Writes that were answered, and not accepted as they were, have left the screen if they left the outbox."""
        for dot, known_as in dots:
            write = self._by_name.get((dot, known_as))
            if write is not None and not phone.device.outbox_has(dot):
                self.ledger.left_screen(phone.name, write)

    def come_back(self, phone: Phone, dots: Collection[tuple[Dot, str]]) -> None:
        """Writes that were given up, and accepted as they were, are on the screen again if the outbox holds them."""
        found = (self._by_name.get(one) for one in dots)
        given_up = [write for write in found if write is not None and write.was_refused]
        if not given_up:
            return
        waiting = {pushed.change.dot for pushed in phone.device.pending()}
        for write in given_up:
            if any(phone.device.outbox_has(dot) for dot in self._dots.get(write.number, set()) - waiting):
                self.ledger.is_back(phone.name, write)

    def note_names(self, phone: Phone) -> None:
        """Find out under which names a phone keeps its writes now, after it took a new device id."""
        for pushed in phone.device.pending():
            if self.find(pushed.change, pushed.digest) is None:
                self.wrong(f"{phone} keeps {pushed.change.dot}, and nobody wrote it")

    def rule_word(self, key: Key, path: str) -> str:
        """Return the merge word that rules a path."""
        return self.ledger.rules.of(key[0], path).word


class _Blanks(dict[str, Value]):
    """What fills the blanks of a template; a missing one gives a tag that nobody holds."""

    def __missing__(self, name: str) -> str:
        return f"no {name}"


def _state(entity: Entity) -> bytes:
    return blake2b(canonical_state(entity), digest_size=16).digest()
