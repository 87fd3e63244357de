"""Push and pull: two devices converge, and nothing that goes wrong on the way loses an edit."""

from collections.abc import Callable

import httpx
import pytest
from msgspec.structs import replace

from rightfit_client import (
    LocalError,
    NeedsLogin,
    NeedsRepair,
    NeedsUpgrade,
    Offline,
    Progress,
    RemoteProblem,
    Replica,
)
from rightfit_client.testing import HttpAuthority, problem
from rightfit_sync.limits import HEALINGS_PER_EXCHANGE_MAX
from rightfit_sync.records import rejected
from rightfit_sync.wire.codec import MSGPACK

TITLES = "select title from work_order order by title"


def titles(replica: Replica) -> list[object]:
    return [row["title"] for row in replica.select(TITLES)]


def test_what_one_writes_the_other_reads(open_replica: Callable[..., Replica]) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="Boiler", tags=["leak"])
    assert ann.sync().pushed == 1
    assert bob.sync().pulled == 1
    assert bob.get("work_order", order_id) == ann.get("work_order", order_id)
    assert ann.pending() == bob.pending() == []
    assert ann.status().state == bob.status().state == "up_to_date"


def test_disjoint_edits_merge_and_equal_fields_conflict(open_replica: Callable[..., Replica]) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="Boiler", cost_pence=10)
    ann.sync()
    bob.sync()
    ann.update("work_order", order_id, title="Boiler leaks", team="north", cost_pence=15)
    bob.update("work_order", order_id, title="Boiler drips", urgent=True, cost_pence=11)
    for one in (ann, bob, ann):
        one.sync()
    assert ann.get("work_order", order_id) == bob.get("work_order", order_id)
    shown = ann.get("work_order", order_id)
    assert shown is not None
    assert (shown["team"], shown["urgent"], shown["cost_pence"]) == ("north", True, 16)
    (conflict,) = ann.conflicts()
    assert conflict == bob.conflicts("work_order", order_id)[0]
    assert {sibling.value for sibling in conflict.siblings} == {"Boiler leaks", "Boiler drips"}
    assert ann.status().state == "conflict"
    # Resolved offline, by id; the other side sees it settled.
    ann.resolve(conflict.conflict_id, "Boiler drips a lot")
    assert ann.conflicts() == []
    ann.sync()
    bob.sync()
    assert bob.conflicts() == []
    assert titles(bob) == ["Boiler drips a lot"]


def test_a_resolution_of_what_has_changed_is_refused(open_replica: Callable[..., Replica]) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="x")
    ann.sync()
    bob.sync()
    ann.update("work_order", order_id, title="a")
    bob.update("work_order", order_id, title="b")
    ann.sync()
    bob.sync()
    seen = bob.conflicts()[0]
    bob.resolve(seen, "b")
    with pytest.raises(LocalError) as refused:
        bob.resolve(seen, "a")
    assert refused.value.code == "conflict_changed"
    with pytest.raises(LocalError) as refused:
        bob.resolve("f" * 32, "a")
    assert refused.value.code == "unknown_conflict"


def test_delete_beside_an_edit_is_a_conflict_that_a_person_decides(
    open_replica: Callable[..., Replica],
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="x")
    ann.sync()
    bob.sync()
    ann.delete("work_order", order_id)
    bob.update("work_order", order_id, title="still needed")
    for one in (ann, bob, ann):
        one.sync()
    (conflict,) = ann.conflicts()
    assert (conflict.reason, titles(ann)) == ("delete_edit", ["still needed"])
    with pytest.raises(LocalError, match="keep"):
        ann.resolve(conflict, "perhaps")
    ann.resolve(conflict, "delete")
    ann.sync()
    bob.sync()
    assert titles(bob) == []


def test_a_broken_invariant_is_resolved_with_pythons_types(replica: Replica) -> None:
    from datetime import date  # noqa: PLC0415 - beside its use.

    order_id = replica.insert("work_order", opened_on=date(2026, 5, 2), due_on=date(2026, 5, 1))
    (conflict,) = replica.conflicts()
    assert (conflict.reason, conflict.path) == ("invariant", "dates")
    replica.resolve(conflict, {"due_on": date(2026, 5, 3)})
    assert replica.conflicts() == []
    assert replica.query("work_order")[0] == replica.get("work_order", order_id)


def test_a_transaction_arrives_whole(open_replica: Callable[..., Replica], authority: HttpAuthority) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    with ann.transaction():
        kept = ann.insert("property", address="1 High Street")
        ann.insert("work_order", title="x", property_id=kept)
    with ann.transaction():
        ann.insert("work_order", title="fine by itself")
        ann.insert("work_order", title="refers to nothing", property_id="nowhere")
    assert ann.sync().rejected == 2
    bob.sync()
    assert titles(bob) == titles(ann) == ["x"]
    assert [one.outcome.code for one in ann.rejected()] == ["transaction_rejected", "unknown_reference"]
    assert ann.status().state == "rejected"


