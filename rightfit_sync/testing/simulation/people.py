"""What people do on their phones: one person's act, told to the ledger with what the screen had shown."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from rightfit_sync.apply import final_value
from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import LocalError
from rightfit_sync.identity import first_name
from rightfit_sync.life import is_deleted
from rightfit_sync.paths import is_inside
from rightfit_sync.records import RECEIPT_LOST, Change, Entity
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ledger import Typed, Write
from rightfit_sync.testing.simulation.phone import Phone
from rightfit_sync.testing.simulation.ports import CrashError, DiskFullError, Failure
from rightfit_sync.testing.simulation.schedule import seeded
from rightfit_sync.testing.simulation.wire import reboot
from rightfit_sync.testing.simulation.workload import PLANTED, ids_of, shown_at
from rightfit_sync.testing.simulation.world import World
from rightfit_sync.values import Value, same
from rightfit_sync.view import shown

Verb = Callable[[], Change | None]

_SHOWN_AS_TYPED = frozenset({"register", "text", "counter", "workflow"})
"""Merge words of fields that show what was just typed, whatever was there."""

_NEVER_MERGED = frozenset({"register", "once", "server", "set"})


def act(world: World, phone: Phone, random: Random, failure: Failure | None = None) -> None:
    """Somebody does something; with a `failure` the phone's disk fails them."""
    if phone.is_broken:
        return
    keys = [key for key in phone.device.all_keys() if key[0] in phone.device.schema.kinds]
    roll = random.random()
    if not keys or roll < 0.05:
        kind = random.choice(sorted(phone.device.schema.kinds))
        key = (kind, world.workload.fresh_id(kind, phone.name.replace(" ", "-")))
        create(world, phone, key, random, failure)
        _create_beside(world, phone, key)
    elif roll < 0.10:
        transaction = f"transaction {world.workload.fresh_id('', phone.name)}"
        for key in random.sample(keys, min(len(keys), random.randrange(2, 4))):
            _touch(world, phone, key, random, failure, transaction)
            failure = None
    elif roll < 0.12:
        _set_aside(world, phone, random)
    elif roll < 0.16:
        _look_at_rejected(world, phone, random)
    else:
        key = _favoured(world, keys, random)
        if roll < 0.26 and phone.device.conflicts(key):
            _resolve(world, phone, key, random, failure)
        elif roll < 0.30:
            _live(world, phone, key, failure)
        else:
            _touch(world, phone, key, random, failure, None)


