"""The faults of docs/explanation/faults.md, each an operation by its id; counted when it really happens.

F02, F06, F08, F09, F10 and more are counted where their effect is seen (a lost answer to a push, a refused write, a
device that is told of a restore); what is here brings them about.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import cast

from rightfit_sync.causality.dot import Dot
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ending import found_at
from rightfit_sync.testing.simulation.ledger import Write
from rightfit_sync.testing.simulation.ledger.accounts import judge_purged
from rightfit_sync.testing.simulation.ledger.book import Screen
from rightfit_sync.testing.simulation.people import act
from rightfit_sync.testing.simulation.phone import Phone, PhoneClock
from rightfit_sync.testing.simulation.ports import Failure
from rightfit_sync.testing.simulation.schedule import CLOCKS, PHONES_MAX, seeded
from rightfit_sync.testing.simulation.wire import (
    advance,
    begin,
    deliver,
    deliver_stray,
    look,
    lose,
    lose_answer,
    receive,
    restart,
)
from rightfit_sync.testing.simulation.world import World
from rightfit_sync.wire.messages import SyncRequest

Backup = tuple[object, dict[Key, Screen], dict[tuple[str, Dot, str], Write], bool]
"""A phone's disk, what its screen showed then, what had been tried again, and whether it was broken."""

Fault = Callable[[World, Phone, Random], None]

WRITES_PER_TRANSACTION = 8
"""A failure is armed at one of the first few writes of a transaction."""

STEPS_MAX = 60
"""Steps after which a sync that was to be carried through at once is left as it is."""


def network(world: World, phone: Phone, random: Random) -> None:
    """F01: a late request arrives, or one direction is cut or mended."""
    if world.strays and random.random() < 0.6:
        deliver_stray(world, random.randrange(len(world.strays)))
        return
    is_cut, is_up = random.random() < 0.5, random.random() < 0.5
    if is_up:
        phone.line.is_cut_up = is_cut
    else:
        phone.line.is_cut_down = is_cut
    world.happened("F01")
    world.say(f"{phone}: the way {'up' if is_up else 'down'} is {'cut' if is_cut else 'open'}")


def lost_response(world: World, phone: Phone, _random: Random) -> None:
    """F02: the answer to a push is lost, after the authority has committed."""
    line = phone.line
    for _ in range(STEPS_MAX):
        if line.session is None:
            begin(world, phone)
        if line.call is None:
            return
        if line.answer is None:
            deliver(world, phone)
        if isinstance(line.call.request, SyncRequest) and line.call.request.changes:
            lose_answer(world, phone)
            return
        receive(world, phone)


def crash(world: World, phone: Phone, random: Random) -> None:
    """F03: the app is killed: now, inside a local write, or somewhere in a sync."""
    roll = random.random()
    failure = Failure("crash", random.randrange(WRITES_PER_TRANSACTION))
    if roll < 0.3:
        world.happened("F03")
        world.say(f"{phone} is killed")
        restart(world, phone)
    elif roll < 0.6:
        act(world, phone, random, failure)
    else:
        _sync_with(world, phone, failure, random)


def power_loss(world: World, phone: Phone, random: Random) -> None:
    """F04: the power fails just before or just after a commit; nobody was told which."""
    failure = Failure(random.choice(["before_commit", "after_commit"]), 0)
    if random.random() < 0.6:
        act(world, phone, random, failure)
    else:
        _sync_with(world, phone, failure._replace(after=random.randrange(4)), random)


def disk_full(world: World, phone: Phone, random: Random) -> None:
    """F06: the disk is full: for an edit, or for what a sync brings."""
    failure = Failure("full", random.randrange(4))
    if random.random() < 0.6:
        act(world, phone, random, failure)
    else:
        _sync_with(world, phone, failure, random)


def _sync_with(world: World, phone: Phone, failure: Failure, random: Random) -> None:
    phone.device.arm(failure)
    for _ in range(random.randrange(3, 9)):
        advance(world, phone, random)
    phone.device.arm(None)


def older_copy(world: World, phone: Phone, random: Random) -> None:
    """F05: a phone is backed up, with all that never were, or put back; or its copy begins to run on a second one."""
    roll = random.random()
    if phone.backup is None or roll < 0.2:
        for one in world.phones:
            if one is phone or one.backup is None:
                back_up(world, one)
        return
    if roll < 0.7:
        _put_back(world, phone)
    elif len(world.phones) < PHONES_MAX:
        _clone(world, phone, random)


def back_up(world: World, phone: Phone) -> None:
    """Keep a copy of the phone's disk, with what its screen shows."""
    retried = {name: write for name, write in world.retried.items() if name[0] == phone.name}
    phone.backup = (phone.device.backup(), world.ledger.screen_copy(phone.name), retried, phone.is_broken)


def _put_back(world: World, phone: Phone) -> None:
    disk, screens, retried, is_broken = cast("Backup", phone.backup)
    world.say(f"{phone}: an older copy of its disk is put back")
    restart(world, phone)
    phone.device.put_back(disk)
    phone.is_broken = is_broken
    world.ledger.screen_put_back(phone.name, screens)
    world.retried = {name: one for name, one in world.retried.items() if name[0] != phone.name} | retried
    world.happened("F05")
    world.rewind(phone)
    look(world, phone)


