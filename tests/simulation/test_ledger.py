"""The ledger itself: made-up histories in which something is lost, doubled or unexplained must be told.

A checker that cannot fail is worth nothing.
"""

from collections.abc import Mapping

import msgspec
import pytest

from rightfit_sync.testing.simulation import SCHEMA
from rightfit_sync.testing.simulation.ledger import Found, Json, Ledger, Rules, Typed, Write
from rightfit_sync.testing.simulation.ledger.accounts import Accounts, Listed, judge_purged, settle

JOB, SITE = ("job", "j"), ("site", "s")
RULES = Rules(msgspec.to_builtins(SCHEMA))
NOTHING = {name: Listed(frozenset(), {}) for name in ("ann", "bob")}


class Desk:
    """Two people, and an authority that takes in whatever they write."""

    def __init__(self) -> None:
        self.ledger = Ledger(RULES)
        self._seq = 0

    def write(self, who: str, values: Mapping[str, Json], **facts: object) -> Write:
        op = str(facts.pop("op", "edit"))
        before = facts.pop("before", None) or self._shown(who, values)
        return self.ledger.wrote(who, JOB, op, values, before, **facts)  # type: ignore[arg-type]

    def _shown(self, who: str, values: Mapping[str, Json]) -> dict[str, Json]:
        screen = self.ledger.screen(who, JOB)
        seen = self.ledger.record(JOB).these(screen.own | screen.trunk)
        return {path: one.values[path] for one in seen for path in values if path in one.values}

    def take(self, *writes: Write) -> None:
        for write in writes:
            self.ledger.accepted(write)
        self._seq += 1
        self.ledger.placed(JOB, self._seq, str(self._seq).encode())

    def show(self, *names: str) -> None:
        for name in names:
            self.ledger.row_came(name, JOB, self.ledger.life, self._seq)

    def begin(self, **values: Json) -> None:
        texts = {
            path: Typed(frozenset(str(value)) - {" "}, frozenset())
            for path, value in values.items()
            if RULES.of("job", path).word == "text"
        }
        self.take(self.write("ann", {"title": "t", **values}, op="create", texts=texts))
        self.show("ann", "bob")

    def settle(
        self, fields: Mapping[str, list[Json]], lists: Mapping[str, Listed] = NOTHING, **facts: object
    ) -> Accounts:
        found = Found({"title": ["t"], **fields}, **facts)  # type: ignore[arg-type]
        return settle(self.ledger, {JOB: found}, lists)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def told(accounts: Accounts, words: str) -> None:
    assert any(words in problem for problem in accounts.problems), accounts.problems


def test_what_is_as_it_should_be_is_told_as_good(desk: Desk) -> None:
    desk.begin(cost=10, high=1)
    desk.take(desk.write("bob", {"cost": 12, "high": 5}, before={"cost": 10, "high": 1}))
    accounts = desk.settle({"cost": [12], "high": [5]})
    assert not accounts.problems
    assert accounts.states["visible"] >= 3


def test_a_value_that_is_nowhere_is_told(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}), desk.write("bob", {"title": "blue"}))
    told(desk.settle({"title": ["red"]}), "title is nowhere")


def test_a_value_replaced_by_who_had_seen_it_is_superseded(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}))
    desk.show("bob")
    desk.take(desk.write("bob", {"title": "blue"}))
    accounts = desk.settle({"title": ["blue"]})
    assert not accounts.problems
    assert accounts.states["superseded"] == 2


def test_siblings_without_a_conflict_record_are_told(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}), desk.write("bob", {"title": "blue"}))
    told(desk.settle({"title": ["red", "blue"]}), "no conflict says so")
    assert not desk.settle({"title": ["red", "blue"]}, conflicts=[("title", "siblings")]).problems


def test_a_conflict_among_people_who_had_seen_each_other_is_told(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}))
    desk.show("bob")
    desk.take(desk.write("bob", {"title": "blue"}))
    told(desk.settle({"title": ["red", "blue"]}, conflicts=[("title", "siblings")]), "unseen by another")


def test_a_resolution_of_what_was_not_on_screen_does_not_excuse_its_loss(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}))
    desk.take(desk.write("bob", {"title": "blue"}, op="resolve"))
    told(desk.settle({"title": ["blue"]}), "title is nowhere")