def test_F02_a_lost_response_is_answered_by_the_same_receipt(
    open_replica: Callable[..., Replica], authority: HttpAuthority
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="Boiler", cost_pence=5)
    ann.update("work_order", order_id, cost_pence=7)
    authority.lose_response()
    with pytest.raises(Offline):
        ann.sync()
    assert len(ann.pending()) == 2
    assert ann.status().state == "offline"
    ann.sync()
    assert ann.pending() == []
    bob.sync()
    assert bob.query("work_order")[0]["cost_pence"] == 7
    assert len(authority.memory.history) == 2


def test_an_edit_made_while_a_push_is_in_flight_stays_pending(
    replica: Replica, authority: HttpAuthority
) -> None:
    order_id = replica.insert("work_order", title="first")

    def meanwhile(serve: Callable[[], httpx.Response]) -> httpx.Response:
        answer = serve()
        replica.update("work_order", order_id, title="second")
        return answer

    authority.faults.append(meanwhile)
    replica.sync()
    # The same sync goes on until nothing is left.
    assert replica.pending() == []
    assert [len(one.changes) for one in authority.exchanges] == [1, 1]
    assert titles(replica) == ["second"]


def test_rejected_changes_keep_their_payload_and_can_be_made_anew(
    replica: Replica, authority: HttpAuthority
) -> None:
    authority.memory.authorize = lambda _subject, _before, change: (
        rejected("not_permitted", "not yours", "title") if change.op == "create" else None
    )
    order_id = replica.insert("work_order", title="Boiler", cost_pence=1)
    assert replica.sync().rejected == 1
    assert titles(replica) == []
    (refused,) = replica.rejected()
    assert refused.outcome.code == "not_permitted"
    assert refused.change.patches["title"].value == "Boiler"
    # Retry makes a new change with a new dot.
    (again,) = replica.retry(refused.change.dot)
    assert again.dot.counter == refused.change.dot.counter + 1
    assert (titles(replica), replica.rejected()) == (["Boiler"], [])
    replica.sync()
    (refused,) = replica.rejected()
    # Edit again keeps what was not changed.
    replica.edit_again(refused.change.dot, title="Tap")
    assert replica.query("work_order")[0]["cost_pence"] == 1
    authority.memory.authorize = lambda *_: None
    replica.sync()
    assert (titles(replica), replica.rejected(), replica.status().state) == (["Tap"], [], "up_to_date")
    assert replica.get("work_order", order_id) is not None


def test_a_rejected_edit_falls_back_and_can_be_discarded(replica: Replica, authority: HttpAuthority) -> None:
    order_id = replica.insert("work_order", status="OPEN", completed_at="no", title="kept")
    replica.sync()
    authority.memory.authorize = lambda *_: rejected("not_permitted", "no")
    replica.update("work_order", order_id, status="ASSIGNED", completed_at="yes")
    replica.sync()
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert shown["status"] == "OPEN"
    (refused,) = replica.rejected()
    # A group's members are edited again beside each other.
    replica.edit_again(refused.change.dot, completed_at="soon")
    shown = replica.get("work_order", order_id)
    assert shown is not None
    assert (shown["status"], shown["completed_at"]) == ("ASSIGNED", "soon")
    replica.sync()
    replica.discard(replica.rejected()[0].change.dot)
    assert replica.rejected() == []
    with pytest.raises(LocalError) as unknown:
        replica.discard(refused.change.dot)
    assert unknown.value.code == "unknown_dot"


def test_a_rejected_transaction_is_retried_as_one(replica: Replica, authority: HttpAuthority) -> None:
    authority.memory.authorize = lambda *_: rejected("not_permitted", "no")
    with replica.transaction():
        replica.insert("work_order", title="a")
        replica.insert("work_order", title="b")
    replica.sync()
    made = replica.retry(replica.rejected()[1].change.dot)
    assert len(made) == 2
    assert made[0].transaction_id == made[1].transaction_id is not None
    assert replica.rejected() == []


def test_a_rejected_delete_holds_no_values_to_edit(replica: Replica, authority: HttpAuthority) -> None:
    order_id = replica.insert("work_order", title="a")
    replica.sync()
    authority.memory.authorize = lambda *_: rejected("not_permitted", "no")
    replica.delete("work_order", order_id)
    replica.sync()
    assert titles(replica) == ["a"]
    with pytest.raises(LocalError, match="retry or discard"):
        replica.edit_again(replica.rejected()[0].change.dot, title="x")
    assert len(replica.rejected()) == 1


