"""Running a seed: `run` plays one history to its end and judges it.

A world that breaks down has found something as well: what was raised becomes a problem among the others, with the
places where it came from, so that its history is told and shrunk like any other.
"""

import traceback
from collections.abc import Collection
from random import Random

from rightfit_sync.testing.simulation.ending import check, finish, start
from rightfit_sync.testing.simulation.faults import FAULTS, back_up
from rightfit_sync.testing.simulation.in_memory import InMemoryPorts
from rightfit_sync.testing.simulation.people import act, type_on
from rightfit_sync.testing.simulation.report import Result
from rightfit_sync.testing.simulation.scenario import Scenario, prepared
from rightfit_sync.testing.simulation.schedule import Op, draw, seeded
from rightfit_sync.testing.simulation.wire import advance
from rightfit_sync.testing.simulation.world import Ports, World

SAMPLE = Scenario()
"""The sample application."""

IN_MEMORY = InMemoryPorts()
"""Devices and authority in memory."""

_FRAMES_TOLD = 3
"""How many places a breakdown is told by, the innermost last."""


def run(
    seed: int,
    ops: int = 300,
    only: Collection[int] | None = None,
    *,
    scenario: Scenario = SAMPLE,
    faults: Collection[str] | None = None,
    ports: Ports = IN_MEMORY,
) -> Result:
    """Play the history of `seed`; `only` keeps to the operations of these numbers, `faults` to these ids."""
    plan = draw(seed, ops, faults)
    world = World(plan, prepared(scenario), ports)
    kept = None if only is None else set(only)
    try:
        _play(world, [op for op in plan.ops if kept is None or op.number in kept])
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is a finding, and the next seed has to be played.
        world.wrong(_told(failure))
    return Result(
        seed=seed,
        ops=ops,
        only=None if only is None else sorted(only),
        trace_hash=world.trace_hash,
        problems=world.problems,
        story=world.story,
        counts={name: dict(sorted(counter.items())) for name, counter in world.counts.items()},
    )


def _play(world: World, ops: Collection[Op]) -> None:
    start(world)
    for phone in world.phones:
        # The day it was set up: whoever puts that back later spends dots again that others have long seen.
        back_up(world, phone)
    for op in ops:
        carry_out(world, op)
    finish(world)
    check(world)


def _told(failure: Exception) -> str:
    """Return what broke down and where, without line numbers: two breakdowns at one place are of one kind."""
    frames = traceback.extract_tb(failure.__traceback__)[-_FRAMES_TOLD:]
    places = " > ".join(f"{one.filename.rpartition('/')[2]} {one.name}" for one in frames)
    return f"{type(failure).__name__} in {places}: {failure}"


def carry_out(world: World, op: Op) -> None:
    """Carry out one operation, with all its details drawn from its own seed."""
    random = seeded(op.seed)
    phone = world.phones[op.device]
    world.at(op.number)
    world.say(f"{op.number} {op.name} {phone}")
    world.counts["acts"][op.name] += 1
    if op.name == "write":
        act(world, phone, random)
    elif op.name == "sync":
        for _ in range(random.choice([1, 2, 3, 4, 8])):
            advance(world, phone, random)
        type_on(world, phone)
    elif op.name == "authority":
        _analyse(world, random)
    else:
        FAULTS[op.name](world, phone, random)


def _analyse(world: World, random: Random) -> None:
    """The authority writes a field of its own."""
    fields = [
        (key, name)
        for key in sorted(world.authority.entities())
        if key[0] in world.scenario.schema.kinds
        for name, spec in world.scenario.schema.kinds[key[0]].fields.items()
        if spec.merge == "server"
    ]
    if fields:
        key, name = random.choice(fields)
        spec = world.scenario.schema.kinds[key[0]].fields[name]
        value = world.workload.drawn(random, spec)
        if world.authority.write(key, {name: value}, world.tick()):
            world.say(f"the authority writes {name} of {key[0]}/{key[1]}")
            world.watch()
