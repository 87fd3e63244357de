"""`simulate`: five lines for an application that wants to know whether its schema and its policies lose an edit."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import Random

from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.simulation.ledger import Holds
from rightfit_sync.testing.simulation.ports import Authorize
from rightfit_sync.testing.simulation.report import Report, Result
from rightfit_sync.testing.simulation.running import IN_MEMORY, run
from rightfit_sync.testing.simulation.scenario import Scenario
from rightfit_sync.testing.simulation.shrink import ddmin
from rightfit_sync.testing.simulation.world import Ports
from rightfit_sync.values import Value

_PARTICULARS = re.compile(r"\{.*\}|\[.*\]|'[^']*'|\([a-z]+/.*?\)|[a-z]+/[a-z0-9-]+|[#\d.:]+|device|authority")


class SimulationFailedError(AssertionError):
    """A history in which something was lost, diverged or stuck; the message tells it, as short as it could be made."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.told())
        self.result = result


def simulate(
    schema: Schema,
    *,
    seeds: Iterable[int] = range(100),
    ops: int = 300,
    authorize: Authorize | None = None,
    values: Mapping[str, Callable[[Random], Value]] | None = None,
    holds: Mapping[str, Holds] | None = None,
    faults: Collection[str] | None = None,
    ports: Ports = IN_MEMORY,
) -> Report:
    """Play the histories of `seeds`, `ops` operations each, and return what they came to.

    `authorize(subject, entity_before, change)` is the application's own rule for writing. For its own merge policies
    `values[word](random)` draws what people type, and `holds[word](value, kept)` says whether `value` is still to be
    found in `kept`. `faults` keeps to these ids of docs/explanation/faults.md (None: all of F01 to F13).

    Raises `SimulationFailedError` with the shrunk story of the first seed in which something is wrong.
    """
    scenario = Scenario(schema, authorize, values or {}, holds or {})
    report = Report()
    for seed in seeds:
        result = run(seed, ops, scenario=scenario, faults=faults, ports=ports)
        report.add(result)
        if not result.is_good:
            raise SimulationFailedError(shrunk(result, scenario=scenario, faults=faults, ports=ports))
    return report


def shrunk(
    result: Result,
    *,
    scenario: Scenario,
    faults: Collection[str] | None = None,
    ports: Ports = IN_MEMORY,
    tries_max: int = 1_000,
) -> Result:
    """Return the shortest history found in which the same kind of thing is still wrong."""
    wanted = {shape(problem) for problem in result.problems}

    def again(only: Collection[int]) -> Result:
        return run(result.seed, result.ops, only, scenario=scenario, faults=faults, ports=ports)

    numbers = range(result.ops) if result.only is None else result.only

    def fails(only: Sequence[int]) -> bool:
        return any(shape(problem) in wanted for problem in again(only).problems)

    return again(ddmin(list(numbers), fails, tries_max))


def shape(problem: str) -> str:
    """Return what kind of problem a sentence tells of: the sentence without its names, numbers and values."""
    return _PARTICULARS.sub("", problem)