@pytest.mark.parametrize(
    ("status", "code", "error", "state"),
    [
        (401, "token_expired", NeedsLogin, "needs_login"),
        (426, "protocol_unsupported", NeedsUpgrade, "needs_upgrade"),
        (403, "wrong_device", NeedsRepair, "needs_repair"),
        (403, "forbidden", RemoteProblem, "problem"),
        (503, "overloaded", Offline, "offline"),
        (429, "too_many", Offline, "offline"),
    ],
)
def test_what_the_authority_refuses_becomes_a_state(
    replica: Replica, authority: HttpAuthority, status: int, code: str, error: type[Exception], state: str
) -> None:
    replica.sync()
    authority.refuse(problem(status, code, detail="because", remedy="do this", field="cursor"))
    with pytest.raises(error) as refused:
        replica.sync()
    assert replica.status().state == state
    if isinstance(refused.value, RemoteProblem) and status != 401:
        assert (refused.value.code, refused.value.remedy, refused.value.path) == (code, "do this", "cursor")
        assert replica.status().code == code
    # It goes away by itself once the authority answers again.
    replica.sync()
    assert replica.status().state == "up_to_date"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "device_cloned"),
        (409, "epoch_changed"),
        (409, "counter_gap"),
        (400, "cursor_invalid"),
        (403, "cursor_foreign"),
        (410, "cursor_expired"),
    ],
)
def test_what_a_sync_can_mend_is_mended_within_it(
    replica: Replica, authority: HttpAuthority, status: int, code: str
) -> None:
    order_id = replica.insert("work_order", title="x")
    replica.sync()
    replica.update("work_order", order_id, title="y")
    replica.insert("work_order", title="z")
    authority.refuse(problem(status, code))
    replica.sync()
    assert replica.status().state == "up_to_date"
    assert titles(replica) == ["y", "z"]
    assert replica.pending() == replica.rejected() == replica.conflicts() == []
    assert len(authority.memory.history) == 3
    # Whoever is told that its id is used twice, or that the past is another, goes on under a new one.
    if code in ("device_cloned", "epoch_changed", "counter_gap"):
        assert replica.device_id != "dev-a"


def test_B06_a_counter_gap_of_an_authority_that_forgot_is_closed_by_saying_it_again(
    replica: Replica, authority: HttpAuthority
) -> None:
    for title in ("a", "b"):
        replica.insert("work_order", title=title)
        replica.sync()
    forgetful = type(authority.memory)(authority.memory.schema)
    authority.memory = forgetful
    authority.let_in("dev-a")
    replica.insert("work_order", title="c")
    replica.sync()
    assert titles(replica) == ["a", "b", "c"]
    assert {held.entity.fields["title"][0].value for held in forgetful.held.values()} == {"a", "b", "c"}
    assert (replica.pending(), replica.rejected()) == ([], [])


def test_B06_healing_that_never_lasts_is_given_up_until_the_next_sync(
    replica: Replica, authority: HttpAuthority
) -> None:
    replica.insert("work_order", title="x")
    for _ in range(HEALINGS_PER_EXCHANGE_MAX + 1):
        authority.refuse(problem(409, "device_cloned", remedy="do this"))
    with pytest.raises(NeedsRepair) as refused:
        replica.sync()
    assert (refused.value.code, refused.value.remedy) == ("device_cloned", "do this")
    assert (replica.status().state, replica.status().pending) == ("needs_repair", 1)
    replica.sync()
    assert (replica.status().state, titles(replica)) == ("up_to_date", ["x"])
    assert len(authority.memory.history) == 1


def test_a_record_that_the_authority_does_not_take_back_is_named(
    replica: Replica, authority: HttpAuthority
) -> None:
    order_id = replica.insert("work_order", title="x")
    replica.sync()
    authority.memory = type(authority.memory)(authority.memory.schema, epoch="e2")
    authority.let_in("dev-a")
    row = replica._store.trunks([("work_order", order_id)])["work_order", order_id]
    replica._store.put_trunks([replace(row, seal=b"forged")])
    with pytest.raises(NeedsRepair, match=order_id) as refused:
        replica.sync()
    assert (refused.value.code, refused.value.remedy) == (
        "offer_refused",
        "rightfit replica doctor --verify --repair",
    )
    assert replica.status().code == "offer_refused"
    assert titles(replica) == ["x"]


