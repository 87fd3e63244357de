"""The histories of the simulator on real replica files and the real server with PostgreSQL.

`RIGHTFIT_REAL_SEEDS` of them (default 3), of 200 operations each, under all faults. A failing seed prints its story, as
short as `RIGHTFIT_REAL_TRIES` replays could make it. Afterwards the SDK's doctor looks at every file, and the audit at
the database. Whoever plays the last one sums up: from 100 seeds on, every fault, policy and outcome must have happened.
"""

import os
import sys
from pathlib import Path

import msgspec
import pytest

from rightfit_sync.testing.simulation import SAMPLE, SCHEMA, Report, Result, run, shrunk
from tests.simulation.real.ports import RealPorts

SEEDS = int(os.environ.get("RIGHTFIT_REAL_SEEDS", "3"))
SEEDS_THAT_SHOW_ALL = 100
OPS = 200
TWICE_EVERY = 50
TRIES_MAX = int(os.environ.get("RIGHTFIT_REAL_TRIES", "60"))


@pytest.fixture(scope="session")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "real-seeds"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("seed", range(SEEDS))
def test_F01_to_F13_lose_nothing_on_real_files_and_a_real_server(
    seed: int, ports: RealPorts, tally: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(seed, OPS, ports=ports)
    ailing = ports.ailing()
    report = _summed_up(result, tally)
    assert result.is_good, _told(result, ports)
    assert not ailing, "\n".join([*result.story, *ailing])
    if seed % TWICE_EVERY == 0:
        assert run(seed, OPS, ports=ports).trace_hash == result.trace_hash
    if report is not None:
        with capfd.disabled():
            print(f"\n{report.told()}", file=sys.stderr)
        assert report.seeds < SEEDS_THAT_SHOW_ALL or not report.zeros(SCHEMA)


def _told(result: Result, ports: RealPorts) -> str:
    return shrunk(result, scenario=SAMPLE, ports=ports, tries_max=TRIES_MAX).told()


def _summed_up(result: Result, tally: Path) -> Report | None:
    """Put a result beside the others, and return their sum where it was the last one."""
    draft = tally / f"{result.seed}.draft"
    draft.write_bytes(msgspec.json.encode(result))
    draft.rename(tally / f"{result.seed}.json")
    found = list(tally.glob("*.json"))
    if len(found) < SEEDS:
        return None
    report = Report()
    for one in found:
        report.add(msgspec.json.decode(one.read_bytes(), type=Result))
    return report
