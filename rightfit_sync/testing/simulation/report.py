"""What a simulation came to: a `Result` per seed, and their sum, a `Report`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from rightfit_sync.schema.spec import CONTAINERS, Schema
from rightfit_sync.testing.simulation.schedule import OPS

Counts: TypeAlias = Mapping[str, Mapping[str, int]]
"""`{"faults" | "policies" | "outcomes" | "acts" | "states": {name: how often}}`."""

OUTCOMES: Sequence[str] = ("applied", "merged", "conflicted", "duplicate", "void")
REJECTIONS: Sequence[str] = (
    *("forbidden", "internal_error", "unknown_reference", "restricted", "unknown_entity"),
    *("depends_on_rejected", "transaction_rejected"),
)
"""Outcomes, and codes of rejections, that a run of many seeds must have seen."""


class Result(msgspec.Struct, frozen=True):
    """One seed. `trace_hash` is over every message, write and outcome; `only` the operations that were kept."""

    seed: int
    ops: int
    trace_hash: str
    problems: Sequence[str]
    story: Sequence[str]
    counts: Counts
    only: Sequence[int] | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, nothing diverged and nothing was stuck."""
        return not self.problems

    @property
    def command(self) -> str:
        """What plays this again."""
        kept = "" if self.only is None else f" --only {','.join(map(str, self.only))}"
        return f"rightfit simulate --seed {self.seed} --ops {self.ops}{kept}"

    def told(self) -> str:
        """Return the story, what is wrong with it, and the command that tells it again."""
        verdict = (
            f"seed {self.seed}, what is wrong:" if self.problems else f"seed {self.seed}: nothing is wrong"
        )
        return "\n".join([*self.story, "", verdict, *self.problems, "", self.command])


class Report(msgspec.Struct):
    """Many seeds. `failures` are those in which something was wrong."""

    seeds: int = 0
    operations: int = 0
    failures: list[Result] = msgspec.field(default_factory=list)
    counts: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Take in one seed."""
        self.seeds += 1
        self.operations += result.ops
        self.add_counts(result.counts)
        if not result.is_good:
            self.failures.append(result)

    def merge(self, other: "Report") -> None:
        """Take in another report (of another process, say)."""
        self.seeds += other.seeds
        self.operations += other.operations
        self.failures += other.failures
        self.add_counts(other.counts)

    def add_counts(self, counts: Counts) -> None:
        """Add to the counts."""
        for name, counted in counts.items():
            self.counts[name] = dict(Counter(self.counts.get(name, {})) + Counter(counted))

    def zeros(self, schema: Schema, faults: Iterable[str] | None = None) -> list[str]:
        """Return every fault, policy and outcome that never happened: a run of many seeds without one proves little."""
        wanted = {
            "faults": sorted(name for name in OPS if name.startswith("F"))
            if faults is None
            else sorted(faults),
            "policies": sorted(words(schema)),
            "outcomes": [*OUTCOMES, *(f"rejected {code}" for code in REJECTIONS)],
        }
        return [
            f"{name}: {one}"
            for name, ones in wanted.items()
            for one in ones
            if not self.counts.get(name, {}).get(one)
        ]

    def told(self) -> str:
        """Return the figures, a line for each kind of thing that was counted."""
        lines = [f"{self.seeds} seeds, {self.operations} operations, {len(self.failures)} failures"]
        for name, counted in sorted(self.counts.items()):
            lines.append(
                f"{name}: " + ", ".join(f"{one} {count:,}" for one, count in sorted(counted.items()))
            )
        return "\n".join(lines)


def words(schema: Schema) -> set[str]:
    """Return the merge words that rule paths of this schema; a group with a lead is a `group`."""
    found: set[str] = set()
    for kind in schema.kinds.values():
        members = {member for group in kind.groups.values() for member in group.members}
        found |= {"group" for group in kind.groups.values() if group.lead is not None}
        for name, spec in kind.fields.items():
            inner = [*spec.fields.values(), *(() if spec.element is None else (spec.element,))]
            if spec.merge in CONTAINERS - {"set"}:
                found |= {one.merge for one in inner}
            elif name not in members:
                found.add(spec.merge)
    return found
