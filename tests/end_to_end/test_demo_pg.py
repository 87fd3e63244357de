"""The demo keeps every change, and would notice if it did not."""

import functools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rightfit_server.commands import demo as command
from rightfit_server.demo.accounts import Fate
from rightfit_server.demo.performance import Verdict, perform, stage
from rightfit_server.demo.sample import read_sample
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.hpd.folder import read_folder

pytestmark = pytest.mark.xdist_group("end_to_end")


def delete_a_comment(stack: Stack) -> None:
    """Behind the server's back: one row, made by one change."""
    with stack.connect() as connection:
        done = connection.execute(
            "DELETE FROM app.entities WHERE kind = 'comment' AND entity_id ="
            " (SELECT min(entity_id) FROM app.entities WHERE kind = 'comment')"
        )
        assert done.rowcount == 1


@pytest.fixture(scope="module")
def played() -> tuple[Verdict, list[str]]:
    told: list[str] = []
    with stage() as folder, Stack(folder / "server") as stack:
        return perform(stack, folder, read_sample(), told.append), told


def test_nothing_is_lost_and_all_replicas_are_equal(played: tuple[Verdict, list[str]]) -> None:
    verdict, _ = played
    assert verdict.differing == {"The office": [], "The plumber": [], "The electrician": []}
    assert verdict.account.lost() == []
    assert verdict.is_good
    assert verdict.sentence().endswith("0 lost; 3 replicas equal to the server")


def test_the_story_has_everything_in_it(played: tuple[Verdict, list[str]]) -> None:
    verdict, told = played
    account = verdict.account
    assert account.count(Fate.REJECTED) == 1
    assert account.count(Fate.IN_CONFLICT) == 4, "two conflicts stay open, each between two changes"
    assert account.count(Fate.MERGED) >= 8
    assert account.count(Fate.SUPERSEDED) >= 5
    story = " ".join(told)
    for word in (
        "imports",
        "offline",
        "same note",
        "answer is lost",
        "Rejected",
        "In conflict",
        "Offline, the office",
    ):
        assert word in story


def test_a_row_deleted_behind_the_servers_back_is_lost_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "perform", functools.partial(perform, sabotage=delete_a_comment))
    result = CliRunner().invoke(command.demo, ["--json"])
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert " 1 lost;" in verdict["sentence"]
    assert "of 3 replicas equal" in verdict["sentence"]


def test_the_real_records_play_as_well(shared: Path) -> None:
    plan, unknown = read_folder(shared / "data/hpd")
    assert not unknown
    with stage() as folder, Stack(folder / "server") as stack:
        verdict = perform(stack, folder, plan, lambda _: None)
    assert verdict.is_good, verdict.sentence()
    assert len(verdict.account.fates) > len(plan.records)
