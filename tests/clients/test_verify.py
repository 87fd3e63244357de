"""Verify and repair: every record is compared with the authority's, and mended from there, row by row."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rightfit_client import Difference, LocalError, NeedsRepair, Offline, Replica
from rightfit_client.testing import HttpAuthority
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.feed import Row
from rightfit_sync.records import Entity, Sibling

Open = Callable[..., Replica]
RECORDS = 400


@pytest.fixture
def ann(open_replica: Open) -> Replica:
    """A replica with many records, all sent."""
    ann = open_replica("dev-a")
    with ann.batch():
        for number in range(RECORDS):
            ann.insert("work_order", title=f"record {number}", tags=["x"])
    ann.sync()
    return ann


def row(replica: Replica, title: str) -> Row:
    (found,) = replica.query("work_order", "title = ?", [title])
    key = ("work_order", str(found["entity_id"]))
    return replica._store.trunks([key])[key]


def put(replica: Replica, *rows: Row) -> None:
    replica._store.put_trunks(rows)


def retitled(row: Row, title: str) -> Row:
    (sibling,) = row.entity.fields["title"]
    fields = {**row.entity.fields, "title": [replace(sibling, value=title)]}
    return replace(row, entity=replace(row.entity, fields=fields))


def forged(entity_id: str) -> Row:
    """A record that no authority has ever had."""
    sibling = Sibling("from nowhere", [WrittenDot("dev-x", 1, 5)])
    return Row(
        9, Entity("work_order", entity_id, {"dev-x": 1}, {"title": [sibling]}), ["all"], seal=b"no seal"
    )


def damaged(replica: Replica) -> list[Difference]:
    """Damage a replica behind its back in every way; return what a look should find, by id."""
    other, gone, newer = (row(replica, f"record {number}") for number in range(3))
    tagged = row(replica, "record 3")
    unreal = forged("01890000-0000-7000-8000-000000000000")
    ahead = replace(
        newer, entity=replace(newer.entity, version_vector={**newer.entity.version_vector, "dev-x": 3})
    )
    put(replica, retitled(other, "damaged"), unreal, ahead, replace(tagged, tags=["all", "team:x"]))
    replica._store.drop_trunks([("work_order", gone.entity.entity_id)])
    found = {
        other.entity.entity_id: "differs in title",
        gone.entity.entity_id: "is missing here",
        newer.entity.entity_id: "differs in its life or its version vector",
        tagged.entity.entity_id: "differs in its tags or orphans",
        unreal.entity.entity_id: "is not the authority's, or not for this subject",
    }
    return [Difference("work_order", one, what) for one, what in sorted(found.items())]


def test_a_sound_replica_does_not_differ(ann: Replica, open_replica: Open) -> None:
    assert ann.verify() == ann.verify(repair=True) == []
    bob = open_replica("dev-b")
    bob.insert("work_order", title="meanwhile")
    bob.sync()
    # What others have written is pulled first; what they write meanwhile is no damage.
    assert ann.verify() == []
    assert len(ann.query("work_order")) == RECORDS + 1


def test_what_is_written_while_records_are_compared_is_no_damage(
    ann: Replica, open_replica: Open, authority: HttpAuthority
) -> None:
    bob = open_replica("dev-b")
    bob.sync()
    passed: list[int] = []

    def meanwhile(serve: Callable[[], object]) -> object:
        passed.append(1)
        if len(passed) == 2:
            authority.faults.insert(0, None)
            bob.insert("work_order", title="meanwhile")
            bob.sync()
        return serve()

    authority.faults += [meanwhile, meanwhile]  # type: ignore[list-item]
    assert ann.verify() == []
    assert len(passed) == 2


def test_damage_is_only_reported_until_somebody_says_repair(ann: Replica, authority: HttpAuthority) -> None:
    expected = damaged(ann)
    pending = ann.insert("work_order", title="sent along the way")
    assert ann.verify() == expected
    assert ann.verify() == expected
    assert ("work_order", pending) in authority.memory.held
    asked = len(authority.exchanges)
    assert ann.verify(repair=True) == expected
    assert len(authority.exchanges) > asked
    assert ann.verify() == []
    assert sorted(str(one["title"]) for one in ann.query("work_order")) == sorted(
        ["sent along the way", *(f"record {number}" for number in range(RECORDS))]
    )
    assert [finding for finding in ann.examine() if not finding.holds] == []
    # The authority has taken over nothing of the damage.
    assert len(authority.memory.held) == RECORDS + 1


def test_only_the_rows_that_differ_are_fetched(ann: Replica, authority: HttpAuthority) -> None:
    put(ann, retitled(row(ann, "record 7"), "damaged"))
    fetched: list[str] = []
    real = authority.memory._row

    def counted(key: tuple[str, str], grant: object) -> object:
        fetched.append(key[1])
        return real(key, grant)  # type: ignore[arg-type]

    authority.memory._row = counted  # type: ignore[assignment, method-assign]
    assert len(ann.verify(repair=True)) == 1
    assert set(fetched) == {row(ann, "record 7").entity.entity_id}


def test_a_record_that_is_not_taken_back_needs_repair_and_is_forgotten_by_it(
    ann: Replica, authority: HttpAuthority
) -> None:
    put(ann, forged("01890000-0000-7000-8000-000000000000"))
    ann.resync()
    mine = ann.insert("work_order", title="pending meanwhile")
    with pytest.raises(NeedsRepair) as refused:
        ann.sync()
    assert (refused.value.code, ann.status().state) == ("offer_refused", "needs_repair")
    # Everything else has been done, and the record is kept until somebody decides.
    assert ann.status().pending == 0
    assert len(ann._store.trunk_tags()) == RECORDS + 2  # type: ignore[arg-type]
    # The next sync has nothing to offer; that a repair is owed is not forgotten, in other processes neither.
    ann.sync()
    with Replica.open(ann.path, read_only=True) as beside:
        for status in (ann.status(), beside.status()):
            assert (status.state, status.code, status.message) == (
                "needs_repair",
                "offer_refused",
                str(refused.value),
            )
    ann.resync()
    for repair in (False, True):
        assert ann.status().state == "needs_repair"
        (found,) = ann.verify(repair=repair)
        assert found.entity_id == "01890000-0000-7000-8000-000000000000"
    assert (ann.status().state, ann.verify()) == ("up_to_date", [])
    assert ("work_order", mine) in authority.memory.held
    assert len(ann.query("work_order")) == RECORDS + 1


def test_a_repair_is_owed_no_more_when_a_comparison_comes_through(ann: Replica) -> None:
    for settle in (ann.verify, ann.sync):
        put(ann, forged("01890000-0000-7000-8000-000000000000"))
        ann.resync()
        with pytest.raises(NeedsRepair):
            ann.sync()
        ann._store.drop_trunks([("work_order", "01890000-0000-7000-8000-000000000000")])
        ann.resync()
        settle()
        assert ann.status().state == "up_to_date"


def test_rows_too_large_to_read_at_once_are_verified_in_smaller_lots(
    open_replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = open_replica("dev-a")
    titles = [f"{number} {'x' * 500}" for number in range(40)]
    for title in titles:
        ann.insert("work_order", title=title)
    ann.sync()
    put(ann, *(retitled(row(ann, title), "damaged") for title in titles))
    monkeypatch.setattr("rightfit_client.transport.RESPONSE_BYTES_MAX", 20_000)
    assert len(ann.verify()) == len(ann.verify(repair=True)) == 40
    assert ann.verify() == []


@pytest.mark.parametrize("changed", ["CAST(row AS TEXT)", "CAST(row || x'00' AS BLOB)", "x''"])
def test_F07_a_record_that_cannot_be_read_is_dropped_and_fetched_again(ann: Replica, changed: str) -> None:
    entity_id = row(ann, "record 5").entity.entity_id
    ann.database.execute(f"UPDATE rightfit_trunk SET row = {changed} WHERE entity_id = ?", [entity_id])
    wrong = [finding for finding in ann.examine() if not finding.holds]
    assert wrong[0].check == "the trunk can be read"
    assert entity_id in wrong[0].detail
    (found,) = ann.verify(repair=True)
    assert found == Difference("work_order", entity_id, "cannot be read")
    assert [finding for finding in ann.examine() if not finding.holds] == []
    assert ann.get("work_order", entity_id)["title"] == "record 5"  # type: ignore[index]


def test_verifying_needs_an_authority_that_answers(
    ann: Replica, open_replica: Open, authority: HttpAuthority
) -> None:
    authority.drop_request()
    with pytest.raises(Offline):
        ann.verify()
    assert ann.status().state == "offline"
    authority.faults += [None]
    authority.lose_response()
    with pytest.raises(Offline):
        ann.verify(repair=True)
    ann.close()
    with open_replica("dev-a", read_only=True) as reader, pytest.raises(LocalError):
        reader.verify()
