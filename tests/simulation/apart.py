"""Four people who edit, offline, what nobody else edits: nothing of it may conflict."""

from collections import Counter

from rightfit_sync.testing.network import FakeNetwork
from tests.simulation.model import TEXTS, Json, Key, Write
from tests.simulation.pen import shown_at
from tests.simulation.schema import FORBIDDEN, GROUPS
from tests.simulation.world import World, typed


def play_apart(world: World) -> Counter[str]:
    """Everybody edits what nobody else edits; return the codes of the rejections that were planted."""
    key, planted = ("job", "j1"), Counter[str]()
    world.pen.is_planting = False
    world.begin()
    words = [world.pen.marked("notes", 1) for _ in world.devices]
    first = next(iter(world.devices))
    _apply(world, first, key, {"notes": " ".join(words), "log": " ".join(words)})
    for path in ("items/2", "items/3"):
        _apply(world, first, key, {path: world.random.choice("AMz")})
    world.finish()
    world.network = FakeNetwork(world.random, loss=0.15, repetition=0.15)
    for place, name in enumerate(world.devices):
        edits = _own_edits(world, place, words[place])
        if place < 2:
            path = ("title", "site_id")[place]
            edits.append((("memo", "m1"), {path: (world.pen.word(), "s2")[place]}))
        world.random.shuffle(edits)
        for owner, wanted in edits:
            _apply(world, name, owner, wanted)
            if world.random.random() < 0.3:
                world.send(name)
            if world.random.random() < 0.5:
                world.deliver()
        planted += _plant(world, name, place)
    world.finish()
    return planted


def _own_edits(world: World, place: int, word: str) -> list[tuple[Key, dict[str, Json]]]:
    """What only this device edits: a field, a key, an item, a tag, a word; and what merges by rule."""
    key, letters = ("job", "j1"), world.pen.marked("notes", 1)
    mine: list[dict[str, Json]] = [
        {("title", "serial", "completion", "schedule")[place]: None},
        {f"meta/{place}": world.pen.word()},
        {f"tags/{place}": True},
        {"tags/shared": True},
        {"cost": place * 7 + 1},
        {"high": world.random.randrange(50)},
        {"low": world.random.randrange(50)},
        {"notes": (word, letters)},
        {"log": (word, letters)},
    ]
    if place:
        mine += [{f"items/{place}/text": world.pen.word()}, {f"items/{place}": world.random.choice("AMz")}]
    return [(key, wanted) for wanted in mine]


def _apply(world: World, name: str, key: Key, wanted: dict[str, Json]) -> None:
    """Make one edit; a pair in place of a text says which word is to become which."""
    device = world.devices[name]
    entity = device.entity(key)
    assert entity is not None
    path, value = next(iter(wanted.items()))
    was = shown_at(entity, path)
    if isinstance(value, tuple):
        value = str(was).replace(*value)
    if path == "cost":
        value = (was if isinstance(was, int) else 0) + int(str(value))
    values: dict[str, Json] = {path: value}
    if path in ("title", "serial") and value is None:
        values = {path: world.pen.word()}
    if path == "completion":
        values = {path: {"stage": "DONE", "by": "ann"}}
    if path == "schedule":
        values = {path: {"start": 1, "end": 5}}
    flat = values if path not in GROUPS else dict(values[path])  # type: ignore[call-overload]
    change = device.edit(key, flat)
    if change is not None:
        texts = {path: typed(str(was or ""), str(value or ""))} if path in TEXTS else {}
        world.noted(name, key, change, Write(0, name, key, "edit", values, {path: was}, texts))


def _plant(world: World, name: str, place: int) -> Counter[str]:
    """Make one change that must be refused, or none; return the code to expect."""
    device, key = world.devices[name], ("site", "s1")
    if place == 0:
        change = device.edit(("job", "j2"), {"title": FORBIDDEN})
        write = Write(0, name, ("job", "j2"), "edit", {"title": FORBIDDEN}, planted=FORBIDDEN)
    elif place == 1:
        change = device.edit(("task", "t1"), {"site_id": "nowhere"})
        write = Write(0, name, ("task", "t1"), "edit", {"site_id": "nowhere"}, planted="nowhere")
    elif place == 2:
        change, write = device.delete(key), Write(0, name, key, "delete")
    else:
        return Counter()
    assert change is not None
    world.noted(name, write.key, change, write)
    return Counter([("forbidden", "unknown_reference", "restricted")[place]])