def test_an_overloaded_authority_says_when_to_return(replica: Replica, authority: HttpAuthority) -> None:
    for header, seconds in [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("999999", 3_600.0),
    ]:
        authority.refuse(problem(503, "unavailable", headers={"Retry-After": header}))
        with pytest.raises(Offline) as refused:
            replica.sync()
        assert refused.value.retry_after_seconds == seconds


def test_a_refused_token_is_renewed_once(
    open_replica: Callable[..., Replica], authority: HttpAuthority, make_token: Callable[..., str]
) -> None:
    asked = []

    def renew() -> str | None:
        asked.append(1)
        return make_token("dev-a") + "x" * len(asked)

    replica = open_replica("dev-a", token=renew)
    replica.sync()
    authority.refused_tokens.add(make_token("dev-a") + "x" * len(asked))
    before = len(asked)
    replica.insert("work_order", title="x")
    replica.sync()
    assert len(asked) == before + 1
    assert replica.pending() == []


def test_without_a_better_token_edits_wait_for_a_login(
    replica: Replica, authority: HttpAuthority, make_token: Callable[..., str]
) -> None:
    authority.refused_tokens.add(make_token("dev-a"))
    replica.insert("work_order", title="x")
    with pytest.raises(NeedsLogin):
        replica.sync()
    assert (replica.status().state, replica.status().pending) == ("needs_login", 1)
    replica.log_in(make_token("dev-a") + "2")
    assert replica.status().state == "pending"
    replica.sync()
    assert replica.pending() == []


def test_without_a_url_or_token_nothing_is_sent(open_replica: Callable[..., Replica]) -> None:
    alone = open_replica("dev-a", url=None)
    with pytest.raises(LocalError) as refused:
        alone.sync()
    assert refused.value.code == "no_url"
    alone.close()
    with pytest.raises(NeedsLogin):
        open_replica("dev-a", token=None).sync()


def test_a_wrong_url_is_the_callers_mistake(open_replica: Callable[..., Replica]) -> None:
    replica = open_replica("dev-a", url="nonsense", transport=None)
    with pytest.raises(LocalError) as refused:
        replica.sync()
    assert refused.value.code == "invalid_url"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"\xc1", headers={"Content-Type": MSGPACK}),
        httpx.Response(200, content=b"<html>hello</html>", headers={"Content-Type": "text/html"}),
        httpx.Response(302, headers={"Location": "http://elsewhere"}),
    ],
)
def test_an_answer_that_is_none_changes_nothing(
    replica: Replica, authority: HttpAuthority, answer: httpx.Response
) -> None:
    replica.insert("work_order", title="x")
    authority.faults.append(lambda _serve: answer)
    with pytest.raises(RemoteProblem):
        replica.sync()
    assert len(replica.pending()) == 1
    assert replica.status().state == "problem"


def test_a_push_without_receipts_does_not_go_on_for_ever(replica: Replica, authority: HttpAuthority) -> None:
    replica.sync()
    nothing = httpx.Response(200, content=EMPTY, headers={"Content-Type": "application/json"})
    authority.faults.append(lambda _serve: nothing)
    replica.insert("work_order", title="x")
    with pytest.raises(RemoteProblem) as refused:
        replica.sync()
    assert refused.value.code == "no_receipts"


EMPTY = b'{"protocol_version":1,"schema_version":1,"epoch":"e1","kinds":[]}'


def test_an_authority_of_another_protocol_asks_for_an_upgrade(
    replica: Replica, authority: HttpAuthority
) -> None:
    body = EMPTY.replace(b'"protocol_version":1', b'"protocol_version":99')
    authority.faults.append(
        lambda _serve: httpx.Response(200, content=body, headers={"Content-Type": "application/json"})
    )
    with pytest.raises(NeedsUpgrade):
        replica.sync()


def test_a_sync_with_nothing_to_do_writes_nothing(replica: Replica) -> None:
    replica.sync()
    replica.sync()
    wal = replica.path.with_name(replica.path.name + "-wal")
    before = wal.stat().st_size, replica.database.conn.total_changes
    replica.sync()
    assert (wal.stat().st_size, replica.database.conn.total_changes) == before


def test_progress_is_reported_after_every_answer(open_replica: Callable[..., Replica]) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    with ann.batch():
        for number in range(2_500):
            ann.insert("property", address=str(number))
    told: list[Progress] = []
    ann.sync(told.append)
    assert [(one.pushed, one.pending) for one in told] == [(1_000, 1_500), (2_000, 500), (2_500, 0)]
    pulls: list[Progress] = []
    bob.sync(pulls.append)
    assert [(one.pulled, one.remaining) for one in pulls] == [(2_000, 500), (2_500, 0)]
    assert bob.status().progress == pulls[-1]
