"""A deterministic simulator that tries to lose an edit, for your own schema and merge policies too.

For example::

from rightfit_sync.testing.simulation import simulate
from myapp import SCHEMA

report = simulate(SCHEMA, seeds=range(100), ops=300)
print(report.told())
"""

from rightfit_sync.testing.simulation.report import Report, Result
from rightfit_sync.testing.simulation.running import SAMPLE, run
from rightfit_sync.testing.simulation.sample import SCHEMA
from rightfit_sync.testing.simulation.scenario import Scenario
from rightfit_sync.testing.simulation.simulating import SimulationFailedError, shrunk, simulate

__all__ = [
    "SAMPLE",
    "SCHEMA",
    "Report",
    "Result",
    "Scenario",
    "SimulationFailedError",
    "run",
    "shrunk",
    "simulate",
]
