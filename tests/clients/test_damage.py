"""F07: a bit flips in the file. It is harmless, or found out and mended; no edit is lost or changed in silence."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from rightfit_client import LocalError, OpenError, Replica, StorageError
from rightfit_client.errors import RightFitError
from rightfit_client.pages import flatten
from rightfit_client.sqlite import sqlite3
from rightfit_client.testing import HttpAuthority, token_for
from rightfit_sync.records import APPLIED, Outcome

Open = Callable[..., Replica]
SEED = 7
FLIPS = 220
FLIPS_IN_LOG = 60
EDITS = 12
PAGE_BYTES = 4096


def story(authority: HttpAuthority, replica: Replica) -> None:
    """Fill every table: records, edits to records, new records, refusals, conflicts."""
    authority.let_in("dev-b")
    with Replica.open(
        replica.path.with_name("b.db"),
        schema=authority.memory.schema,
        url="http://authority",
        token=token_for("dev-b"),
        transport=authority,
    ) as other:
        records = [
            replica.insert("work_order", title=f"record {number}", notes="n " * 200) for number in range(8)
        ]
        replica.insert("work_order", title="refused", property_id="nowhere")
        replica.sync()
        other.sync()
        other.update("work_order", records[0], title="theirs")
        other.sync()
        replica.update("work_order", records[0], title="ours")
        replica.sync()
    for number in range(EDITS):
        if number % 2:
            replica.update("work_order", records[number // 2], team=f"edit {number}")
        else:
            replica.insert(
                "work_order", title=f"edit {number}", notes="long " * (1_500 if number == 4 else 1)
            )
    assert (len(replica.pending()), len(replica.rejected()), len(replica.conflicts())) == (EDITS, 1, 1)


@pytest.fixture
def whole(open_replica: Open, authority: HttpAuthority) -> Path:
    """The file of a closed replica with pending edits."""
    replica = open_replica("dev-a")
    story(authority, replica)
    replica.close()
    return replica.path


def said(replica: Replica) -> set[str]:
    """What the edits of the story say, wherever they are: shown, or refused with their payload."""
    rows = replica.query("work_order")
    refused = [patch.value for one in replica.rejected() for patch in one.change.patches.values()]
    found = [*(row["title"] for row in rows), *(row["team"] for row in rows), *refused]
    return {str(one) for one in found if str(one).startswith(("edit", "refused"))}


ALL = {f"edit {number}" for number in range(EDITS)} | {"refused"}


class Case:
    """A copy of the file and of the authority, with one bit that is another."""

    def __init__(self, folder: Path, whole: Path, authority: HttpAuthority) -> None:
        self.folder, self.whole, self.authority = folder, whole, authority
        self.path = folder / "case.db"
        self.backup = authority.memory.copy()

    def flip(self, offset: int, bit: int, suffix: str = "") -> None:
        for old in self.folder.glob("case.db*"):
            old.unlink()
        for name in ("", "-wal"):
            if (source := self.whole.with_name(self.whole.name + name)).exists():
                shutil.copy(source, self.folder / f"case.db{name}")
        self.authority.memory = self.backup.copy()
        damaged = self.folder / f"case.db{suffix}"
        content = bytearray(damaged.read_bytes())
        content[offset] ^= 1 << bit
        damaged.write_bytes(content)

    def open(self) -> Replica:
        return Replica.open(self.path, token=token_for("dev-a"), transport=self.authority, clock=lambda: 9)

    def outcome(self) -> str:
        """Return what became of it: `harmless`, `mended` (by the doctor), `salvaged`, or what was lost."""
        try:
            return self._used()
        except (StorageError, OpenError) as error:
            if isinstance(error, OpenError) and error.code not in ("newer_format", "not_a_replica"):
                raise
            return self._salvaged()

    def _used(self) -> str:
        with self.open() as replica:
            replica.sync()
            is_sound = all(finding.holds for finding in replica.examine())
            replica.verify(repair=True)
            if not is_sound:
                replica.repair()
                replica.sync()
            wrong = [finding for finding in replica.examine() if not finding.holds]
            if wrong:
                raise StorageError("corrupt", str(wrong))
            assert said(replica) == ALL
            assert replica.pending() == []
        return "harmless" if is_sound else "mended"

    def _salvaged(self) -> str:
        saved = Replica.salvage(self.path, schema=self.authority.memory.schema, token=token_for("dev-a"))
        assert saved.set_aside.exists()
        with self.open() as replica:
            if replica.url is None:
                replica.close()
                replica = Replica.open(  # noqa: PLW2901 - it stands for the same.
                    self.path, url="http://authority", token=token_for("dev-a"), transport=self.authority
                )
            with replica:
                replica.sync()
                assert replica.verify() == []
                assert [finding for finding in replica.examine() if not finding.holds] == []
                assert replica.pending() == []
                lost = ALL - said(replica)
        if lost:
            assert saved.unreadable, "an edit was lost in silence"
            assert len(lost) == 1
        return "lost" if lost else "salvaged"


def places(size: int) -> Iterator[tuple[int, int]]:
    """Yield offsets all over the file, each page as often, and more of them in the first bytes of each page."""
    chance = random.Random(SEED)
    for number in range(FLIPS):
        page = number % (size // PAGE_BYTES) * PAGE_BYTES
        within = chance.choice(
            [chance.randrange(100), chance.randrange(PAGE_BYTES), PAGE_BYTES - 1 - chance.randrange(900)]
        )
        yield page + within, chance.randrange(8)


def test_F07_a_bit_that_flips_anywhere_loses_no_edit_in_silence(
    whole: Path, authority: HttpAuthority, tmp_path: Path
) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    case = Case(folder, whole, authority)
    tally: dict[str, int] = {}
    for offset, bit in places(whole.stat().st_size):
        case.flip(offset, bit)
        try:
            outcome = case.outcome()
        except BaseException as error:
            error.add_note(f"bit {bit} of byte {offset}")
            raise
        tally[outcome] = tally.get(outcome, 0) + 1
    assert sum(tally.values()) == FLIPS
    assert tally["harmless"] > 0 < tally["salvaged"]
    # Only a flip inside an edit itself can take it away.
    assert tally.get("lost", 0) < FLIPS // 20


def test_F07_a_bit_that_flips_in_the_log_loses_no_edit_in_silence(
    open_replica: Open, authority: HttpAuthority, tmp_path: Path
) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    replica = open_replica("dev-a")
    replica.sync()
    replica.database.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    story(authority, replica)
    log = replica.path.with_name("dev-a.db-wal")
    case = Case(folder, replica.path, authority)
    chance = random.Random(SEED)
    size, frame = log.stat().st_size, PAGE_BYTES + 24
    last_commit = size - 3 * frame
    tally: dict[str, int] = {}
    for number in range(FLIPS_IN_LOG):
        offset = number % 32 if number < 16 else chance.randrange(last_commit)
        case.flip(offset, chance.randrange(8), "-wal")
        outcome = case.outcome()
        tally[outcome] = tally.get(outcome, 0) + 1
    # SQLite itself would have shown an older state without a word.
    assert tally["salvaged"] > FLIPS_IN_LOG // 2
    assert tally.get("lost", 0) == 0


def test_F07_what_a_loss_of_power_leaves_in_the_log_is_no_damage(open_replica: Open, tmp_path: Path) -> None:
    replica = open_replica("dev-a", url=None)
    replica.insert("work_order", title="durable")
    log = replica.path.with_name("dev-a.db-wal")
    durable = log.stat().st_size
    replica.insert("work_order", title="never durable " * 1_000)
    content = bytearray(log.read_bytes())
    # The last commit is there but for its first page, which the disk had not written yet.
    content[durable : durable + 512] = bytes(512)
    shutil.copy(replica.path, tmp_path / "case.db")
    (tmp_path / "case.db-wal").write_bytes(content)
    for _ in range(2):
        with Replica.open(tmp_path / "case.db") as found:
            assert {str(row["title"])[:7] for row in found.query("work_order")} == {"durable"}
            found.insert("work_order", title="durable, too")


@pytest.mark.parametrize("start", [0, 100, 5 * PAGE_BYTES])
def test_F07_edits_are_found_in_a_file_whose_order_is_gone(
    whole: Path, authority: HttpAuthority, start: int
) -> None:
    end = PAGE_BYTES if start < PAGE_BYTES else start + 512
    content = bytearray(whole.read_bytes())
    content[start:end] = bytes(end - start)
    whole.write_bytes(content)
    with pytest.raises(RightFitError):
        Replica.open(whole, schema=authority.memory.schema, token=token_for("dev-a"))
    saved = Replica.salvage(whole, schema=authority.memory.schema, token=token_for("dev-a"))
    assert saved.set_aside.read_bytes() == bytes(content)
    assert (saved.edits >= EDITS, saved.rejected) == (True, 1)
    assert saved.unreadable
    with Replica.open(whole, url="http://a", token=token_for("dev-a"), transport=authority) as replica:
        replica.sync()
        assert said(replica) == ALL
        assert (replica.verify(), replica.pending()) == ([], [])


def test_F07_a_salvage_that_is_cut_off_is_run_again(
    whole: Path, authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        """The process is gone."""

    def crash(*_: object) -> None:
        raise Crash

    before = whole.read_bytes()
    token = token_for("dev-a")
    for step in ("flatten", "_read", "rebuild", "sync_directory"):
        with monkeypatch.context() as patch:
            patch.setattr(f"rightfit_client.salvage.{step}", crash)
            with pytest.raises(Crash):
                Replica.salvage(whole)
        # Nobody works with half of it meanwhile, and a new file is not begun in its place.
        with pytest.raises(StorageError, match="run again"):
            Replica.open(whole, schema=authority.memory.schema, token=token)
    saved = Replica.salvage(whole)
    assert (saved.edits, saved.rejected, saved.unreadable) == (EDITS, 1, [])
    assert saved.set_aside.read_bytes() == before
    assert sorted(one.name for one in whole.parent.glob("dev-a.db*")) == [
        "dev-a.db",
        "dev-a.db-lock",
        "dev-a.db.damaged-1",
    ]
    with Replica.open(whole, token=token, transport=authority) as replica:
        assert replica.device_id != "dev-a"
        replica.sync()
        assert said(replica) == ALL
        assert len(replica.conflicts()) == 1


def test_F07_a_salvaged_file_works_offline_at_once(whole: Path, authority: HttpAuthority) -> None:
    with Replica.open(whole) as replica:
        before = replica.query("work_order", order_by="entity_id")
        waiting = [entry.change.patches for entry in replica.pending()]
    saved = Replica.salvage(whole)
    assert saved.records == 8
    with Replica.open(whole, token=token_for("dev-a"), transport=authority) as replica:
        assert replica.query("work_order", order_by="entity_id") == before
        assert len(replica.pending()) == len(waiting)
        assert replica.status().pending == EDITS
        replica.insert("work_order", title="edit again")
        replica.sync()
        assert said(replica) == {*ALL, "edit again"}


def test_F07_a_damaged_edit_is_not_sent_and_names_the_way_out(whole: Path, authority: HttpAuthority) -> None:
    with Replica.open(whole, token=token_for("dev-a"), transport=authority) as replica:
        (position, blob) = replica.database.execute(
            "SELECT max(position), entry FROM rightfit_outbox"
        ).fetchone()
        other = blob.replace(b"edit", b"EDIT")
        replica.database.execute("UPDATE rightfit_outbox SET entry = ? WHERE position = ?", [other, position])
        with pytest.raises(StorageError, match=r"rightfit replica salvage") as refused:
            replica.sync()
        assert refused.value.code == "corrupt"
        assert (replica.status().state, replica.status().code) == ("problem", "corrupt")
        wrong = [finding for finding in replica.examine() if not finding.holds]
        assert wrong[0].check == "outbox and rejected list can be read"
    with pytest.raises(StorageError, match=r"rightfit replica salvage"):
        Replica.open(whole)
    saved = Replica.salvage(whole)
    # What was written may still stand in a page that was split since, or where it stood before it was answered: said
    # again it counts once. What nobody wrote is not taken for it.
    assert EDITS - 1 <= saved.edits <= len({one.change.dot for one in authority.memory.history}) + EDITS
    with Replica.open(whole, token=token_for("dev-a"), transport=authority) as replica:
        assert not any("EDIT" in str(row["title"]) for row in replica.query("work_order"))
        replica.sync()
    accepted = [one.change for one in authority.memory.history if one.outcome.status in APPLIED]
    created = [change.entity_id for change in accepted if change.op == "create"]
    assert len(created) == len(set(created))
    assert any("is not what was written" in one for one in saved.unreadable)


@pytest.mark.parametrize("mark", [0, 1])
def test_F07_a_mark_that_says_otherwise_than_its_edit_is_found_out(
    whole: Path, authority: HttpAuthority, mark: int
) -> None:
    with Replica.open(whole, token=token_for("dev-a"), transport=authority) as replica:
        if mark:
            entry = replica.pending()[0]
            replica._store.put_entry(msgspec.structs.replace(entry, outcome=Outcome("applied")))
        replica.database.execute("UPDATE rightfit_outbox SET pending = ?", [mark])
        with pytest.raises(StorageError, match="is marked as"):
            replica.sync()


def test_F07_nothing_but_a_damaged_replica_is_salvaged(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(OpenError) as refused:
        Replica.salvage(tmp_path / "none.db")
    assert refused.value.code == "missing"
    with Replica.open(whole), pytest.raises(OpenError) as refused:
        Replica.salvage(whole)
    assert refused.value.code == "in_use"
    (tmp_path / "text.db").write_text("nothing of ours" * 1_000)
    with pytest.raises(LocalError) as nobody:
        Replica.salvage(tmp_path / "text.db")
    assert nobody.value.code == "needs_device"
    # It may be tried again with what it needs, from what was set aside.
    with pytest.raises(OpenError) as refused:
        Replica.salvage(tmp_path / "text.db", device_id="a")
    assert refused.value.code == "needs_schema"


def test_a_flat_file_is_the_file_with_its_log(open_replica: Open, tmp_path: Path) -> None:
    replica = open_replica("dev-a", url=None)
    for number in range(3):
        replica.insert("work_order", title=str(number))
    flat = tmp_path / "flat.db"
    flatten(replica.path, replica.path.with_name("dev-a.db-wal"), flat)
    connection = sqlite3.connect(flat)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*) FROM work_order").fetchone() == (3,)
    connection.close()
