"""Moving one item of a list patches that item alone, so that two moves of two items do not conflict."""

from itertools import permutations

import msgspec
import pytest

from rightfit_sync import Schema
from rightfit_sync.positions import longest_rise
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice

SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "list": {"fields": {"items": {"merge": "keyed_list", "type": "list"}}, "audience": ["all"]}
        },
    },
    Schema,
)
LIST = ("list", "1")


def items(order: str) -> list[dict[str, str]]:
    return [{"id": letter} for letter in order]


def order_on(device: MemoryDevice) -> str:
    shown = device.view(LIST)["items"]
    assert isinstance(shown, list)
    return "".join(item["id"] for item in shown)


@pytest.fixture
def devices() -> tuple[MemoryAuthority, MemoryDevice, MemoryDevice]:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA)
    for device in (ann, bob):
        authority.register(device.device_id, "everybody")
    ann.create(LIST, {"items": items("wxyz")})
    ann.sync(authority, 1)
    bob.sync(authority, 1)
    return authority, ann, bob


def test_two_people_who_move_two_items_both_get_their_way(
    devices: tuple[MemoryAuthority, MemoryDevice, MemoryDevice],
) -> None:
    authority, ann, bob = devices
    to_the_front = ann.edit(LIST, {"items": items("zwxy")})
    to_the_end = bob.edit(LIST, {"items": items("xyzw")})
    assert to_the_front is not None
    assert to_the_end is not None
    assert (set(to_the_front.patches), set(to_the_end.patches)) == ({"items/z"}, {"items/w"})
    for device in (ann, bob, ann):
        device.sync(authority, 2)
    assert order_on(ann) == order_on(bob) == "zxyw"
    assert not ann.conflicts(LIST)


@pytest.mark.parametrize(
    "wanted", ["".join(order) for order in permutations("wxyz")] + ["awxyz", "wxbyz", "wxyzc", "zaxb"]
)
def test_every_order_is_reached(
    wanted: str, devices: tuple[MemoryAuthority, MemoryDevice, MemoryDevice]
) -> None:
    _, ann, _ = devices
    ann.edit(LIST, {"items": items(wanted)})
    assert order_on(ann) == wanted


def test_as_many_as_can_stay() -> None:
    assert longest_rise([(2, 0, letter, "") for letter in "cabdz"]) == [1, 2, 3, 4]
    assert longest_rise([(2, 0, letter, "") for letter in "aa"]) == [1]
    assert longest_rise([]) == []
