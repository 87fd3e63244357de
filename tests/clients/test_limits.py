"""What is too large, refused or expired: halved, set aside by name, or fetched anew; the rest flows on."""

from collections.abc import Callable

import httpx
import pytest
from msgspec.structs import replace

from rightfit_client import Offline, RemoteProblem, Replica
from rightfit_client.testing import HttpAuthority, problem
from rightfit_sync.limits import ROWS_PER_PAGE
from rightfit_sync.wire.codec import MSGPACK, decode, decompress
from rightfit_sync.wire.messages import SyncRequest

Open = Callable[..., Replica]


def long_text(seed: int) -> str:
    """A text that does not compress well."""
    return "".join(chr(0x4E00 + (seed * 7919 + index * index * 31) % 20_000) for index in range(3_000))


def test_B04_the_client_halves_its_batch(replica: Replica, authority: HttpAuthority) -> None:
    authority.body_bytes_max = 40_000
    with replica.batch():
        for number in range(20):
            replica.insert("work_order", title=long_text(number))
    replica.sync()
    sizes = [len(one.changes) for one in authority.exchanges]
    assert sum(sizes) == 20
    assert max(sizes) < 20
    assert replica.pending() == []
    assert replica.rejected() == []


def test_B04_a_single_oversized_change_is_set_aside_by_name(
    replica: Replica, authority: HttpAuthority
) -> None:
    authority.body_bytes_max = 20_000
    first = replica.insert("work_order", title="before")
    large = replica.insert("work_order", title="".join(long_text(seed) for seed in range(8)))
    replica.update("work_order", first, title="after")
    assert replica.sync().rejected == 1
    (refused,) = replica.rejected()
    assert (refused.change.entity_id, refused.outcome.code) == (large, "too_large")
    assert refused.change.patches["title"].value.startswith(long_text(0)[:10])
    # Its counter was spent on a void, so that nothing behind it waits.
    assert replica.pending() == []
    assert [one.change.op for one in authority.memory.history] == ["create", "void", "edit"]
    assert [row["title"] for row in replica.query("work_order")] == ["after"]
    # Smaller, it passes.
    replica.edit_again(refused.change.dot, title="shorter")
    replica.sync()
    assert len(replica.query("work_order")) == 2
    assert replica.rejected() == []


def test_B04_an_oversized_transaction_is_set_aside_whole(replica: Replica, authority: HttpAuthority) -> None:
    authority.body_bytes_max = 20_000
    with replica.transaction():
        for seed in range(8):
            replica.insert("work_order", title=long_text(seed))
    replica.insert("work_order", title="fine")
    assert replica.sync().rejected == 8
    assert [row["title"] for row in replica.query("work_order")] == ["fine"]
    assert replica.pending() == []


def test_a_poison_change_is_isolated_and_the_others_flow(replica: Replica, authority: HttpAuthority) -> None:
    kept = authority.serve

    def serve(request: httpx.Request, body: bytes) -> httpx.Response:

        plain = decompress(body) if request.headers.get("content-encoding") == "zstd" else body
        message = decode(plain, MSGPACK, SyncRequest)
        if any(
            "title" in one.change.patches and one.change.patches["title"].value == "poison"
            for one in message.changes
        ):
            return problem(422, "invalid_message", field="title")
        return kept(request, body)

    authority.serve = serve
    for title in ("a", "b", "poison", "c", "d"):
        replica.insert("work_order", title=title)
    assert replica.sync().rejected == 1
    assert [row["title"] for row in replica.query("work_order", order_by="title")] == ["a", "b", "c", "d"]
    (refused,) = replica.rejected()
    assert (refused.outcome.code, refused.outcome.path) == ("invalid_message", "title")
    assert replica.pending() == []


def test_a_proxy_that_refuses_everything_takes_no_edit_away(
    replica: Replica, authority: HttpAuthority
) -> None:
    for title in ("a", "b", "c"):
        replica.insert("work_order", title=title)
    for _ in range(10):
        authority.refuse(problem(400, "bad_gateway_rule"))
    with pytest.raises(RemoteProblem):
        replica.sync()
    assert len(replica.pending()) == 3
    assert replica.rejected() == []
    authority.faults.clear()
    replica.sync()
    assert replica.pending() == []


