"""Real editing sessions through `apply`: what typing costs when every keystroke is a change of its own.

The recordings are those of github.com/josephg/editing-traces. They are not part of this repository: they are looked for
in `$RIGHTFIT_SHARED/data/traces`, or in `../shared` beside the checkout. The concurrent one (two people, 26,078 edits)
is replayed by two replicas and an authority: each replica makes its agent's changes and applies all in the order in
which that agent saw them, the authority applies them as published. All three must end in the published text.
"""

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Annotated

import msgspec

from benchmarks.clock import expect
from benchmarks.results import ROOT
from rightfit_sync import changes, text
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import Stamp
from rightfit_sync.records import Change, Entity
from rightfit_sync.schema.declare import declare
from rightfit_sync.schema.declare import kind as named
from rightfit_sync.schema.declare import merge as policy

SHARED = Path(os.environ.get("RIGHTFIT_SHARED", ROOT.parent / "shared"))
CONCURRENT, SEQUENTIAL = "friendsforever", "sveltecomponent"


class Transaction(msgspec.Struct, frozen=True):
    """Edits of one moment: `[position, deleted code points, inserted text]` each."""

    patches: Sequence[tuple[int, int, str]]
    agent: int = 0
    parents: Sequence[int] = ()


class Trace(msgspec.Struct, frozen=True, rename="camel"):
    """One recording."""

    end_content: str
    txns: Sequence[Transaction]


@named("note", audience=["all"])
class Note(msgspec.Struct):
    body: Annotated[str, policy("text", on_overlap="merge")]


SCHEMA = declare(1, Note)


def load(name: str) -> Trace | None:
    """Return a recording, or None where it is not here."""
    path = SHARED / "data" / "traces" / f"{name}.json.gz"
    if not path.exists():
        return None
    return msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Trace)


def edited(before: str, transaction: Transaction) -> str:
    """Return the text after one transaction."""
    for position, deleted, inserted in transaction.patches:
        before = before[:position] + inserted + before[position + deleted :]
    return before


class Copy:
    """One copy of the note, and how many changes of each agent it holds."""

    def __init__(self, birth: Change) -> None:
        self.entity: Entity | None = None
        self.holds = [0, 0]
        self._take(birth)

    @property
    def text(self) -> str:
        siblings = self.entity.fields.get("body", ()) if self.entity is not None else ()
        return str(siblings[0].value) if siblings else ""

    def _take(self, change: Change) -> None:
        self.entity, outcome = apply(self.entity, change, SCHEMA)
        if outcome.status not in ("applied", "merged"):
            raise ValueError(f"a keystroke was {outcome.status}")

    def take(self, agent: int, change: Change) -> None:
        self._take(change)
        self.holds[agent] += 1

    def edit(self, agent: int, wanted: str) -> Change:
        stamp = Stamp(Dot(f"agent-{agent}", self.holds[agent] + 1), sum(self.holds))
        change = None if self.entity is None else changes.edit(self.entity, {"body": wanted}, stamp, SCHEMA)
        if change is None:
            raise ValueError("a keystroke changed nothing")
        return change


def replay(trace: Trace) -> dict[str, float]:
    """Return the processor's seconds of the whole replay, and of the authority's `apply` alone."""
    birth = changes.create("note", "1", {"body": ""}, Stamp(Dot("birth", 1), 0), SCHEMA)
    start = process_time()
    replicas = (Copy(birth), Copy(birth))
    made: tuple[list[Change], list[Change]] = ([], [])
    published: list[tuple[int, Change]] = []
    for transaction, seen in zip(trace.txns, _seen_by(trace.txns), strict=True):
        writer = transaction.agent
        replica = replicas[writer]
        _catch_up(replica, 1 - writer, made[1 - writer], seen[1 - writer])
        own = replica.edit(writer, edited(replica.text, transaction))
        made[writer].append(own)
        published.append((writer, own))
        replica.take(writer, own)
    for agent, replica in enumerate(replicas):
        _catch_up(replica, 1 - agent, made[1 - agent], len(made[1 - agent]))
    middle = process_time()
    authority = Copy(birth)
    for agent, change in published:
        authority.take(agent, change)
    end = process_time()
    for copy in (*replicas, authority):
        expect(copy.text == trace.end_content, True, "a copy that ends in the published text")
    return {"whole": end - start, "authority": end - middle}


def _catch_up(replica: Copy, agent: int, made: Sequence[Change], count: int) -> None:
    for change in made[replica.holds[agent] : count]:
        replica.take(agent, change)


def _seen_by(transactions: Sequence[Transaction]) -> list[list[int]]:
    """Return, for each transaction, how many changes of each agent its author had seen."""
    after: list[list[int]] = []
    before: list[list[int]] = []
    for transaction in transactions:
        parents = [after[parent] for parent in transaction.parents]
        seen = [max((parent[agent] for parent in parents), default=0) for agent in (0, 1)]
        before.append(seen)
        after.append([held + (agent == transaction.agent) for agent, held in enumerate(seen)])
    return before


def parts(trace: Trace) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Give the parts of the text policy on a recording by one writer: name, how many, the step that does them all."""
    texts = [""]
    for transaction in trace.txns:
        texts.append(edited(texts[-1], transaction))
    expect(texts[-1] == trace.end_content, True, "a recording that ends in its text")
    steps = list(pairwise(texts))
    yield "diff", len(steps), lambda: [text.diff(before, after) for before, after in steps]
    operations = [text.diff(before, after) for before, after in steps]
    # An edit made at the end of the same text, by somebody who did not see this one.
    others = [text.diff(before, before + "!") for before, _ in steps]
    pairs = list(zip(operations, others, strict=True))
    yield "transform", len(pairs), lambda: [text.transform(one, other, side="left") for one, other in pairs]
    done = list(zip(operations, texts, strict=False))
    yield (
        "apply an operation",
        len(done),
        lambda: [text.apply(operation, before) for operation, before in done],
    )
