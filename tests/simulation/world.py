"""Four devices, an authority and a bad network in memory, driven by a seed, and watched by the model."""

import sys
from dataclasses import replace
from random import Random

import msgspec

from rightfit_sync import Change
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.snapshot import Recorded
from rightfit_sync.life import is_deleted
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.testing.network import FakeNetwork
from rightfit_sync.wire import codec
from rightfit_sync.wire.messages import SyncRequest, SyncResponse
from tests.simulation.model import TEXTS, Found, Json, Key, Model, Typed, Write, is_alive
from tests.simulation.pen import Pen, shown_at
from tests.simulation.schema import AUDIENCE, FORBIDDEN, GROUPS, MERGING, SCHEMA, authorize


class World:
    """One history. `story` tells it, for whoever has to find out what went wrong."""

    def __init__(self, seed: int, *, devices: int = 4) -> None:
        self.random = Random(seed)
        self.model = Model()
        self.authority = MemoryAuthority(SCHEMA, authorize=authorize)
        self.authority.grant("everybody", AUDIENCE)
        self.network = FakeNetwork(self.random, loss=0.15, repetition=0.15)
        self.story: list[str] = []
        self.problems: list[str] = []
        self.devices: dict[str, MemoryDevice] = {}
        self._by_name: dict[str, Write] = {}
        self.pen = Pen(self.random)
        self._recorded = 0
        self._time = 1_000_000
        for name in [f"dev{letter}" for letter in "abcdefgh"[:devices]]:
            skew = self.random.choice([0, 0, -500_000, 10**9])
            self.devices[name] = MemoryDevice(name, SCHEMA, clock=lambda skew=skew: self._clock() + skew)  # type: ignore[misc]
            self.authority.register(name, "everybody")

    def _clock(self) -> int:
        self._time += self.random.randrange(3)
        return self._time

    def say(self, sentence: str) -> None:
        self.story.append(sentence)

    # Writing

    def begin(self) -> None:
        """Everybody has a few records in common."""
        name, device = next(iter(self.devices.items()))
        for key in (
            ("site", "s1"),
            ("site", "s2"),
            ("job", "j1"),
            ("job", "j2"),
            ("memo", "m1"),
            ("task", "t1"),
        ):
            self.create(name, key)
        device.sync(self.authority, self._clock())
        self._watch()
        for other in self.devices:
            self._take(other, self.authority.sync(other, self.devices[other].request(), self._clock()))

    def create(self, name: str, key: Key, transaction: str | None = None) -> None:
        wanted: dict[str, Json] = {"title": self.pen.word()}
        if key[0] != "site":
            wanted["site_id"] = "nowhere" if self.pen.plants(0.05) and self.pen.made else "s1"
        if key[0] == "job":
            wanted |= {
                "notes": self.pen.marked("notes", 2),
                "log": self.pen.marked("log", 2),
                "cost": 10,
                "status": "OPEN",
                "items/1": "V",
            }
        self.pen.made += 1
        planted = "nowhere" if wanted.get("site_id") == "nowhere" else ""
        change = self.devices[name].create(key, wanted, transaction)
        assert change is not None
        texts = {
            path: Typed(frozenset(str(wanted[path])) - {" "}, frozenset()) for path in TEXTS & set(wanted)
        }
        self.noted(name, key, change, Write(0, name, key, "create", wanted, texts=texts, planted=planted))

    def act(self, name: str) -> None:
        """Somebody does something on one device."""
        roll = self.random.random()
        keys = [
            key
            for key in sorted(self.devices[name].store.views)
            if self.devices[name].entity(key) is not None
        ]
        if not keys or roll < 0.04:
            kind = self.random.choice(["site", "job", "memo", "task"])
            self.create(name, (kind, f"{kind}-{name}-{self.pen.made}"))
            return
        if roll < 0.10:
            transaction = f"transaction-{self.pen.made}-{name}"
            self.pen.made += 1
            for key in self.random.sample(keys, min(len(keys), self.random.randrange(2, 4))):
                self.touch(name, key, transaction)
            return
        jobs = [key for key in keys if key[0] == "job"]
        key = self.random.choice(jobs if jobs and self.random.random() < 0.75 else keys)
        if roll < 0.12:
            self._set_one_aside(name)
        elif roll < 0.15:
            self._retry_one(name)
        elif roll < 0.22:
            self.resolve(name, key)
        elif roll < 0.27:
            self._life(name, key)
        else:
            self.touch(name, key)

    def touch(self, name: str, key: Key, transaction: str | None = None) -> None:
        """Edit a field or two of a record, if it is alive on this screen."""
        device = self.devices[name]
        entity = device.entity(key)
        if entity is None or not device.view(key):
            return
        wanted: dict[str, Json] = {}
        for _ in range(self.random.choice([1, 1, 1, 2])):
            path, value = self.pen.value(key, entity)
            wanted[path] = value
        items = tuple(f"{path}/" for path in wanted if path.startswith("items/"))
        before = {path: shown_at(entity, path) for path in entity.fields if items and path.startswith(items)}
        before |= {path: shown_at(entity, path) for path in wanted}
        groups = [group for group in GROUPS if group in wanted]
        flat = {path: value for path, value in wanted.items() if path not in groups}
        for group in groups:
            flat |= dict(wanted[group])  # type: ignore[call-overload]
        change = device.edit(key, flat, transaction)
        if change is None:
            return
        texts = {
            path: typed(str(before[path] or ""), str(wanted[path] or ""))
            for path in TEXTS & set(change.patches)
        }
        write = Write(
            0,
            name,
            key,
            "edit",
            {path: wanted[path] for path in change.patches},
            before,
            texts,
            frozenset(path for path in entity.fields if len(entity.fields[path]) > 1),
            transaction=transaction,
            planted=FORBIDDEN
            if FORBIDDEN in wanted.values()
            else "nowhere"
            if "nowhere" in wanted.values()
            else "",
        )
        self.noted(name, key, change, write)
        self._own_edit_is_shown(name, write)

    def resolve(self, name: str, key: Key) -> None:
        """Settle one of the conflicts of a record, if there is one on this screen."""
        device = self.devices[name]
        entity, listed = device.entity(key), [one for one in device.conflicts(key) if one.reason != "orphan"]
        if entity is None or not listed:
            return
        conflict = self.random.choice(listed)
        values = [sibling.value for sibling in entity.fields.get(conflict.path, ())]
        if conflict.reason == "delete_edit":
            choice: Json = self.random.choice(["keep", "delete"])
            change = device.resolve(key, conflict.path, choice)
            assert change is not None
            self.noted(name, key, change, Write(0, name, key, change.op))
            return
        choice = self.random.choice([None, "M"] if conflict.reason == "removed_item" else values)
        change = device.resolve(key, conflict.path, choice)
        assert change is not None
        texts = {}
        if conflict.path in TEXTS:
            all_marks = frozenset("".join(str(value or "") for value in values)) - {" "}
            chosen = frozenset(str(choice or ""))
            texts = {conflict.path: Typed(frozenset(), all_marks - chosen, chosen)}
        self.noted(name, key, change, Write(0, name, key, "resolve", {conflict.path: choice}, texts=texts))

    def _life(self, name: str, key: Key) -> None:
        device = self.devices[name]
        entity = device.entity(key)
        if entity is None:
            return
        gone = is_deleted(entity, SCHEMA.kinds[key[0]])
        change = device.restore(key) if gone else device.delete(key)
        assert change is not None
        self.noted(name, key, change, Write(0, name, key, change.op))

    def _set_one_aside(self, name: str) -> None:
        device = self.devices[name]
        pending = [entry.change for entry in device.store.pending() if entry.change.op != "void"]
        if not pending:
            return
        change = self.random.choice(pending)
        device.core.set_aside(change.dot, rejected("discarded", "the user gave it up"))
        aside = {one.change.dot for one in device.store.rejected() if one.outcome.code == "discarded"}
        for dot in aside:
            write = self._by_name[str(dot)]
            write.is_on_screen = False
            if write.fate == "pending":
                write.fate = "set aside"
                self.say(f"{name} sets {write} aside")

    def _retry_one(self, name: str) -> None:
        """Somebody tries a rejected change again."""
        device = self.devices[name]
        given_up = [one.change for one in device.store.rejected() if one.change.op == "edit"]
        if not given_up:
            return
        former = self.random.choice(given_up)
        write, key = self._by_name[str(former.dot)], (former.kind, former.entity_id)
        entity = device.entity(key)
        if write.planted or entity is None or not device.view(key):
            return
        change = device.core.retry(former.dot, device.clock())
        write.is_retried = True
        if change is None:
            return
        before = {path: shown_at(entity, path) for path in write.values}
        before |= {
            path: was for path, was in write.before.items() if path in MERGING and path in change.patches
        }
        values = {path: write.values[path] for path in change.patches}
        beside = frozenset(path for path in entity.fields if len(entity.fields[path]) > 1)
        # Where a text was built on another that was refused, trying it again says that other one too.
        texts = {
            path: replace(was, may_add=frozenset(str(values[path] or "")))
            for path, was in write.texts.items()
            if path in values
        }
        self.noted(name, key, change, Write(0, name, key, "edit", values, before, texts, beside))

    def noted(self, name: str, key: Key, change: Change, write: Write) -> None:
        write.transaction = change.transaction_id
        self._by_name[str(change.dot)] = self.model.write(write)
        self.say(f"{change.dot}: {write}")

    def _own_edit_is_shown(self, name: str, write: Write) -> None:
        """Whatever its clock says, a device shows what its user has just typed."""
        entity = self.devices[name].entity(write.key)
        assert entity is not None
        for path, value in write.values.items():
            monotone = path in ("high", "low", "serial", "completion")
            if not monotone and not path.startswith("tags/") and shown_at(entity, path) != value:
                self.problems.append(f"{write}: the screen shows {shown_at(entity, path)!r} at {path}")

    # The wire

    def send(self, name: str) -> None:
        """A device sends a request, pushing any prefix of what is pending."""
        request = self.devices[name].request(
            self.random.choice([0, 1, 2, 3, 100]), self.random.choice([1, 3, 1000])
        )
        self.network.send(name, "authority", codec.encode(request))
        self.say(f"{name} sends {[str(one.change.dot) for one in request.changes]}")

    def partition(self, name: str) -> None:
        """Cut one direction between a device and the authority, or mend it."""
        ends = self.random.choice([(name, "authority"), ("authority", name)])
        is_cut = self.random.random() < 0.4
        self.say(f"the way from {ends[0]} to {ends[1]} is {'cut' if is_cut else 'open'}")
        (self.network.cut if is_cut else self.network.heal)(*ends)

    def deliver(self) -> None:
        message = self.network.deliver()
        if message is None:
            return
        if message.recipient != "authority":
            self._take(message.recipient, codec.decode(message.body, codec.MSGPACK, SyncResponse))
            return
        request = codec.decode(message.body, codec.MSGPACK, SyncRequest)
        try:
            response = self.authority.sync(message.sender, request, self._clock())
        except RemoteError as error:
            if error.code != "counter_gap":
                self.problems.append(f"{message.sender} is told {error.code}: {error}")
            return
        self._watch()
        self.network.send("authority", message.sender, codec.encode(response))

    def _take(self, name: str, response: SyncResponse) -> None:
        self.devices[name].take(response)
        self.say(
            f"{name} takes {[f'{r.dot} {r.outcome.status} {r.outcome.code}' for r in response.receipts]}"
        )
        for receipt in response.receipts:
            if not receipt.outcome.is_accepted:
                self._by_name[str(receipt.dot)].is_on_screen = False
        for row in response.page.rows if response.page is not None else ():
            self.model.row_came(name, (row.entity.kind, row.entity.entity_id), row.seq)

    def _watch(self) -> None:
        """Tell the model what the authority has just done."""
        for recorded in self.authority.history[self._recorded :]:
            self._judge(recorded)
        self._recorded = len(self.authority.history)
        for key, held in self.authority.held.items():
            if (key, held.seq) not in self.model.places:
                self.model.row_has_place(key, held.seq)

    def _judge(self, recorded: Recorded) -> None:
        change, outcome = recorded.change, recorded.outcome
        write = self._by_name.get(str(change.dot))
        self.say(f"authority: {change.dot} {outcome.status} {outcome.code} {list(outcome.paths)}")
        if write is None:
            values = {
                path: None if patch.value is msgspec.UNSET else patch.value
                for path, patch in change.patches.items()
            }
            self.model.by_authority((change.kind, change.entity_id), change.op, values)
        elif outcome.status == "duplicate":
            assert change.was is not msgspec.UNSET
            self.model.arrived_before(write, self._by_name[str(change.was.dot)])
        elif outcome.is_accepted:
            self.model.accepted(write)
        elif outcome.status == "rejected":
            write.fate, write.code = "rejected", outcome.code
        else:
            write.fate = "void"

    # The end

    def finish(self) -> None:
        """The network calms down, and everybody syncs."""
        self.network.calm()
        while len(self.network):
            self.deliver()
        for _ in range(2):
            for name, device in self.devices.items():
                for _ in range(100):
                    response = self.authority.sync(name, device.request(), self._clock())
                    self._watch()
                    self._take(name, response)
                    if (
                        response.page is not None
                        and not response.page.more
                        and not list(device.store.pending())
                    ):
                        break

    def check(self) -> list[str]:
        """Return a sentence for everything that is wrong."""
        found = list(self.problems)
        for key, held in self.authority.held.items():
            entity = held.entity
            end = Found(
                {path: [one.value for one in siblings] for path, siblings in entity.fields.items()},
                is_deleted(entity, SCHEMA.kinds[key[0]]),
                frozenset(conflict.path for conflict in self.authority.conflicts(key)),
            )
            found += [f"{key}: {sentence}" for sentence in self.model.problems(key, end)]
        for name in self.devices:
            found += [f"{name}: {sentence}" for sentence in self._differences(name)]
        return [*found, *self._unexplained(), *self._orphans()]

    def _differences(self, name: str) -> list[str]:
        device = self.devices[name]
        found = [f"{entry.change.dot} is still in the outbox" for entry in device.store.pending()]
        keys = {key for key in device.store.views if device.entity(key) is not None}
        if keys != set(self.authority.held):
            found.append(f"holds {sorted(keys ^ set(self.authority.held))} differently")
        for key in keys & set(self.authority.held):
            if msgspec.to_builtins(device.entity(key)) != msgspec.to_builtins(self.authority.entity(key)):
                found.append(f"{key} differs: {device.entity(key)} is not {self.authority.entity(key)}")
            ours, theirs = device.conflicts(key), self.authority.conflicts(key)
            if [one.conflict_id for one in ours] != [one.conflict_id for one in theirs]:
                found.append(f"{key}: conflicts {[c.path for c in ours]} are not {[c.path for c in theirs]}")
            if device.store.views[key].entity != device.entity(key):
                found.append(f"{key}: the view is stale")
        found += [
            f"{one.change.dot}: its payload is gone"
            for one in device.store.rejected()
            if one.change.op == "void"
        ]
        rejected_names = {str(one.change.dot) for one in device.store.rejected()}
        for dot, write in self._by_name.items():
            if write.device == name and (
                write.fate in ("rejected", "void", "set aside") and not write.is_retried
            ) != (dot in rejected_names):
                found.append(f"{write} in the rejected list: {dot in rejected_names}")
        return found

    def _unexplained(self) -> list[str]:
        waiting = ("pending", "set aside")
        return [
            f"{write}: why?"
            for write in self.model.writes
            if write.fate in waiting or (write.fate == "rejected" and not self._is_explained(write))
        ]

    def _is_explained(self, write: Write) -> bool:
        others = self.model.writes
        if write.code == "forbidden":
            return write.planted == FORBIDDEN
        if write.code == "unknown_reference":
            wanted = ("site", str(write.values.get("site_id")))
            return not any(
                one.op == "create" and one.key == wanted and one.fate == "accepted" for one in others
            )
        if write.code == "restricted":
            return write.op == "delete" and write.key[0] == "site"
        if write.code == "transaction_rejected":
            mates = [one for one in others if one.transaction == write.transaction and one is not write]
            return any(not is_alive(one) and one.code != "transaction_rejected" for one in mates)
        gone = [
            one for one in others if one.device == write.device and not is_alive(one) and one.key == write.key
        ]
        if write.code == "unknown_entity":
            return any(one.op == "create" for one in gone)
        shared = [one for one in gone if {path for path in one.values if write.touches(path)}]
        return write.code == "depends_on_rejected" and any(one.number in write.seen for one in shared)

    def _orphans(self) -> list[str]:
        found = []
        for key, held in self.authority.held.items():
            target = ("site", str(shown_at(held.entity, "site_id")))
            alive = not is_deleted(held.entity, SCHEMA.kinds[key[0]])
            dangles = target in self.authority.held and is_deleted(
                self.authority.held[target].entity, SCHEMA.kinds["site"]
            )
            listed = any(one.reason == "orphan" for one in self.authority.conflicts(key))
            if alive and dangles != listed:
                found.append(
                    f"{key} refers to {target}, which is {'gone' if dangles else 'there'}; listed: {listed}"
                )
        return found


def typed(before: str, after: str) -> Typed:
    return Typed(frozenset(after) - frozenset(before) - {" "}, frozenset(before) - frozenset(after) - {" "})


def play(seed: int, *, steps: int = 60) -> World:
    """Play one history to its end."""
    world = World(seed)
    world.begin()
    names = list(world.devices)
    for _ in range(steps):
        roll = world.random.random()
        if roll < 0.02:
            world.partition(world.random.choice(names))
        elif roll < 0.45:
            world.act(world.random.choice(names))
        elif roll < 0.65:
            world.send(world.random.choice(names))
        else:
            world.deliver()
    world.finish()
    return world


if __name__ == "__main__":
    told = play(int(sys.argv[1]))
    print(*told.story, "", *told.check(), sep="\n")
