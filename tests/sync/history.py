"""A job, a few devices and an authority, and short ways to write changes down, for the histories."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from rightfit_sync import Change, Conflict, Entity, Outcome, Schema, apply, view
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.messages import SyncResponse

FLOW = {"OPEN": ["P"], "P": ["H", "DONE"], "H": ["P"], "O": ["A", "P"], "A": []}
SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "job": {
                "fields": {
                    "title": {"type": "str"},
                    "other": {"type": "str"},
                    "notes": {"merge": "text"},
                    "log": {"merge": "text", "on_overlap": "merge"},
                    "tags": {"merge": "set", "type": "str"},
                    "cost": {"merge": "counter", "type": "int"},
                    "high": {"merge": "maximum", "type": "int"},
                    "state": {"merge": "workflow", "type": "str", "transitions": FLOW},
                    "analysis": {"merge": "server", "type": "str"},
                    "items": {"merge": "keyed_list", "type": "list", "fields": {"note": {"merge": "text"}}},
                    "status": {"merge": "workflow", "type": "str", "transitions": FLOW},
                    "completed_by": {"type": "str"},
                },
                "groups": {"completion": {"members": ["status", "completed_by"], "lead": "status"}},
                "audience": ["all"],
            }
        },
    },
    Schema,
)
KIND = SCHEMA.kinds["job"]
JOB = ("job", "1")


class World:
    """An authority and some devices that hold the job with the title "Boiler"."""

    def __init__(self, *names: str, **wanted: object) -> None:
        self.authority = MemoryAuthority(SCHEMA, authorize=not_bad)
        self.authority.grant("everybody", ["all"])
        self.devices = [MemoryDevice(name, SCHEMA) for name in names]
        for name in names:
            self.authority.register(name, "everybody")
        self.time = 0
        self.devices[0].create(JOB, {"title": "Boiler", **wanted})
        self.settle()

    def sync(self, *devices: MemoryDevice) -> None:
        for device in devices:
            self.time += 1
            device.sync(self.authority, self.time)

    def settle(self) -> None:
        """Let everybody sync, and check that they agree and that nothing waits."""
        self.sync(*self.devices, *self.devices)
        for device in self.devices:
            assert device.entity(JOB) == self.authority.entity(JOB)
            assert device.conflicts(JOB) == self.conflicts()
            assert not list(device.store.pending())

    def lose_response(self, device: MemoryDevice) -> SyncResponse:
        """Push what is pending; the answer, which is returned, does not arrive."""
        self.time += 1
        return self.authority.sync(device.token, device.request(), self.time)

    def conflicts(self) -> list[Conflict]:
        return self.authority.conflicts(JOB)

    def view(self) -> dict[str, object]:
        held = self.authority.entity(JOB)
        return {} if held is None else view(held, SCHEMA)


def not_bad(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    said = any(patch.value == "bad" for patch in change.patches.values())
    return rejected("forbidden", "not this word") if said else None


def change(dot: tuple[str, int], op: str = "edit", *, was: object = msgspec.UNSET, **facts: object) -> Change:
    whole = {"dot": dot, "op": op, "kind": "job", "entity_id": "1", "written_at": dot[1], **facts}
    return replace(msgspec.convert(whole, Change), was=was)


def fold(*history: Change, start: Entity | None = None) -> Entity:
    entity = start
    for one in history:
        entity, outcome = apply(entity, one, SCHEMA)
        assert outcome.is_accepted, outcome
    assert entity is not None
    return entity


def born(**values: object) -> Change:
    patches = {"title": {"value": "Boiler"}} | {path: {"value": value} for path, value in values.items()}
    return change(("s", 1), "create", patches=patches)


def edit(
    dot: tuple[str, int],
    path: str,
    value: object,
    base: object = None,
    replaces: Sequence[tuple[str, int]] = (),
) -> Change:
    patch = {"value": value, "base": base, "replaces": list(replaces)}
    return change(dot, base={"s": 1}, patches={path: patch})


def values(entity: Entity, path: str) -> list[object]:
    return [sibling.value for sibling in entity.fields.get(path, ())]


def two_writers() -> tuple[World, MemoryDevice, MemoryDevice]:
    world = World("a", "b")
    return world, world.devices[0], world.devices[1]


def cloned(device: MemoryDevice) -> MemoryDevice:
    """Return a copy of `device` on another phone, with the same token."""
    return MemoryDevice(device.token, SCHEMA, store=device.store.copy())