def test_a_count_that_is_counted_twice_is_told(desk: Desk) -> None:
    desk.begin(cost=10)
    desk.take(desk.write("bob", {"cost": 13}, before={"cost": 10}))
    told(desk.settle({"cost": [16]}), "the count is [16], and 13")


def test_a_lowered_maximum_is_told(desk: Desk) -> None:
    desk.begin(high=1)
    desk.take(desk.write("ann", {"high": 9}), desk.write("bob", {"high": 5}))
    told(desk.settle({"high": [5]}), "high is nowhere")


def test_a_maximum_lowered_by_who_had_seen_it_is_told(desk: Desk) -> None:
    desk.begin(high=9)
    desk.take(desk.write("ann", {"high": 5}))
    told(desk.settle({"high": [5]}), "high is nowhere")
    assert not desk.settle({"high": [9]}).problems


def test_a_value_that_no_screen_showed_is_not_superseded(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}), desk.write("bob", {"title": "blue"}))
    desk.show("ann")
    desk.take(desk.write("ann", {"title": "green"}, before={"title": "blue"}))
    told(desk.settle({"title": ["green"]}), "title is nowhere")


def test_a_resolution_that_merged_is_told(desk: Desk) -> None:
    desk.begin(high=1)
    desk.take(desk.write("ann", {"high": 3}, op="resolve"), desk.write("bob", {"high": 9}))
    told(desk.settle({"high": [9]}), "high is nowhere")
    assert not desk.settle({"high": [3, 9]}, conflicts=[("high", "siblings")]).problems


def test_a_resolution_beside_which_something_still_stands_is_told(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {"title": "red"}), desk.write("bob", {"title": "blue"}))
    desk.show("ann")
    desk.take(desk.write("ann", {"title": "blue"}, op="resolve", beside=frozenset({"title"})))
    told(desk.settle({"title": ["red", "blue"]}, conflicts=[("title", "siblings")]), "unseen by another")


def test_a_workflow_that_went_back_is_told(desk: Desk) -> None:
    desk.begin(status="OPEN")
    desk.take(desk.write("ann", {"status": "DONE"}), desk.write("bob", {"status": "ASSIGNED"}))
    told(desk.settle({"status": ["ASSIGNED"]}), "status is nowhere")
    assert not desk.settle({"status": ["DONE"]}).problems


def test_a_second_value_of_what_is_written_once_must_stand_beside(desk: Desk) -> None:
    desk.begin(serial="N1")
    desk.take(desk.write("bob", {"serial": "N2"}))
    told(desk.settle({"serial": ["N2"]}), "serial is nowhere")
    assert not desk.settle({"serial": ["N1", "N2"]}, conflicts=[("serial", "siblings")]).problems


def test_a_group_that_swallows_a_name_is_told(desk: Desk) -> None:
    desk.begin(completion={"stage": "OPEN", "by": None})
    was = {"completion": {"stage": "OPEN", "by": None}}
    desk.take(
        desk.write("ann", {"completion": {"stage": "ASSIGNED", "by": "bob"}}, before=was),
        desk.write("bob", {"completion": {"stage": "DONE", "by": "ann"}}, before=was),
    )
    told(desk.settle({"completion": [{"stage": "DONE", "by": "ann"}]}), "completion is nowhere")


@pytest.mark.parametrize(("kept", "words"), [({}, "is gone"), ({"tags/x": [True]}, "")])
def test_an_element_added_unseen_by_its_removal_stays(
    desk: Desk, kept: dict[str, list[Json]], words: str
) -> None:
    desk.begin(**{"tags/x": True})
    desk.take(desk.write("ann", {"tags/x": None}), desk.write("bob", {"tags/x": True}))
    accounts = desk.settle(kept)
    assert bool(words) == bool(accounts.problems)


def test_an_element_that_everybody_saw_removed_must_go(desk: Desk) -> None:
    desk.begin(**{"tags/x": True})
    desk.take(desk.write("ann", {"tags/x": None}))
    told(desk.settle({"tags/x": [True]}), "tags/x is there")