def _clone(world: World, phone: Phone, random: Random) -> None:
    name = f"device {len(world.phones)}"
    clock = PhoneClock(world.tick, random.choice(CLOCKS))
    device = phone.device.clone(clock, world.fresh_ids(name, phone.device.token))
    twin = Phone(name, device, phone.subject, clock, is_broken=phone.is_broken)
    world.say(f"{name} begins to run with a copy of the disk of {phone}")
    world.ledger.screen_put_back(name, world.ledger.screen_copy(phone.name))
    world.retried |= {(name, *one[1:]): write for one, write in world.retried.items() if one[0] == phone.name}
    world.add(twin)
    world.unsighted.update({name} if phone.name in world.unsighted else ())
    world.happened("F05")
    world.rewind(twin)
    world.rewind(phone)


def damage(world: World, phone: Phone, random: Random) -> None:
    """F07: a stored row rots, or is lost; the doctor finds and mends it before anybody goes on."""
    keys = [key for key in phone.device.all_keys() if phone.device.rows([key])]
    if not keys or phone.is_broken:
        return
    key = random.choice(keys)
    restart(world, phone)
    if phone.device.damage(key, is_lost=random.random() < 0.4):
        world.happened("F07")
        world.say(f"{phone}: its row of {key[0]}/{key[1]} rots")
        phone.is_broken = True
        world.lost_row(phone, key)
        world.ledger.excuse()


def restored(world: World, _phone: Phone, random: Random) -> None:
    """F08: the authority is backed up, or put back to such a backup, told or not."""
    if not world.backups or random.random() < 0.5:
        world.backups.append((world.authority.backup(), world.ledger.authority_copy(), dict(world.grants)))
        del world.backups[:-3]
        return
    chosen = random.randrange(len(world.backups))
    disk, kept, grants = world.backups[chosen]
    # What was backed up later belongs to a future that there never was.
    del world.backups[chosen + 1 :]
    is_told = random.random() < 0.5
    world.say(
        f"the authority is restored to an older state, and {'says so' if is_told else 'nobody says so'}"
    )
    world.watch()
    # No connection outlives the server: what is on the wire towards it is lost.
    world.strays.clear()
    for one in world.phones:
        if one.line.call is not None and one.line.answer is None:
            lose(world, one)
    world.authority.restore(disk, is_told=is_told)
    world.lives += 1
    world.ledger.authority_put_back(kept, world.lives)
    world.go_back_to(grants)
    world.unsighted.update(one.name for one in world.phones)
    world.happened("F08")


def clock_jump(world: World, phone: Phone, random: Random) -> None:
    """F09: the clock is set to something else."""
    phone.clock.way = random.choice(CLOCKS)
    world.say(f"{phone}: its clock is {phone.clock.way} now")


def access(world: World, phone: Phone, random: Random) -> None:
    """F11: a subject's tags are taken away or given, while it has edits to send."""
    if phone.subject == "subject 0":
        return
    tags = random.sample(world.tags, random.randrange(len(world.tags) + 1))
    world.grant(phone.subject, tags)
    world.happened("F11")
    world.say(f"{phone.subject} holds {sorted(tags)} from now on")


def upgrade(world: World, phone: Phone, random: Random) -> None:
    """F12: an app, or the authority, goes over to the new schema; until then old and new live together."""
    if world.authority_is_old and random.random() < 0.3:
        world.upgrade_authority()
    else:
        upgrade_phone(world, phone)


def upgrade_phone(world: World, phone: Phone) -> None:
    """Install the app of the present version, if it is not there."""
    if phone.device.schema is world.old_schema:
        restart(world, phone)
        phone.device.upgrade(world.scenario.schema)
        world.say(f"{phone} gets the new app")


def purge(world: World, _phone: Phone, _random: Random) -> None:
    """F13: tombstones are collected while pushes are under way."""
    keys = world.authority.purgeable()
    if not keys:
        return
    accounts = judge_purged(world.ledger, {key: found_at(world, key) for key in keys})
    for sentence in accounts.problems:
        world.wrong(sentence)
    world.counts["states"].update(accounts.states)
    world.authority.purge()
    world.lend_no_more(keys)
    world.say(f"the authority forgets {[f'{kind}/{entity_id}' for kind, entity_id in keys]}")
    calls = [one.line.call for one in world.phones if one.line.call is not None and one.line.answer is None]
    if any(isinstance(call.request, SyncRequest) and call.request.changes for call in calls) or world.strays:
        world.happened("F13")


def long_absence(world: World, phone: Phone, random: Random) -> None:
    """F10: while a phone is away, somebody deletes a record, everybody else hears of it, and it is collected."""
    others = [one for one in world.phones if one is not phone]
    writer = random.choice(others)
    keys = [key for key in writer.device.all_keys() if not key[1].endswith("-1")]
    if keys and not writer.is_broken:
        from_screen = seeded(random.randrange(2**32))
        for _ in range(3):
            act(world, writer, from_screen)
    for one in others:
        for _ in range(random.randrange(6, 18)):
            if not one.line.is_cut_up and not one.line.is_cut_down:
                advance(world, one, random)
    purge(world, phone, random)


FAULTS: Mapping[str, Fault] = {
    "F01": network,
    "F02": lost_response,
    "F03": crash,
    "F04": power_loss,
    "F05": older_copy,
    "F06": disk_full,
    "F07": damage,
    "F08": restored,
    "F09": clock_jump,
    "F10": long_absence,
    "F11": access,
    "F12": upgrade,
    "F13": purge,
}
"""What each fault operation does."""
