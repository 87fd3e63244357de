"""Histories of three to nine devices under all faults, each judged by a ledger that merges nothing.

A failing seed prints its story, as short as it could be made, and the command that tells it again.
"""

import pytest

from rightfit_sync.records import Change
from rightfit_sync.store import Key
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.testing.simulation import SAMPLE, Report, Result, run, shrunk

SEEDS = 100
CHUNK = 25
OPS = 300


def good(result: Result) -> Result:
    assert result.is_good, shrunk(result, scenario=SAMPLE).told()
    return result


@pytest.fixture(scope="module")
def report() -> Report:
    return Report()


@pytest.mark.xdist_group("seeds")
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_F01_to_F13_lose_nothing_and_everybody_agrees(first: int, report: Report) -> None:
    for seed in range(first, first + CHUNK):
        report.add(good(run(seed, OPS)))


@pytest.mark.xdist_group("seeds")
def test_every_fault_policy_and_outcome_has_happened(report: Report) -> None:
    if report.seeds == 0:
        pytest.skip("the histories were played elsewhere")
    assert not report.zeros(SAMPLE.schema), report.told()
    assert sum(report.counts["states"].values()) > 5_000


@pytest.mark.parametrize("seed", [0, 50])
def test_a_seed_tells_the_same_history_every_time(seed: int) -> None:
    first, again = run(seed, OPS), run(seed, OPS)
    assert first.trace_hash == again.trace_hash
    assert first == again


def test_another_seed_tells_another_history() -> None:
    assert run(1, 50).trace_hash != run(2, 50).trace_hash


def test_operations_can_be_left_out_and_the_rest_mean_the_same() -> None:
    whole = run(3, 60)
    assert run(3, 60, range(60)).trace_hash == whole.trace_hash
    assert run(3, 60, range(0, 60, 2)).trace_hash != whole.trace_hash


def test_a_breakdown_is_told_and_shrunk_like_any_other_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(_device: MemoryDevice, key: Key, _transaction_id: str | None = None) -> Change:
        raise ZeroDivisionError(f"no end of {key}")

    monkeypatch.setattr(MemoryDevice, "delete", breaking)
    result = run(3, 200)
    assert any("ZeroDivisionError in " in problem and "breaking" in problem for problem in result.problems)
    least = shrunk(result, scenario=SAMPLE)
    assert not least.is_good
    assert least.only is not None
    assert len(least.only) < 5


@pytest.mark.parametrize("fault", ["F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F13"])
def test_each_fault_by_itself(fault: str) -> None:
    seen = 0
    for seed in range(1_000, 1_006):
        result = run(seed, 200, faults=[fault])
        assert result.is_good, result.told()
        seen += result.counts["faults"].get(fault, 0)
    assert seen
