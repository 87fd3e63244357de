"""Real editing sessions, replayed keystroke by keystroke: each ends in exactly the text that was published.

The concurrent one (two people, 26,078 edits, 2,258 merges) is replayed by two replicas and an authority. A
change carries the text that its writer saw and the text that it made of it, nothing else; the operations are
found again by `diff`. Ties go to the first agent. No two concurrent texts of it are ever equal.

The recordings are those of github.com/josephg/editing-traces. They are not part of this repository: they are
looked for in `$RIGHTFIT_SHARED/data/traces`, or in `../shared` beside the checkout.
"""

import gzip
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import msgspec
import pytest

from rightfit_sync import Change, Entity, Schema, Stamp, changes, view
from rightfit_sync.apply import apply as apply_change
from rightfit_sync.causality.dot import Dot
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.text import apply, diff, invert, merge

CHECKOUT = Path(__file__).parents[2]
TRACES = Path(os.environ.get("RIGHTFIT_SHARED", CHECKOUT.parent / "shared")) / "data" / "traces"


class Transaction(TypedDict):
    """Edits of one moment: `[position, deleted code points, inserted text]` each."""

    patches: list[tuple[int, int, str]]
    agent: NotRequired[int]
    parents: NotRequired[list[int]]


class Trace(TypedDict):
    endContent: str
    txns: list[Transaction]


def load(name: str) -> Trace:
    path = TRACES / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"the recording {path} is not here (set RIGHTFIT_SHARED)")
    with gzip.open(path) as file:
        trace: Trace = json.load(file)
    return trace


def edited(text: str, transaction: Transaction) -> str:
    for position, deleted, inserted in transaction["patches"]:
        assert position + deleted <= len(text)
        text = text[:position] + inserted + text[position + deleted :]
    return text


@dataclass(frozen=True)
class Edit:
    """What one change of a text carries."""

    agent: int
    base: str
    value: str


@dataclass
class Copy:
    """One text, and how many edits of each of the two agents it holds."""

    text: str = ""
    holds: list[int] = field(default_factory=lambda: [0, 0])

    def take(self, edit: Edit) -> None:
        if self.text == edit.base:
            self.text = edit.value
        elif edit.agent == 0:
            self.text = merge(edit.base, edit.value, self.text)
        else:
            self.text = merge(edit.base, self.text, edit.value)
        self.holds[edit.agent] += 1


def seen_by(transactions: list[Transaction]) -> list[list[int]]:
    """For each transaction, how many edits of each agent its author had seen."""
    after: list[list[int]] = []
    before: list[list[int]] = []
    for transaction in transactions:
        parents = [after[parent] for parent in transaction["parents"]]
        seen = [max((parent[agent] for parent in parents), default=0) for agent in (0, 1)]
        before.append(seen)
        after.append([count + (agent == transaction["agent"]) for agent, count in enumerate(seen)])
    return before


def test_the_sequential_trace_ends_in_its_text_forwards_and_backwards() -> None:
    trace = load("sveltecomponent")
    text, done = "", []
    for transaction in trace["txns"]:
        wanted = edited(text, transaction)
        operation = diff(text, wanted)
        text = apply(operation, text)
        assert text == wanted
        done.append(operation)
    assert text == trace["endContent"]
    for operation in reversed(done):
        text = apply(invert(operation), text)
    assert text == ""


def test_the_concurrent_trace_ends_in_its_text_on_both_replicas_and_the_authority() -> None:
    trace = load("friendsforever")
    replicas, authority = (Copy(), Copy()), Copy()
    edits: tuple[list[Edit], list[Edit]] = ([], [])
    for transaction, seen in zip(trace["txns"], seen_by(trace["txns"]), strict=True):
        writer = transaction["agent"]
        copy = replicas[writer]
        for edit in edits[1 - writer][copy.holds[1 - writer] : seen[1 - writer]]:
            copy.take(edit)
        assert copy.holds == seen
        edit = Edit(writer, copy.text, edited(copy.text, transaction))
        edits[writer].append(edit)
        copy.take(edit)
        authority.take(edit)
    for agent, copy in enumerate(replicas):
        for edit in edits[1 - agent][copy.holds[1 - agent] :]:
            copy.take(edit)
    assert [copy.text == trace["endContent"] for copy in (*replicas, authority)] == [True, True, True]