def test_a_response_too_large_to_read_is_asked_for_in_smaller_pages(
    open_replica: Open, authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    for number in range(40):
        ann.insert("work_order", title=f"{number} {'x' * 500}")
        ann.sync()
    authority.exchanges.clear()
    monkeypatch.setattr("rightfit_client.transport.RESPONSE_BYTES_MAX", 20_000)
    bob.sync()
    assert len(bob.query("work_order")) == 40
    asked = [one.rows_max for one in authority.exchanges]
    assert asked[0] == ROWS_PER_PAGE
    assert asked[-1] < 40


def test_F10_rows_too_large_to_read_at_once_are_compared_in_smaller_lots(
    open_replica: Open, authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    made = [ann.insert("work_order", title=f"{number} {'x' * 500}") for number in range(40)]
    goes = ann.insert("work_order", title="goes")
    ann.sync()
    bob.sync()
    ann.delete("work_order", goes)
    for entity_id in made:
        ann.update("work_order", entity_id, team="north")
    ann.sync()
    authority.memory.purge()
    monkeypatch.setattr("rightfit_client.transport.RESPONSE_BYTES_MAX", 20_000)
    bob.sync()
    assert [row["team"] for row in bob.query("work_order")] == ["north"] * 40


def test_F10_an_expired_cursor_pushes_first_and_rebuilds_the_copy(
    open_replica: Open, authority: HttpAuthority
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    stays, goes = ann.insert("work_order", title="stays"), ann.insert("work_order", title="goes")
    ann.sync()
    bob.sync()
    ann.delete("work_order", goes)
    ann.sync()
    authority.memory.purge()
    bob.update("work_order", stays, team="north")
    bob.update("work_order", goes, title="too late")
    mine = bob.insert("work_order", title="new")
    authority.exchanges.clear()
    bob.sync()
    # Nothing is resurrected, nothing pending is dropped.
    assert {row["entity_id"] for row in bob.query("work_order")} == {stays, mine}
    assert bob.pending() == []
    (refused,) = bob.rejected()
    assert refused.change.patches["title"].value == "too late"
    pushing = [one for one in authority.exchanges if one.rows_max == 0]
    assert [bool(one.changes) for one in pushing] == [True]
    ann.sync()
    assert ann.query("work_order", order_by="entity_id") == bob.query("work_order", order_by="entity_id")


def test_F10_a_rebuild_that_is_cut_off_goes_on_later(open_replica: Open, authority: HttpAuthority) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    for number in range(3):
        ann.insert("work_order", title=str(number))
        ann.sync()
    bob.sync()
    gone = ann.insert("work_order", title="gone")
    ann.delete("work_order", gone)
    ann.sync()
    authority.memory.purge()
    bob.insert("work_order", title="mine")
    authority.faults += [None, None]
    authority.drop_request()
    with pytest.raises(Exception, match="reached"):
        bob.sync()
    bob.close()
    bob = open_replica("dev-b")
    bob.sync()
    assert len(bob.query("work_order")) == 4
    assert bob.pending() == []


def test_F08_what_a_restored_authority_lost_is_given_back(
    open_replica: Open, authority: HttpAuthority
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    before = ann.insert("work_order", title="before")
    ann.sync()
    backup = authority.memory.copy()
    after = ann.insert("work_order", title="after")
    ann.update("work_order", before, title="edited")
    ann.sync()
    bob.sync()
    ann.insert("work_order", title="pending")
    authority.memory.put_back(backup)
    # Nobody has said so: bob's cursor gives it away, and bob holds what ann had written.
    bob.sync()
    ann.sync()
    bob.sync()
    for one in (ann, bob):
        rows = one.query("work_order", order_by="title")
        assert [row["title"] for row in rows] == ["after", "edited", "pending"]
        assert (one.status().state, one.conflicts(), one.rejected()) == ("up_to_date", [], [])
    assert set(authority.memory.held) == {("work_order", row["entity_id"]) for row in rows}
    assert ("work_order", after) in authority.memory.held


def test_F08_a_reconciliation_that_is_cut_off_goes_on_in_the_next_process(
    open_replica: Open, authority: HttpAuthority
) -> None:
    ann = open_replica("dev-a")
    ann.sync()
    backup = authority.memory.copy()
    ann.insert("work_order", title="lost")
    ann.sync()
    authority.memory.put_back(backup)
    authority.faults += [None, None]
    authority.drop_request()
    with pytest.raises(Offline):
        ann.sync()
    ann.close()
    ann = open_replica("dev-a")
    ann.sync()
    assert [row["title"] for row in ann.query("work_order")] == ["lost"]
    assert len(authority.memory.held) == 1


def test_resync_compares_the_copy_and_keeps_the_outbox(open_replica: Open, authority: HttpAuthority) -> None:
    replica = open_replica("dev-a")
    order_id = replica.insert("work_order", title="a")
    replica.sync()
    replica.update("work_order", order_id, title="b")
    other = authority.memory.held["work_order", order_id].entity
    (row,) = replica._store.trunks([("work_order", order_id)]).values()
    replica._store.put_trunks([replace(row, entity=replace(other, fields={}))])
    replica.resync()
    assert len(replica.pending()) == 1
    replica.sync()
    assert [row["title"] for row in replica.query("work_order")] == ["b"]
    assert len(replica._store.trunks([("work_order", order_id)])["work_order", order_id].entity.fields) == 1
    # Nothing differed but that row: nothing else was fetched.
    assert authority.exchanges[-1].cursor is not None
