"""The schedule: from one seed to a list of operations and a world's constants, drawn before anything happens.

An operation is plain data and draws its own details from its own seed when it is carried out. So some of them can be
left out, and the rest still mean the same: that is how a story is shrunk.
"""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from rightfit_sync.limits import ROWS_PER_PAGE

OPS: Mapping[str, int] = {
    "write": 52,
    "sync": 40,
    "authority": 1,
    "F01": 3,
    "F02": 2,
    "F03": 2,
    "F04": 1,
    "F05": 1,
    "F06": 1,
    "F07": 1,
    "F08": 1,
    "F09": 1,
    "F10": 1,
    "F11": 2,
    "F12": 1,
    "F13": 1,
}
"""How often each kind of operation is drawn, against each other. Faults have the ids of docs/explanation/faults.md."""

PHONES_MAX = 9
"""Phones in a world, copies included."""

YEARS_10 = 10 * 365 * 24 * 3600 * 1000
"""Ten years in milliseconds."""

CLOCKS: Sequence[str] = ("true", "true", "slow", "fast", "behind", "ahead", "strobing", "standing")
"""What a device's clock may do: minutes off, ten years off, jumping about, or standing still."""


PAGES: Sequence[int] = (ROWS_PER_PAGE, ROWS_PER_PAGE, 1, 2, 3, 5, 7)
"""Rows that a phone asks for at once: more than there are in a world, or so few that pages are cut."""


class Op(NamedTuple):
    """One operation: what (see `OPS`), on which device, and the seed of its details."""

    number: int
    name: str
    device: int
    seed: int


class DevicePlan(NamedTuple):
    """One device: its subject, its clock, whether its app is of the version before, and the size of its pages."""

    subject: int
    clock: str
    is_old: bool
    rows_max: int


class Plan(msgspec.Struct, frozen=True):
    """A world's constants and what happens in it. `loss`, `repetition` and `delay` are chances, per message."""

    seed: int
    devices: Sequence[DevicePlan]
    subjects: int
    is_old: bool
    loss: float
    repetition: float
    delay: float
    ops: Sequence[Op]


def seeded(seed: int | str) -> Random:
    """Return what draws by chance, the same for the same `seed`: chance that can be repeated is what is wanted."""
    return Random(seed)  # noqa: S311


def draw(seed: int, ops: int, faults: Collection[str] | None = None) -> Plan:
    """Return the plan of a seed; `faults` keeps to those ids (None: all of them)."""
    random = seeded(seed)
    # What was thought of later has a chance of its own, so that a seed goes on meaning what it meant.
    later = seeded(f"{seed}, later")
    count = random.randrange(3, 9)
    subjects = random.randrange(1, min(count, 4) + 1)
    devices = [
        DevicePlan(
            place % subjects if place < subjects else random.randrange(subjects),
            random.choice(CLOCKS) if random.random() < 0.6 else "true",
            random.random() < 0.25,
            later.choice(PAGES),
        )
        for place in range(count)
    ]
    is_rough = random.random() < 0.8
    return Plan(
        seed=seed,
        devices=devices,
        subjects=subjects,
        is_old=random.random() < 0.25,
        loss=random.choice([0.02, 0.1, 0.3]) if is_rough else 0.0,
        repetition=random.choice([0.02, 0.1]) if is_rough else 0.0,
        delay=random.choice([0.02, 0.1, 0.2]) if is_rough else 0.0,
        ops=_ops(random, count, ops, faults),
    )


def _ops(random: Random, devices: int, ops: int, faults: Collection[str] | None) -> list[Op]:
    """Draw operations. If not told which, a world leaves out some faults, so that the others come in every mixture."""
    every = [name for name in OPS if name.startswith("F")]
    happens = {name for name in every if random.random() < 0.7} if faults is None else set(faults)
    chosen = {name: weight for name, weight in OPS.items() if name in happens or not name.startswith("F")}
    names = random.choices(list(chosen), list(chosen.values()), k=ops)
    return [
        Op(number, name, random.randrange(devices), random.randrange(2**32))
        for number, name in enumerate(names)
    ]
