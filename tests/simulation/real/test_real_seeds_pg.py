"""The histories of the simulator on real replica files and the real server with PostgreSQL.

`RIGHTFIT_REAL_SEEDS` of them (default 3), of 200 operations each, under all faults. A failing seed prints its story, as
short as it could be made. Afterwards the SDK's doctor looks at every file, and the audit at the database.
"""

import os
from time import perf_counter

import pytest

from rightfit_sync.testing.simulation import SAMPLE, Report, Result, run, shrunk
from tests.simulation.real.ports import RealPorts

SEEDS = int(os.environ.get("RIGHTFIT_REAL_SEEDS", "3"))
OPS = 200
TWICE_EVERY = 50
TRIES_MAX = int(os.environ.get("RIGHTFIT_REAL_TRIES", "60"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_F01_to_F13_lose_nothing_on_real_files_and_a_real_server(seed: int, ports: RealPorts) -> None:
    began = perf_counter()
    result = run(seed, OPS, ports=ports)
    print(f"seed {seed}: {perf_counter() - began:.1f} s")
    assert result.is_good, _told(result, ports)
    assert ports.ailing() == []
    if seed % TWICE_EVERY == 0:
        assert run(seed, OPS, ports=ports).trace_hash == result.trace_hash


def _told(result: Result, ports: RealPorts) -> str:
    return shrunk(result, scenario=SAMPLE, ports=ports, tries_max=TRIES_MAX).told()
