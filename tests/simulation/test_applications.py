"""An application simulates its own schema, its own rules and its own merge policies."""

from collections.abc import Sequence
from random import Random
from typing import Annotated

import msgspec
import pytest

from rightfit_sync import Change, Entity, Outcome
from rightfit_sync.merge.policy import CONFLICT, Policy, Verdict
from rightfit_sync.merge.registry import register_policy
from rightfit_sync.records import rejected
from rightfit_sync.schema.declare import declare, kind, merge, ref
from rightfit_sync.testing.simulation import SimulationFailedError, simulate
from rightfit_sync.testing.simulation.shrink import ddmin
from rightfit_sync.values import Value


@kind("shelf")
class Shelf(msgspec.Struct):
    name: str
    stars: Annotated[int, merge("simulated_sum")] = 0


@kind("book")
class Book(msgspec.Struct):
    title: str
    notes: Annotated[str, merge("text", on_overlap="merge")] = ""
    copies: Annotated[int, merge("counter")] = 0
    shelf_id: Annotated[str | None, ref("shelf", on_delete="set_null")] = None
    tags: set[str] = set()


class Latest(Policy):
    """Keeps the greater of two numbers, which is right, or the lesser, which loses the other."""

    merges = True
    keeps = max

    def merge(self, base: Value, theirs: Value, mine: Value, *, mine_first: bool) -> Value | Verdict:
        if not isinstance(theirs, int) or not isinstance(mine, int):
            return CONFLICT
        return type(self).keeps(theirs, mine)

    def advance(self, replaced: Sequence[Value], mine: Value) -> Value:
        known = [value for value in replaced if isinstance(value, int)]
        return type(self).keeps([*known, mine]) if isinstance(mine, int) else mine


register_policy("simulated_sum", Latest)
SCHEMA = declare(1, Shelf, Book)


def holds(value: Value, kept: Value) -> bool:
    return isinstance(value, int) and isinstance(kept, int) and kept >= value


def stars(random: Random) -> Value:
    return random.randrange(100)


def test_five_lines_simulate_a_schema_and_a_policy() -> None:
    report = simulate(
        SCHEMA, seeds=range(6), ops=150, values={"simulated_sum": stars}, holds={"simulated_sum": holds}
    )
    assert report.seeds == 6
    assert report.counts["policies"]["simulated_sum"] > 10


def test_a_policy_that_loses_is_found_and_its_story_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Latest, "keeps", min)
    with pytest.raises(SimulationFailedError, match="stars is nowhere") as found:
        simulate(
            SCHEMA,
            seeds=range(20),
            ops=100,
            values={"simulated_sum": stars},
            holds={"simulated_sum": holds},
        )
    result = found.value.result
    assert result.only is not None
    assert len(result.only) <= 12
    assert result.command.startswith(f"rightfit simulate --seed {result.seed} --ops 100 --only ")


def test_the_applications_own_rule_is_asked() -> None:
    def authorize(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
        return rejected("no_deletes", "not here") if change.op == "delete" else None

    report = simulate(SCHEMA, seeds=range(3), ops=150, authorize=authorize)
    assert report.counts["outcomes"]["rejected no_deletes"]


def test_shrinking_finds_the_few_that_it_takes() -> None:
    tried: list[Sequence[int]] = []

    def fails(numbers: Sequence[int]) -> bool:
        tried.append(numbers)
        return {3, 17, 45} <= set(numbers)

    assert ddmin(range(60), fails) == [3, 17, 45]
    assert len(tried) < 200