NOTE = ("note", "1")
SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "note": {"fields": {"body": {"merge": "text", "on_overlap": "merge"}}, "audience": ["everybody"]},
        },
    },
    Schema,
)
KEYSTROKES_PER_PUSH = 20


@dataclass
class Holder:
    """One copy of the record, and how many changes of each agent went into it, through `apply`."""

    entity: Entity | None = None
    holds: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def text(self) -> str:
        return "" if self.entity is None else str(view(self.entity, SCHEMA).get("body", ""))

    def take(self, change: Change) -> None:
        self.entity, outcome = apply_change(self.entity, change, SCHEMA)
        assert outcome.status in ("applied", "merged"), outcome

    def take_of(self, agent: int, change: Change) -> None:
        self.take(change)
        self.holds[agent] += 1

    def edit(self, agent: int, wanted: str) -> Change | None:
        assert self.entity is not None
        stamp = Stamp(Dot(f"agent-{agent}", self.holds[agent] + 1), sum(self.holds))
        return changes.edit(self.entity, {"body": wanted}, stamp, SCHEMA)


def test_the_concurrent_trace_ends_in_its_text_through_apply_on_two_replicas_and_an_authority() -> None:
    """Each replica takes the changes in the order in which its agent saw them, the authority as published.

    No one order passes through all texts that the two agents saw, so their copies exchange changes directly.
    """
    trace = load("friendsforever")
    replicas, authority = (Holder(), Holder()), Holder()
    birth = changes.create(*NOTE, {"body": ""}, Stamp(Dot("birth", 1), 0), SCHEMA)
    for holder in (*replicas, authority):
        holder.take(birth)
    made: tuple[list[Change], list[Change]] = ([], [])
    for transaction, seen in zip(trace["txns"], seen_by(trace["txns"]), strict=True):
        writer = transaction["agent"]
        replica = replicas[writer]
        for change in made[1 - writer][replica.holds[1 - writer] : seen[1 - writer]]:
            replica.take_of(1 - writer, change)
        assert replica.holds == seen
        own = replica.edit(writer, edited(replica.text, transaction))
        assert own is not None
        made[writer].append(own)
        replica.take_of(writer, own)
        authority.take_of(writer, own)
    for agent, replica in enumerate(replicas):
        for change in made[1 - agent][replica.holds[1 - agent] :]:
            replica.take_of(1 - agent, change)
    assert [holder.text == trace["endContent"] for holder in (*replicas, authority)] == [True, True, True]
    for holder in (*replicas, authority):
        assert holder.entity is not None
        assert len(holder.entity.fields["body"]) == 1
        assert holder.entity.version_vector == {"birth": 1, "agent-0": len(made[0]), "agent-1": len(made[1])}


def test_the_sequential_trace_ends_in_its_text_through_two_replicas_and_an_authority() -> None:
    """Keystroke by keystroke into an outbox, pushed every so often, decided, pulled by another replica."""
    trace = load("sveltecomponent")
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["everybody"])
    writer, reader = MemoryDevice("writer", SCHEMA), MemoryDevice("reader", SCHEMA)
    for device in (writer, reader):
        authority.register(device.device_id, "everybody")
    writer.create(NOTE, {"body": ""})
    text = ""
    for place, transaction in enumerate(trace["txns"]):
        text = edited(text, transaction)
        writer.edit(NOTE, {"body": text})
        if place % KEYSTROKES_PER_PUSH == 0:
            writer.sync(authority, place)
    for device in (writer, reader):
        device.sync(authority, len(trace["txns"]))
        assert device.view(NOTE) == {"body": trace["endContent"]}
        assert not device.store.acknowledged()
    held = authority.entity(NOTE)
    assert held is not None
    assert view(held, SCHEMA) == {"body": trace["endContent"]}
