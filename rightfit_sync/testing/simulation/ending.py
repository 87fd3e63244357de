"""The end of a history: the faults stop, everybody syncs, and then everything must agree and be accounted for."""

from collections.abc import Mapping

import msgspec

from rightfit_sync.apply import final_value
from rightfit_sync.life import is_deleted
from rightfit_sync.records import Entity
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ledger import Found
from rightfit_sync.testing.simulation.ledger.accounts import Listed, settle
from rightfit_sync.testing.simulation.people import create
from rightfit_sync.testing.simulation.phone import Phone
from rightfit_sync.testing.simulation.scenario import first_ids
from rightfit_sync.testing.simulation.schedule import seeded
from rightfit_sync.testing.simulation.wire import begin, deliver, deliver_stray, receive, restart
from rightfit_sync.testing.simulation.world import World
from rightfit_sync.values import Value
from rightfit_sync.view import values
from rightfit_sync.wire import codec

ROUNDS_MAX = 16
"""Rounds of one sync each, within which everybody must agree once the faults have stopped."""

REQUESTS_MAX = 300
"""Requests of one sync; more of them is a fault."""


def start(world: World) -> None:
    """Everybody begins with a few records in common: two of each kind, targets of references first."""
    schema, random = world.scenario.schema, seeded(world.plan.seed)
    first = world.phones[0]
    made: dict[str, None] = {}
    while len(made) < len(schema.kinds):
        ready = [
            name
            for name, kind in schema.kinds.items()
            if name not in made and all(one.kind in (name, *made) for one in kind.references.values())
        ]
        made.update(dict.fromkeys(ready or [name for name in schema.kinds if name not in made]))
    for kind in made:
        for place, entity_id in enumerate(first_ids(kind)):
            create(world, first, (kind, entity_id), random, place=place)
    for phone in world.phones:
        sync(world, phone)


def sync(world: World, phone: Phone) -> None:
    """Carry one sync through, over a line that works."""
    begin(world, phone)
    for _ in range(REQUESTS_MAX):
        if phone.line.session is None:
            return
        if phone.line.answer is None:
            deliver(world, phone)
        receive(world, phone)
    world.wrong(f"{phone}: one sync goes on after {REQUESTS_MAX} requests")
    restart(world, phone)


def finish(world: World) -> None:
    """The faults stop; late requests arrive, everybody gets the present app, and syncs until all agree."""
    world.say("the faults stop")
    while world.strays:
        deliver_stray(world, 0)
    world.upgrade_authority()
    for phone in world.phones:
        phone.line.is_cut_up = phone.line.is_cut_down = False
        restart(world, phone)
        if phone.device.schema is not world.scenario.schema:
            phone.device.upgrade(world.scenario.schema)
    for round_number in range(1, ROUNDS_MAX + 1):
        before, is_quiet = _heads(world), _is_quiet(world)
        for phone in world.phones:
            sync(world, phone)
        if is_quiet and _heads(world) == before and _is_quiet(world):
            world.counts["acts"][f"rounds {round_number}"] += 1
            return
    world.wrong(f"no end after {ROUNDS_MAX} rounds")


def _is_quiet(world: World) -> bool:
    """Whether nobody has anything to send."""
    return not any(list(phone.device.pending()) for phone in world.phones)


def _heads(world: World) -> list[tuple[Key, int]]:
    """Return what moves as long as something is still on its way."""
    return [
        (key, held.seq)
        for phone in world.phones
        for key, held in sorted(phone.device.rows(world.ledger.records).items())
    ]


def found_at(world: World, key: Key) -> Found:
    """Return what the authority holds of one record, as plain data."""
    entity = world.authority.entities()[key]
    kind = world.scenario.schema.kinds[key[0]]
    return Found(
        {path: [one.value for one in siblings] for path, siblings in entity.fields.items()},
        is_deleted(entity, kind),
        [(one.path, one.reason) for one in world.authority.conflicts(key)],
        values(entity, kind),
    )


def check(world: World) -> None:
    """Find everything that is wrong now that nothing is on its way."""
    for phone in world.phones:
        _compare(world, phone)
    found = {key: found_at(world, key) for key in world.authority.entities()}
    lists = {phone.name: _lists(world, phone) for phone in world.phones}
    accounts = settle(world.ledger, found, lists, frozenset(world.unsighted))
    world.problems += accounts.problems
    world.counts["states"].update(accounts.states)
    for one in found.values():
        world.counts["outcomes"].update(f"open {reason}" for _, reason in one.conflicts)


def _lists(world: World, phone: Phone) -> Listed:
    pending, rejected = set[int](), dict[int, Mapping[str, Value]]()
    for pushed in phone.device.pending():
        write = world.find(pushed.change, pushed.digest)
        if write is not None:
            pending.add(write.number)
    for listed in phone.device.rejected():
        write = world.find(listed.change, listed.digest)
        if listed.change.op == "void" or write is None:
            world.wrong(f"{phone}: {listed.change.dot} is on its rejected list without its payload")
        else:
            payload = {path: final_value(patch) for path, patch in listed.change.patches.items()}
            rejected[write.number] = payload
    return Listed(frozenset(pending), rejected)


def _compare(world: World, phone: Phone) -> None:
    """Compare all that a phone shows with what the authority holds of it, sibling by sibling."""
    entities = world.authority.entities()
    visible = world.authority.visible_to(phone.subject)
    shown = {key for key in phone.device.all_keys() if key in visible or not _is_dead(world, phone, key)}
    for key in sorted(shown ^ visible):
        who = "does not show" if key in visible else "still shows"
        world.wrong(f"{phone} {who} {key[0]}/{key[1]}")
    for key in sorted(shown & visible):
        ours, theirs = phone.device.recomputed(key), entities[key]
        name = f"{key[0]}/{key[1]}"
        if codec.encode(ours or theirs) != codec.encode(theirs) and (
            msgspec.to_builtins(ours) != msgspec.to_builtins(theirs)
        ):
            world.wrong(f"{phone}: {name} differs from the authority's: {_difference(ours, theirs)}")
        mine = [one.conflict_id for one in phone.device.conflicts(key)]
        if mine != [one.conflict_id for one in world.authority.conflicts(key)]:
            world.wrong(f"{phone}: the conflicts of {name} have other ids")
        if phone.device.entity(key) != ours:
            world.wrong(f"{phone}: the stored view of {name} is stale")


def _difference(ours: Entity | None, theirs: Entity) -> str:
    """Return the first few places where two states differ."""
    mine = {} if ours is None else dict(ours.fields)
    paths = sorted(path for path in {*mine, *theirs.fields} if mine.get(path) != theirs.fields.get(path))
    found = [f"{path} is {mine.get(path)}, not {theirs.fields.get(path)}" for path in paths[:2]]
    vector = None if ours is None else ours.version_vector
    return "; ".join([f"{len(paths)} paths", *found, f"{vector}, not {theirs.version_vector}"])


def _is_dead(world: World, phone: Phone, key: Key) -> bool:
    """Whether it is but a tombstone, which the authority may have collected."""
    entity = phone.device.entity(key)
    return entity is not None and is_deleted(entity, world.scenario.schema.kinds[key[0]])
