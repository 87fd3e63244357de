"""Cursors: nobody but the authority writes one, and another tenant's or device's is worth nothing."""

import pytest

from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS
from rightfit_sync.wire.cursor import Cursor, sign, verify

KEY = b"key of the authority"
CURSOR = Cursor("tenant-1", "dev-a", "e1", 7, GENESIS, tags_seq=3, backfill=2)


def test_a_cursor_tells_its_maker_where_to_go_on() -> None:
    assert verify(sign(CURSOR, KEY), KEY, tenant_id="tenant-1", device_ids=["dev-a"]) == CURSOR


def test_B08_any_tampering_is_noticed() -> None:
    opaque = sign(CURSOR, KEY)
    forged = {
        opaque[:index] + ("A" if opaque[index] != "A" else "B") + opaque[index + 1 :]
        for index in range(len(opaque))
    }
    forged |= {
        opaque[:-1],
        opaque + "A",
        opaque + "=",
        opaque.replace(".", ""),
        "",
        ".",
        "a.b",
        "é" + opaque,
        opaque[:9] + "!" + opaque[9:],
    }
    # The last character of either part has bits to spare: other characters would say the same bytes.
    content, _, tag = opaque.partition(".")
    forged |= {f"{content}.{tag[:-1]}{letter}" for letter in "ABCDEFGHabcdefgh0123456789-_"}
    forged |= {f"{content[:-1]}{letter}.{tag}" for letter in "ABCDEFGHabcdefgh0123456789-_"}
    for attempt in forged - {opaque}:
        with pytest.raises(RemoteError) as caught:
            verify(attempt, KEY, tenant_id="tenant-1", device_ids=["dev-a"])
        assert (caught.value.code, caught.value.status, caught.value.path) == (
            "cursor_invalid",
            400,
            "cursor",
        )


def test_B08_another_key_makes_no_cursor_of_ours() -> None:
    with pytest.raises(RemoteError) as caught:
        verify(sign(CURSOR, b"another key"), KEY, tenant_id="tenant-1", device_ids=["dev-a"])
    assert caught.value.code == "cursor_invalid"


@pytest.mark.parametrize(("tenant_id", "device_id"), [("tenant-2", "dev-a"), ("tenant-1", "dev-b"), ("", "")])
def test_B08_a_cursor_of_another_tenant_or_device_is_refused(tenant_id: str, device_id: str) -> None:
    with pytest.raises(RemoteError) as caught:
        verify(sign(CURSOR, KEY), KEY, tenant_id=tenant_id, device_ids=[device_id])
    assert (caught.value.code, caught.value.status) == ("cursor_foreign", 403)


def test_a_cursor_of_a_former_id_of_the_replica_is_its_own() -> None:
    assert verify(sign(CURSOR, KEY), KEY, tenant_id="tenant-1", device_ids=["dev-z", "dev-a"]) == CURSOR


def test_a_cursor_remembers_the_newest_commit_it_has_heard_of_until_it_is_there() -> None:
    behind = CURSOR.heard_of(9, "c" * 32)
    assert (behind.head, behind.head_chain) == (9, "c" * 32)
    there = Cursor("tenant-1", "dev-a", "e1", 9, "c" * 32)
    assert there.heard_of(9, "c" * 32) == there


def test_F10_a_cursor_expires_only_where_a_tombstone_may_have_been_missed() -> None:
    begun_after = Cursor("tenant-1", "dev-a", "e1", 7, GENESIS, floor=9)
    assert [begun_after.is_expired(horizon) for horizon in (0, 7, 9, 10)] == [False, False, False, True]
    assert [CURSOR.is_expired(horizon) for horizon in (0, 7, 8)] == [False, False, True]
