"""F03 and F04 on the SQLite that the SDK uses: it dies at any write and any sync, and keeps what it had promised.

A recording VFS below the SDK has written down each request to the disk (`recording_vfs.c`); each beginning of that
log is a crash point, from which the files are put together as a crash may leave them (`disk`), opened by the SDK and
judged (`judge`). A process that is killed leaves all that it wrote; a loss of power does not.
"""

from collections import Counter
from pathlib import Path
from random import Random

from tests.crash.disk import SECTOR_BYTES, VARIANTS, Disk
from tests.crash.disk_log import Asked, Committed, Event, Log, Told, beginning
from tests.crash.judge import SEED, Judge, Tally, run
from tests.crash.past import Moment, Past
from tests.crash.recording import NAME, record

POINTS_MIN = 1_000
KILLS = 6
LAST = 7


def check(tally: Tally) -> None:
    assert not tally.problems, "\n".join(tally.problems[:20])


def test_the_history_is_worth_dying_in(past: Past) -> None:
    """It has all that a device does; without one of these the counts below would prove less than they say."""
    steps = {call.step.split()[0] for call in past.calls}
    assert steps >= {
        *("open", "insert", "update", "transaction", "abandoned", "batch", "delete", "restore", "sync"),
        *("resolve", "edit", "retry", "discard", "checkpoint", "resync", "close"),
    }
    *_, (_, authority) = past.moments(Disk())
    outcomes = {one.outcome.status for one in authority.history}
    assert outcomes >= {"applied", "merged", "conflicted", "rejected", "void"}
    asked = [mark.message.changes for mark in past.items if isinstance(mark, Asked)]
    pushed = Counter(one.change.dot for changes in asked for one in changes)
    assert max(pushed.values()) > 1, "no push was repeated after its answer was lost"
    kinds = Counter(item.kind for item in past.items if isinstance(item, Event))
    # A rollback journal at the beginning, logs that are begun, begun again, cut and removed, and a killed process.
    assert kinds >= Counter({"o": 8, "w": POINTS_MIN, "t": 5, "s": 80, "d": 3, "D": 4, "S": 1})


def test_F03_a_client_killed_at_any_write_keeps_every_acknowledged_edit(
    past: Past, scratch: Path, is_full: bool
) -> None:
    tally = run(past, scratch, ("all",), resume_every=1 if is_full else 10)
    print("killed:", tally.said(past))
    check(tally)
    assert tally.points >= POINTS_MIN


def test_F04_power_lost_at_any_write_or_sync_loses_no_acknowledged_edit(
    past: Past, scratch: Path, is_full: bool
) -> None:
    tally = run(past, scratch, VARIANTS[1:], resume_every=1 if is_full else 10)
    print("power lost:", tally.said(past))
    check(tally)
    assert tally.points >= POINTS_MIN


def test_F04_a_log_cut_at_any_sector_of_the_last_transactions_keeps_each_edit_whole(
    past: Past, scratch: Path, is_full: bool
) -> None:
    ends = ends_of_commits(past)
    disk = Disk()
    *_, (_, authority) = past.moments(disk)
    whole = disk.image("all", Random(SEED))
    wal = whole[f"{NAME}-wal"]
    first, last = ends[-LAST - 1][1], ends[-1][1]
    cuts = sorted({*range(first, last, SECTOR_BYTES), *(end for _, end in ends[-LAST - 1 :])})
    judge, tally = Judge(past, scratch), Tally()
    for number, size in enumerate(cuts):
        moment = [moment for moment, end in ends if end <= size][-1]
        image = {**whole, f"{NAME}-wal": wal[:size]}
        problems = judge.problems(image, moment, authority)
        if judge.found(image, moment).state != past.states[moment.commits]:
            problems.append("not as it was after the last transaction that is wholly in the log")
        if not problems and (is_full or number % 10 == 0 or size in (first, last)):
            problems = judge.resume(image, moment, authority.copy())
            tally.resumed += 1
        tally.problems += [f"cut at {size}: {problem}" for problem in problems]
    print(f"log cut: {len(cuts)} lengths, {judge.opened} opened, {tally.resumed} synced with the authority")
    check(tally)
    assert len(cuts) > 100


def ends_of_commits(past: Past) -> list[tuple[Moment, int]]:
    """Return where each commit since the last checkpoint ends in the log, and what had been promised then."""
    found: list[tuple[Moment, int]] = []
    names: dict[int, str] = {}
    end = commits = calls = 0
    for item in past.items:
        if isinstance(item, Event) and item.kind == "o":
            names[item.file] = item.payload.decode()
        elif isinstance(item, Event) and item.kind == "w" and names[item.file].endswith("-wal"):
            if item.offset == 0:
                found.clear()
            end = item.offset + len(item.payload)
        elif isinstance(item, Committed):
            commits += 1
            found.append((Moment(0, commits, calls, 2, ""), end))
        elif isinstance(item, Told):
            calls += 1
            if found:
                found[-1] = (Moment(0, commits, calls, 2, ""), end)
    return found


def test_F04_what_a_killed_process_left_is_durable_once_it_is_shown_again(
    log: Path, past: Past, extension: Path, tmp_path: Path, scratch: Path, is_full: bool
) -> None:
    """A process dies after writing a COMMIT and before syncing it; the next one shows it, sends it; power fails."""
    kills = past.unsynced_commits()
    chosen = kills if is_full else Random(SEED).sample(kills, KILLS)
    points = images = resumed = 0
    for kill in chosen:
        events = kill.events
        folder = tmp_path / str(events)
        folder.mkdir()
        (folder / "log").write_bytes(beginning(log, events))
        leave(Past(folder / "log"), folder)
        # The next process finds what the killed one was about to commit, and whatever its call was about to settle.
        under_way = past.calls[kill.calls]
        cut = Log(folder / "log")
        cut.mark(Committed(past.states[kill.commits + 1]))
        cut.mark(Told(f"killed: {under_way.step}", settled=under_way.settled))
        after = Past(record(extension, folder, ("after_a_kill",)))
        tally = run(after, scratch, VARIANTS, since=events + 1, resume_every=1 if is_full else 4)
        points, images, resumed = points + tally.points, images + tally.images, resumed + tally.resumed
        tally.problems = [f"killed at event {events}, then {problem}" for problem in tally.problems]
        check(tally)
    print(
        f"killed, then power lost: {len(chosen)} kills, {points} crash points, {images} states, {resumed} synced"
    )


def leave(past: Past, folder: Path) -> None:
    """Put into `folder` what the process leaves that is killed at the end of `past`."""
    disk = Disk()
    for item in past.items:
        if isinstance(item, Event):
            disk.take(item)
    for name, content in disk.image("all", Random(SEED)).items():
        (folder / name).write_bytes(content)
