"""`rightfit simulate`: try to lose an edit, as often as you like.

A seed decides everything: people, network, clocks, disks, crashes. Seeds run in as many processes as wished, in chunks;
with `--state` the chunks that are done are kept in a file, one JSON document per line, so that a run of hours can
be interrupted and taken up again. Exit code 1: something was lost, diverged or stuck, or never happened at all.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path

import msgspec
import rich_click as click
from click.exceptions import Exit
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.simulation import SAMPLE, Report, Result, Scenario, run, shrunk

_CHUNK = 50
"""Seeds that one process plays at a time; the first of each is played twice, and must come out alike."""

_FAILURES_SHOWN_MAX = 3


class Chunk(msgspec.Struct, frozen=True):
    """Some seeds and what they came to."""

    first: int
    last: int
    ops: int
    report: Report


class Plan(msgspec.Struct, frozen=True):
    """What to play: `schema` names one's own as `module:NAME` (None: the sample), `faults` the ids (None: all)."""

    ops: int
    schema: str | None = None
    faults: Sequence[str] | None = None

    @property
    def scenario(self) -> Scenario:
        """The application."""
        return SAMPLE if self.schema is None else Scenario(load_schema(self.schema))


def load_schema(name: str) -> Schema:
    """Return the schema that `module:NAME` names."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "SCHEMA")
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(
            f"{name!r} names no schema ({error}): say module:NAME", param_hint="--schema"
        ) from error
    if not isinstance(found, Schema):
        raise click.BadParameter(f"{name!r} is a {type(found).__name__}, not a Schema", param_hint="--schema")
    return found


@click.command()
@click.option("--seed", type=int, help="Play this one seed, and tell its story.")
@click.option("--only", help="Keep to these operations, by number: 3,17,45. Needs --seed.")
@click.option(
    "--seeds", type=click.IntRange(1), default=200, show_default=True, help="How many seeds to play."
)
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first of them.")
@click.option(
    "--ops", type=click.IntRange(1), default=500, show_default=True, help="Operations in each seed."
)
@click.option("--faults", help="Only these faults, by id: F01,F08. The others never happen.")
@click.option("--schema", help="An application's own schema, as module:NAME.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all processors",
    help="Processes.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep what is done in this file, and go on from there.",
)
def simulate(
    seed: int | None,
    only: str | None,
    seeds: int,
    first: int,
    ops: int,
    faults: str | None,
    schema: str | None,
    jobs: int,
    state: Path | None,
) -> None:
    """Try to lose an edit: people, devices, a network and an authority that all go wrong, decided by a seed.

    Prints how often each fault, policy and outcome occurred. A seed in which something is lost, diverges or sticks
    is told as the shortest story that was found, with the command that plays it again.
    """
    plan = Plan(ops, schema, None if faults is None else [one.strip() for one in faults.split(",")])
    if only is not None and seed is None:
        raise click.UsageError("--only keeps to operations of one seed: name it with --seed")
    if seed is not None:
        _tell_one(plan, seed, _numbers(only))
        return
    report = _played(plan, range(first, first + seeds), jobs, state)
    console = Console()
    console.print(report.told(), highlight=False, soft_wrap=True)
    _judge(plan, report, console)


def _numbers(only: str | None) -> list[int] | None:
    if only is None:
        return None
    try:
        return [int(number) for number in only.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{only!r} is no list of numbers: 3,17,45", param_hint="--only") from error


def _tell_one(plan: Plan, seed: int, only: Sequence[int] | None) -> None:
    result = run(seed, plan.ops, only, scenario=plan.scenario, faults=plan.faults)
    click.echo(result.told())
    click.echo(f"trace {result.trace_hash}")
    if not result.is_good:
        raise Exit(1)


def _judge(plan: Plan, report: Report, console: Console) -> None:
    for failure in report.failures[:_FAILURES_SHOWN_MAX]:
        told = shrunk(failure, scenario=plan.scenario, faults=plan.faults) if failure.story else failure
        console.print(f"\n{told.told()}", highlight=False, markup=False, soft_wrap=True)
    absent = report.zeros(plan.scenario.schema, plan.faults) if report.operations >= _MANY else []
    for one in absent:
        console.print(f"never happened: {one}", highlight=False)
    if report.failures or absent:
        raise Exit(1)
    console.print("nothing was lost, nothing diverged, nothing was stuck", highlight=False)


_MANY = 50_000
"""Operations from which each fault, policy and outcome must have occurred."""


def _played(plan: Plan, seeds: range, jobs: int, state: Path | None) -> Report:
    """Play `seeds` in chunks, those in `state` excepted, and return the sum of all."""
    total = Report()
    done = {(chunk.first, chunk.last): chunk for chunk in _kept(state) if chunk.ops == plan.ops}
    waiting: list[range] = []
    for first in range(seeds.start, seeds.stop, _CHUNK):
        chunk = range(first, min(first + _CHUNK, seeds.stop))
        known = done.get((chunk.start, chunk.stop))
        if known is None:
            waiting.append(chunk)
        else:
            total.merge(known.report)
    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(jobs) as pool,
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("", total=len(seeds), completed=total.seeds)
        playing: dict[Future[Report], range] = {pool.submit(_play, plan, chunk): chunk for chunk in waiting}
        for future in as_completed(playing):
            chunk = playing[future]
            report = future.result()
            total.merge(report)
            _keep(state, Chunk(chunk.start, chunk.stop, plan.ops, report))
            bar.update(task, advance=len(chunk))
    return total


def _play(plan: Plan, chunk: range) -> Report:
    """Play a chunk in a process of its own; stories are left out where nothing went wrong."""
    report = Report()
    for seed in chunk:
        result = run(seed, plan.ops, scenario=plan.scenario, faults=plan.faults)
        report.add(result)
        if seed == chunk.start:
            again = run(seed, plan.ops, scenario=plan.scenario, faults=plan.faults)
            if again.trace_hash != result.trace_hash:
                report.failures.append(_unlike(result, again))
    return report


def _unlike(result: Result, again: Result) -> Result:
    sentence = f"played twice, it came out unlike: {result.trace_hash} and {again.trace_hash}"
    return msgspec.structs.replace(result, problems=[sentence], story=[])


def _kept(state: Path | None) -> Iterator[Chunk]:
    if state is not None and state.exists():
        for line in state.read_bytes().splitlines():
            yield msgspec.json.decode(line, type=Chunk)


def _keep(state: Path | None, chunk: Chunk) -> None:
    if state is not None:
        with state.open("ab") as file:
            file.write(msgspec.json.encode(chunk) + b"\n")