def typed(added: str, removed: str = "") -> dict[str, Typed]:
    return {"notes": Typed(frozenset(added), frozenset(removed))}


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("ab x", ""),
        ("ab", "are nowhere in"),
        ("ab xx", "are doubled"),
        ("abc x", "are back in"),
        ("ab xz", "nobody typed"),
    ],
)
def test_letters_lost_doubled_brought_back_or_invented_are_told(desk: Desk, kept: str, words: str) -> None:
    desk.begin(notes="abc")
    desk.take(desk.write("ann", {"notes": "ab"}, texts=typed("", "c")))
    desk.take(desk.write("bob", {"notes": "abc x"}, texts=typed("x")))
    accounts = desk.settle({"notes": [kept]})
    if words:
        told(accounts, words)
    else:
        assert not accounts.problems


def test_a_text_that_always_merges_must_not_be_in_conflict(desk: Desk) -> None:
    desk.begin(log="ab")
    accounts = desk.settle({"log": ["ab", ""]}, conflicts=[("log", "siblings")])
    told(accounts, "it always merges")


def test_a_delete_that_swallows_an_unseen_edit_is_told(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {}, op="delete"), desk.write("bob", {"title": "red"}))
    told(desk.settle({"title": ["red"]}, is_deleted=True), "deleted, in spite of")
    told(desk.settle({"title": ["red"]}), "nobody is told")
    assert not desk.settle({"title": ["red"]}, conflicts=[("life", "delete_edit")]).problems


def test_the_dead_must_not_walk(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {}, op="delete"))
    told(desk.settle({}), "it is alive, in spite of")
    assert not desk.settle({}, is_deleted=True).problems


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_delete_beside_a_text_that_stood_still_must_delete_what_it_had_seen(
    desk: Desk, meanwhile: bool
) -> None:
    desk.begin(notes="abc")
    writes = [desk.write("bob", {"notes": "abcx"}, texts=typed("x"))]
    if meanwhile:
        desk.take(desk.write("ann", {"title": "red"}))
        desk.show("bob")
    desk.take(*writes, desk.write("bob", {}, op="delete"))
    accounts = desk.settle(
        {"title": ["red" if meanwhile else "t"], "notes": ["abcx"]}, conflicts=[("life", "delete_edit")]
    )
    assert bool(accounts.problems) != meanwhile, accounts.problems


def test_a_torn_transaction_is_told(desk: Desk) -> None:
    desk.begin()
    one = desk.write("bob", {"title": "red"}, transaction="both")
    other = desk.write("bob", {"cost": 3}, transaction="both", planted=frozenset({"forbidden"}))
    desk.take(one)
    desk.ledger.rejected(other, "forbidden")
    lists = {**NOTHING, "bob": Listed(frozenset(), {other.number: {"cost": 3}})}
    told(desk.settle({"title": ["red"]}, lists), "both is torn")


def test_what_is_tried_again_and_counts_twice_is_told(desk: Desk) -> None:
    desk.begin(cost=1)
    first = desk.write("bob", {"cost": 3}, before={"cost": 1})
    desk.ledger.gave_up("bob", first)
    again = desk.write("bob", {"cost": 3}, before={"cost": 1})
    again.says_again = first.bit
    desk.take(again)
    desk.take(first)
    told(desk.settle({"cost": [5]}), "and both were accepted")


def test_two_creates_that_merged_are_told(desk: Desk) -> None:
    desk.take(desk.write("ann", {"cost": 5}, op="create"), desk.write("bob", {"cost": 7}, op="create"))
    told(desk.settle({"cost": [12]}), "it never merges")
    assert not desk.settle({"cost": [5, 7]}, conflicts=[("cost", "siblings")]).problems


def test_what_was_purged_must_not_come_back(desk: Desk) -> None:
    desk.begin()
    desk.take(desk.write("ann", {}, op="delete"))
    assert not judge_purged(desk.ledger, {JOB: Found({"title": ["t"]}, is_deleted=True)}).problems
    assert not settle(desk.ledger, {}, NOTHING).problems
    told(desk.settle({}, is_deleted=True), "had been purged")


def test_a_record_that_vanished_is_told(desk: Desk) -> None:
    desk.begin()
    told(settle(desk.ledger, {}, NOTHING), "is nowhere, and was accepted")