def _favoured(world: World, keys: list[Key], random: Random) -> Key:
    """Most of the time people work on the same few records, and more on those of which there is more to write."""
    first = [key for key in keys if key[1].endswith("-1")]
    if not first or random.random() >= 0.6:
        return random.choice(keys)
    kinds = world.scenario.schema.kinds
    fields = [len(kinds[key[0]].fields) for key in first]
    return random.choices(first, [1 + min(count // 3, 5) for count in fields])[0]


def create(
    world: World, phone: Phone, key: Key, random: Random, failure: Failure | None = None, place: int = 0
) -> None:
    """Somebody makes a new record."""
    device = phone.device
    wanted = world.workload.born(random, key[0], device.schema, ids_of(device.all_keys()), place)
    if not wanted:
        return
    change = _attempt(world, phone, failure, lambda: device.create(key, _flat(wanted, key, world)))
    if change is not None:
        _note(world, phone, change, None)


def _create_beside(world: World, phone: Phone, key: Key) -> None:
    """Rarely the same person makes the same record on another phone too: its id says what it is about (today's job)."""
    random = seeded(f"{world.plan.seed}, beside {key[1]}")
    others = [
        one
        for one in world.phones
        if one.subject == phone.subject
        and not one.is_broken
        and key[0] in one.device.schema.kinds
        and key not in one.device.all_keys()
    ]
    if others and random.random() < 0.3:
        create(world, random.choice(others), key, random)


def _touch(
    world: World, phone: Phone, key: Key, random: Random, failure: Failure | None, transaction: str | None
) -> None:
    """Somebody edits a field or two of a record, if it is alive on this screen."""
    device = phone.device
    entity = device.entity(key)
    if entity is None or is_deleted(entity, device.schema.kinds[key[0]]):
        return
    wanted = world.workload.edited(random, entity, device.schema, ids_of(device.all_keys()))
    change = _attempt(world, phone, failure, lambda: device.edit(key, _flat(wanted, key, world), transaction))
    if change is not None:
        write = _note(world, phone, change, entity)
        _own_edit_is_shown(world, phone, write, entity)
        if transaction is None:
            _write_beside(world, write, chance=0.3 if _merges(world, key, *write.values) else 0.08)


def _resolve(world: World, phone: Phone, key: Key, random: Random, failure: Failure | None) -> None:
    """Somebody settles one of the conflicts of a record."""
    device = phone.device
    entity, listed = device.entity(key), list(device.conflicts(key))
    # What could have merged is seldom in conflict, and there is more about it that can go wrong.
    rare = [one for one in listed if one.reason == "siblings" and _merges(world, key, one.path)]
    conflict = random.choice(rare or listed)
    if entity is not None:
        write = _settle(world, phone, key, conflict.path, _choice(world, entity, conflict, random), failure)
        if write is not None:
            _write_beside(world, write, chance=0.7)


def _settle(
    world: World, phone: Phone, key: Key, path: str, choice: Value, failure: Failure | None = None
) -> Write | None:
    device = phone.device
    entity = device.entity(key)
    change = _attempt(world, phone, failure, lambda: device.resolve(key, path, choice))
    if change is None:
        return None
    write, after = _note(world, phone, change, entity), device.entity(key)
    if path in write.values and after is not None and len(after.fields.get(path, ())) > 1:
        world.wrong(f"{write}: it settles {path}, and the screen still shows a conflict")
    return write


def _merges(world: World, key: Key, *paths: str) -> bool:
    return any(world.rule_word(key, path) not in _NEVER_MERGED for path in paths)


def _write_beside(world: World, write: Write, chance: float) -> None:
    """With that chance somebody, or the same person once more, writes at the same place before anybody hears of it."""
    random = seeded(f"{world.plan.seed}, beside {write.number}")
    key = write.key
    others = [one for one in world.phones if not one.is_broken and key in one.device.all_keys()]
    if random.random() >= chance or not others or not write.values:
        return
    phone = random.choice(others)
    device, path = phone.device, random.choice(sorted(write.values))
    entity = device.entity(key)
    listed = {one.path for one in device.conflicts(key) if one.reason == "siblings"}
    if entity is not None and path in listed and random.random() < (0.2 if write.op == "resolve" else 0.7):
        _settle(world, phone, key, path, random.choice([one.value for one in entity.fields[path]]))
        return
    _edit_at(world, phone, key, path, random)


def _edit_at(world: World, phone: Phone, key: Key, path: str, random: Random) -> None:
    device = phone.device
    entity = device.entity(key)
    if key[0] not in device.schema.kinds or entity is None or is_deleted(entity, device.schema.kinds[key[0]]):
        return
    wanted = world.workload.beside(random, entity, path, device.schema, ids_of(device.all_keys()))
    change = _attempt(world, phone, None, lambda: device.edit(key, _flat(wanted, key, world)))
    if change is not None:
        _own_edit_is_shown(world, phone, _note(world, phone, change, entity), entity)


def type_on(world: World, phone: Phone) -> None:
    """While a push is on its way somebody goes on with a text in it; or deletes a record of which half a text is in."""
    random = seeded(f"{world.plan.seed}, typing {phone} {len(world.ledger.writes)}")
    screens = world.ledger.screens(phone.name)
    typing = sorted(key for key, screen in screens.items() if screen.runs and phone.device.rows([key]))
    if phone.is_broken or not typing:
        return
    key = random.choice(typing)
    is_half_in = any(screens[key].trunk & write.bit for write, _ in screens[key].runs)
    if is_half_in and random.random() < 0.3:
        _live(world, phone, key, None)
    elif phone.line.call is not None and random.random() < 0.4:
        path = random.choice(sorted(screens[key].runs[-1][0].texts))
        _edit_at(world, phone, key, path, random)


def _choice(world: World, entity: Entity, conflict: Conflict, random: Random) -> Value:
    values = [sibling.value for sibling in entity.fields.get(conflict.path, ())]
    if conflict.reason == "delete_edit":
        return random.choice(["keep", "delete"])
    if conflict.reason == "removed_item":
        return random.choice([None, "M"])
    if conflict.reason == "orphan":
        return None
    if conflict.reason == "invariant":
        fields = world.scenario.schema.kinds[entity.kind].invariants[conflict.path].fields
        return {random.choice([*fields]): None}
    return random.choice(values)


def _live(world: World, phone: Phone, key: Key, failure: Failure | None) -> None:
    """Somebody deletes a record, or brings it back."""
    device = phone.device
    entity = device.entity(key)
    if entity is None:
        return
    gone = is_deleted(entity, device.schema.kinds[key[0]])
    verb = device.restore if gone else device.delete
    change = _attempt(world, phone, failure, lambda: verb(key))
    if change is not None:
        _note(world, phone, change, entity)


def _set_aside(world: World, phone: Phone, random: Random) -> None:
    device = phone.device
    pending = [pushed for pushed in device.pending() if pushed.change.op != "void"]
    if not pending:
        return
    device.set_aside(random.choice(pending).change.dot)
    voids = {pushed.change.dot for pushed in device.pending() if pushed.change.op == "void"}
    for pushed in pending:
        if pushed.change.dot in voids:
            write = world.find(pushed.change, pushed.digest)
            if write is not None:
                world.ledger.gave_up(phone.name, write)
                world.say(f"{phone} sets aside {write}")
    world.counts["acts"]["set aside"] += 1


def _look_at_rejected(world: World, phone: Phone, random: Random) -> None:
    """Somebody tries a rejected change again, or discards it."""
    device = phone.device
    listed = device.rejected()
    if not listed:
        return
    former = random.choice(list(listed))
    name = first_name(former.change, former.digest)
    write, key = world.find(former.change, former.digest), (former.change.kind, former.change.entity_id)
    entity = device.entity(key)
    if write is None:
        world.wrong(f"{phone} has {former.change.dot} on its rejected list, and nobody wrote it")
        return
    is_hopeless = bool(write.planted) or write.is_told_twice or former.change.op != "edit" or entity is None
    if random.random() < 0.25 or (is_hopeless and random.random() < 0.3):
        device.discard(former.change.dot)
        world.ledger.dealt_with(write)
        world.counts["acts"]["discard"] += 1
        world.say(f"{phone} discards {write}")
    elif not is_hopeless and entity is not None and not is_deleted(entity, device.schema.kinds[key[0]]):
        change = _attempt(world, phone, None, lambda: device.retry(former.change.dot))
        if any(one.change.dot == former.change.dot for one in device.rejected()):
            return
        world.ledger.dealt_with(write)
        world.counts["acts"]["retry"] += 1
        if change is not None:
            again = _note(world, phone, change, entity, write)
            # Where the answer was lost its author has looked whether it had arrived: that is a write of its own.
            again.says_again = 0 if former.outcome.code == RECEIPT_LOST else write.bit
            world.retried[phone.name, name.dot, name.digest] = again


def _flat(wanted: Mapping[str, Value], key: Key, world: World) -> dict[str, Value]:
    """Return `wanted` with the members of groups beside the other fields, as an app writes them."""
    flat: dict[str, Value] = {}
    for path, value in wanted.items():
        if path in world.scenario.schema.kinds[key[0]].groups and isinstance(value, Mapping):
            flat.update(value)
        else:
            flat[path] = value
    return flat


def _attempt(world: World, phone: Phone, failure: Failure | None, verb: Verb) -> Change | None:
    """Carry out what somebody wants; return the change that is durable then, whether they were told of it or not."""
    device = phone.device
    before = [(pushed.change.dot, pushed.digest) for pushed in device.pending()] if failure else []
    device.arm(failure)
    try:
        change = verb()
    except LocalError as refused:
        world.counts["acts"][f"refused {refused.code}"] += 1
        change = None
    except DiskFullError:
        world.happened("F06")
        world.say(f"{phone}: the disk is full, and the edit is refused")
        if [(pushed.change.dot, pushed.digest) for pushed in device.pending()] != before:
            world.wrong(f"{phone}: of an edit that was refused, something was kept")
        change = None
    except CrashError as crash:
        world.happened("F04" if str(crash).endswith("commit") else "F03")
        world.say(f"{phone} dies while somebody writes ({crash})")
        reboot(phone)
        left = [pushed for pushed in device.pending() if not world.knows(pushed.change, pushed.digest)]
        if [(pushed.change.dot, pushed.digest) for pushed in device.pending()][: len(before)] != before:
            world.wrong(f"{phone}: an edit that had been acknowledged is gone after a crash")
        change = left[-1].change if left else None
    finally:
        device.arm(None)
    if change is not None and not device.outbox_has(change.dot):
        world.wrong(f"{phone}: {change.dot} was acknowledged, and is not in the outbox")
    return change


def _note(
    world: World, phone: Phone, change: Change, entity: Entity | None, former: Write | None = None
) -> Write:
    """Tell the ledger what was written, over what the screen had shown."""
    key = (change.kind, change.entity_id)
    values = {path: final_value(patch) for path, patch in change.patches.items()}
    before = _before(entity, values)
    beside = {path for path, kept in (entity.fields if entity else {}).items() if len(kept) > 1}
    if former is not None:
        # Where the field has moved on, a retry is merged: it says again the difference that it made then.
        merging = [path for path in values if not change.patches[path].replaced]
        before |= {path: was for path, was in former.before.items() if path in merging}
        beside.update(merging)
    texts = {
        path: _typed(entity, change, path, before.get(path), value)
        for path, value in values.items()
        if world.rule_word(key, path) == "text"
    }
    if former is not None:
        # Where a text was built on another that was refused, trying it again says that other one too.
        texts = {
            path: replace(former.texts.get(path, was), may_add=frozenset(str(values[path] or "")))
            for path, was in texts.items()
        }
    write = world.ledger.wrote(
        phone.name,
        key,
        change.op,
        values,
        before,
        texts=texts,
        beside=frozenset(beside),
        transaction=change.transaction_id,
        planted=_planted(values),
    )
    world.name(change, write)
    if phone.clock.is_wild:
        world.happened("F09")
    world.counts["acts"][change.op] += 1
    world.say(f"{change.dot}: {write}")
    return write


def _before(entity: Entity | None, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return what the screen showed where something was written, and inside the items that were removed."""
    if entity is None:
        return {}
    items = [path for path, value in values.items() if value is None and "/" in path]
    inner = [path for path in entity.fields if any(is_inside(path, item) for item in items)]
    return {path: shown_at(entity, path) for path in (*values, *inner)}


def _typed(entity: Entity | None, change: Change, path: str, was: Value, value: Value) -> Typed:
    before, after = frozenset(str(was or "")) - {" "}, frozenset(str(value or "")) - {" "}
    if change.op != "resolve" or entity is None:
        return Typed(after - before, before - after)
    marks = frozenset("".join(str(one.value or "") for one in entity.fields.get(path, ()))) - {" "}
    return Typed(frozenset(), marks - after, after)


def _planted(values: Mapping[str, Value]) -> frozenset[str]:
    """Return the codes of the rejections that the words in `values` ask for."""
    words = [
        word
        for value in values.values()
        for word in (value.values() if isinstance(value, Mapping) else (value,))
    ]
    return frozenset(PLANTED[word] for word in words if isinstance(word, str) and word in PLANTED)


def _own_edit_is_shown(world: World, phone: Phone, write: Write, before: Entity) -> None:
    """Whatever its clock says, a device shows what its user has just typed, and all that stood beside."""
    entity = phone.device.entity(write.key)
    for path in write.values:
        was = before.fields.get(path, ())
        hidden = [one.value for one in was if not same(one.value, shown(was).value)]
        left = [] if entity is None else [one.value for one in entity.fields.get(path, ())]
        for value in hidden:
            if value not in left:
                world.wrong(
                    f"{write}: {value!r} stood beside at {path}, and the screen does not show it any more"
                )
    for path, value in write.values.items():
        word = world.rule_word(write.key, path)
        if word in _SHOWN_AS_TYPED:
            there = None if entity is None else shown_at(entity, path)
            if there != value:
                world.wrong(f"{write}: the screen shows {there!r} at {path}")
