"""3,000 random histories of four devices and a bad network, judged by a model that merges nothing.

A failing seed prints itself and its story; `python -m tests.simulation.world SEED` tells it again.
"""

from collections import Counter

import pytest

from tests.simulation.apart import play_apart
from tests.simulation.world import World, play

SEEDS = 3_000
CHUNK = 150


def told(world: World, seed: int, problems: list[str]) -> str:
    return "\n".join([f"seed {seed}", *world.story, "", f"seed {seed}, what is wrong:", *problems])


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_F01_every_write_is_visible_superseded_in_conflict_or_rejected(first: int) -> None:
    fates: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        world = play(seed)
        problems = world.check()
        assert not problems, told(world, seed, problems)
        fates.update(recorded.outcome.status for recorded in world.authority.history)
    # A world in which nothing goes wrong proves nothing.
    assert min(fates[status] for status in ("applied", "merged", "conflicted", "rejected", "void")) > 10


@pytest.mark.parametrize("seed", range(40))
def test_F01_long_histories(seed: int) -> None:
    world = play(100_000 + seed, steps=300)
    problems = world.check()
    assert not problems, told(world, 100_000 + seed, problems)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_edits_of_different_things_never_conflict_and_only_planted_rejections_occur(first: int) -> None:
    rejections, merges = Counter[str](), 0
    for seed in range(first, first + 100):
        world = World(seed)
        planted = play_apart(world)
        problems = world.check()
        assert not problems, told(world, seed, problems)
        outcomes = [recorded.outcome for recorded in world.authority.history]
        conflicts = [conflict for key in world.authority.held for conflict in world.authority.conflicts(key)]
        assert not conflicts, told(world, seed, [str(conflict) for conflict in conflicts])
        assert not [outcome for outcome in outcomes if outcome.status == "conflicted"]
        found = Counter(outcome.code for outcome in outcomes if outcome.status == "rejected")
        assert found == planted, told(world, seed, [f"planted {planted}, found {found}"])
        rejections += found
        merges += sum(outcome.status == "merged" for outcome in outcomes)
    assert set(rejections) == {"forbidden", "unknown_reference", "restricted"}
    assert merges > 100