def test_every_write_is_in_its_authors_hands_or_the_authoritys(desk: Desk) -> None:
    desk.begin()
    write = desk.write("bob", {"title": "red"})
    told(desk.settle({}), "has left the outbox")
    waiting = {**NOTHING, "bob": Listed(frozenset([write.number]), {})}
    told(desk.settle({}, waiting), "still in an outbox")


def test_a_rejected_write_must_be_listed_with_its_payload_and_a_reason(desk: Desk) -> None:
    desk.begin()
    write = desk.write("bob", {"title": "red"}, planted=frozenset({"forbidden"}))
    desk.ledger.rejected(write, "forbidden")
    told(desk.settle({}), "in the rejected list: False")
    listed = {**NOTHING, "bob": Listed(frozenset(), {write.number: {"title": "blue"}})}
    told(desk.settle({}, listed), "its payload is")
    kept = {**NOTHING, "bob": Listed(frozenset(), {write.number: {"title": "red"}})}
    assert not desk.settle({}, kept).problems
    write.code = "unknown_entity"
    told(desk.settle({}, kept), "why?")


def test_a_broken_invariant_must_be_listed_and_no_other(desk: Desk) -> None:
    desk.begin(earliest=5, latest=3)
    fields: dict[str, list[Json]] = {"earliest": [5], "latest": [3]}
    told(desk.settle(fields, view={"earliest": 5, "latest": 3}), "window is broken")
    listed = desk.settle(fields, view={"earliest": 5, "latest": 9}, conflicts=[("window", "invariant")])
    told(listed, "window is kept")


def test_a_reference_to_the_dead_must_be_listed(desk: Desk) -> None:
    desk.begin(site_id="s")
    site = desk.ledger.wrote("ann", SITE, "create", {"title": "t"}, {})
    gone = desk.ledger.wrote("ann", SITE, "delete", {}, {})
    for write in (site, gone):
        desk.ledger.accepted(write)
    found = {
        JOB: Found({"title": ["t"], "site_id": ["s"]}, view={"site_id": "s"}),
        SITE: Found({"title": ["t"]}, is_deleted=True),
    }
    told(settle(desk.ledger, found, NOTHING), "refers to")


def test_F08_what_a_restore_took_must_come_back_as_long_as_somebody_has_it(desk: Desk) -> None:
    desk.begin()
    backup = desk.ledger.authority_copy()
    desk.take(desk.write("ann", {"title": "red"}))
    desk.show("bob")
    desk.ledger.authority_put_back(backup, 1)
    told(desk.settle({}), "it never came back")
    desk.ledger.joined(JOB, b"2")
    assert not desk.settle({"title": ["red"]}).problems


def test_F08_what_nobody_has_any_more_may_be_gone(desk: Desk) -> None:
    desk.begin()
    backup = desk.ledger.authority_copy()
    disk = desk.ledger.screen_copy("ann")
    desk.take(desk.write("ann", {"title": "red"}))
    desk.ledger.screen_put_back("ann", disk)
    desk.ledger.authority_put_back(backup, 1)
    accounts = desk.settle({})
    assert not accounts.problems
    assert accounts.states["gone with the authority"] == 1


def test_F05_what_a_hand_destroyed_is_not_asked_for(desk: Desk) -> None:
    desk.begin()
    desk.write("bob", {"title": "red"})
    desk.ledger.rewind("bob", frozenset(), frozenset())
    assert not desk.settle({}).problems


def test_a_word_of_the_applications_own_is_judged_by_its_own_holds_or_counted_as_unjudged() -> None:
    schema = {"kinds": {"job": {"fields": {"title": {}, "stars": {"merge": "stars"}}}}}
    for holds, problems in ((None, 0), ({"stars": lambda value, kept: kept >= value}, 1)):
        desk = Desk()
        desk.ledger = Ledger(Rules(schema, holds))  # type: ignore[arg-type]
        desk.begin(stars=1)
        desk.take(desk.write("ann", {"stars": 9}), desk.write("bob", {"stars": 5}))
        accounts = desk.settle({"stars": [5]})
        assert len(accounts.problems) == problems
        assert accounts.states["unjudged"] == 1 - problems
