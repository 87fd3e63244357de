"""The judge can say no: what it must find wrong, or its silence in `test_power_loss` would mean nothing."""

from pathlib import Path
from random import Random

import pytest

from rightfit_client.sqlite import sqlite3
from rightfit_client.tables import view_tables
from rightfit_client.unit_of_work import UnitOfWork
from rightfit_sync.testing.authority import MemoryAuthority
from tests.crash.authority import SCHEMAS
from tests.crash.disk import Disk, Image
from tests.crash.judge import SEED, Judge, Tally, run
from tests.crash.past import Moment, Past
from tests.crash.recording import NAME, WHOLE, record


def verdicts(tally: Tally) -> set[str]:
    return {problem.rpartition(" of what was not synced: ")[2].split()[0] for problem in tally.problems}


def test_F04_a_commit_that_is_not_synced_loses_edits_and_the_judge_says_so(
    extension: Path, tmp_path: Path, scratch: Path
) -> None:
    """`synchronous=NORMAL` syncs the log before a checkpoint only: consistent, but not durable."""
    past = Past(record(extension, tmp_path, WHOLE, "NORMAL"))
    tally = run(past, scratch, ("nothing", "reordered"), every=4)
    print("synchronous=NORMAL:", tally.said(past))
    assert any("is nowhere" in problem for problem in tally.problems)
    assert any("will be spent again" in problem for problem in tally.problems)
    # An SDK that looks closer than SQLite may refuse such a file; none may show something that never was.
    assert verdicts(tally) - {"broken:"} == {"lost:", "lost"}


def test_F04_where_nothing_is_synced_files_break_and_the_judge_says_so(
    extension: Path, tmp_path: Path, scratch: Path
) -> None:
    past = Past(record(extension, tmp_path, WHOLE, "OFF"))
    tally = run(past, scratch, ("nothing", "reordered"), every=4)
    print("synchronous=OFF:", tally.said(past))
    assert verdicts(tally) >= {"lost:", "broken:", "damaged:"}


def test_F04_a_disk_that_ignores_syncs_loses_edits_and_the_judge_says_so(past: Past, scratch: Path) -> None:
    tally = run(past, scratch, ("nothing", "reordered"), ignores_syncs=True, every=20)
    print("a disk that lies:", tally.said(past))
    assert verdicts(tally) >= {"lost:", "broken:"}


SPOILED: dict[str, tuple[str, str]] = {
    "an edit gone from the outbox": (
        "DELETE FROM rightfit_outbox WHERE position = (SELECT max(position) FROM rightfit_outbox)",
        "is nowhere",
    ),
    "a counter set back, the edit that tells it gone": (
        "UPDATE rightfit_state SET counter = 1; DELETE FROM rightfit_outbox",
        "will be spent again",
    ),
    "a transaction shown by half": ("UPDATE visit SET note = 'Week 2' WHERE entity_id = 'w2'", "damaged"),
    "a cursor that jumps": ("UPDATE rightfit_state SET cursor = NULL", "half"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_the_judge_sees_the_smallest_damage(spoiled: str, past: Past, scratch: Path) -> None:
    statement, expected = SPOILED[spoiled]
    moment, authority, image = end_of(past)
    judge = Judge(past, scratch)
    assert judge.problems(image, moment, authority) == []
    for name, content in image.items():
        (scratch / name).write_bytes(content)
    connection = sqlite3.connect(str(scratch / NAME), isolation_level=None)
    unit = UnitOfWork(connection)
    unit.answer(
        guard
        for table in view_tables(SCHEMAS[moment.schema_version]).values()
        for guard in table.guards().values()
    )
    unit.open_guard()
    connection.executescript(statement)
    connection.close()
    problems = judge.problems({NAME: (scratch / NAME).read_bytes()}, moment, authority)
    assert any(expected in problem for problem in problems), problems


def end_of(past: Past) -> tuple[Moment, MemoryAuthority, Image]:
    disk = Disk()
    *_, (moment, authority) = past.moments(disk)
    return moment, authority, disk.image("all", Random(SEED))
