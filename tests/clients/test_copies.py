"""F05: an older copy of the file is put back, a copy runs on two phones. Nothing that anybody wrote is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rightfit_client import OpenError, Replica
from rightfit_client.marker import default_directory
from rightfit_client.testing import HttpAuthority, token_for

Open = Callable[..., Replica]
Copy = Callable[..., Path]


@pytest.fixture
def markers(tmp_path: Path) -> Path:
    return tmp_path / "markers"


@pytest.fixture
def phone(open_replica: Open, markers: Path) -> Callable[[], Replica]:
    """Opens the replica of one phone, that keeps its marker outside of backups."""
    return lambda: open_replica("dev-a", marker=markers)


def titles(replica: Replica) -> list[object]:
    return [row["title"] for row in replica.query("work_order", order_by="title")]


def told(authority: HttpAuthority) -> list[object]:
    return sorted(held.entity.fields["title"][0].value for held in authority.memory.held.values())


def copied(replica: Replica, place: Path) -> Path:
    """Close a replica, and return a copy of its file."""
    replica.close()
    return Path(shutil.copy(replica.path, place))


def test_F05_an_older_copy_that_is_put_back_goes_on_under_a_new_id(
    phone: Callable[[], Replica], open_replica: Open, authority: HttpAuthority, tmp_path: Path
) -> None:
    ann, bob = phone(), open_replica("dev-b")
    ann.insert("work_order", title="before the backup")
    ann.sync()
    ann.insert("work_order", title="in the backup, unsent")
    backup = copied(ann, tmp_path / "backup.db")
    ann = phone()
    ann.insert("work_order", title="after the backup, sent")
    ann.sync()
    ann.insert("work_order", title="after the backup, destroyed")
    ann.close()
    shutil.copy(backup, ann.path)
    ann = phone()
    assert ann.device_id != "dev-a"
    # It does not know yet that its pending edit had arrived meanwhile, and edits on top of that.
    order_id = next(row["entity_id"] for row in ann.query("work_order") if "unsent" in str(row["title"]))
    ann.update("work_order", str(order_id), team="north")
    ann.insert("work_order", title="since the restore")
    ann.sync()
    bob.sync()
    expected = [
        "after the backup, sent",
        "before the backup",
        "in the backup, unsent",
        "since the restore",
    ]
    assert titles(ann) == titles(bob) == told(authority) == expected
    for one in (ann, bob):
        assert (one.pending(), one.rejected(), one.conflicts()) == ([], [], [])
        assert one.get("work_order", str(order_id))["team"] == "north"  # type: ignore[index]


def test_F05_a_restored_backup_may_pull_before_it_pushes(
    phone: Callable[[], Replica], authority: HttpAuthority, tmp_path: Path
) -> None:
    ann = phone()
    ann.sync()
    backup = copied(ann, tmp_path / "backup.db")
    ann = phone()
    order_id = ann.insert("work_order", title="sent", cost_pence=5)
    ann.sync()
    ann.close()
    shutil.copy(backup, ann.path)
    ann = phone()
    ann.sync()
    assert (titles(ann), ann.get("work_order", order_id)["cost_pence"]) == (["sent"], 5)  # type: ignore[index]
    ann.update("work_order", order_id, cost_pence=7)
    ann.insert("work_order", title="new")
    ann.sync()
    assert titles(ann) == told(authority) == ["new", "sent"]
    assert (ann.get("work_order", order_id)["cost_pence"], ann.rejected()) == (7, [])  # type: ignore[index]


@pytest.mark.parametrize("pulls_first", [True, False])
@pytest.mark.parametrize("has_markers", [True, False])
def test_F05_a_copy_runs_on_two_phones_at_once(
    open_replica: Open, authority: HttpAuthority, tmp_path: Path, has_markers: bool, pulls_first: bool
) -> None:
    def marker(number: int) -> Path | None:
        return tmp_path / f"phone {number}" if has_markers else None

    first = open_replica("dev-a", marker=marker(1))
    order_id = first.insert("work_order", title="common", cost_pence=1)
    first.sync()
    first.insert("work_order", title="unsent in both")
    twin = copied(first, tmp_path / "twin.db")
    first = open_replica("dev-a", marker=marker(1))
    second = Replica.open(
        twin, token=token_for("dev-a"), transport=authority, marker=marker(2), clock=lambda: 5
    )
    # With a marker the copy knows at once; without, it is found out when the second of the two sends.
    assert (first.device_id == "dev-a", second.device_id == "dev-a") == (True, not has_markers)
    with second:
        first.update("work_order", order_id, cost_pence=3)
        second.update("work_order", order_id, cost_pence=11)
        first.insert("work_order", title="of the first")
        second.insert("work_order", title="of the second")
        if pulls_first:
            first.sync()
            second.resync()
        for one in (first, second, first, second):
            one.sync()
            one.insert("property", address=f"by {one.device_id}")
        for one in (first, second, first):
            one.sync()
        expected = ["common", "of the first", "of the second", "unsent in both"]
        assert titles(first) == titles(second) == expected
        assert first.device_id != second.device_id
        for one in (first, second):
            assert one.get("work_order", order_id)["cost_pence"] == 13  # type: ignore[index]
            assert len(one.query("property")) == 4
            assert (one.pending(), one.rejected(), one.conflicts()) == ([], [], [])


def test_F05_a_file_that_was_moved_or_opened_again_stays_what_it_is(
    phone: Callable[[], Replica], markers: Path, tmp_path: Path
) -> None:
    for _ in range(3):
        ann = phone()
        ann.close()
    moved = tmp_path / "elsewhere" / "moved.db"
    moved.parent.mkdir()
    ann.path.rename(moved)
    with Replica.open(moved, marker=markers) as ann:
        assert ann.device_id == "dev-a"
        ann.insert("work_order", title="x")
    # Without markers nothing is compared, nor forgotten.
    Replica.open(moved, marker=None).close()
    with Replica.open(moved, marker=markers) as ann:
        assert ann.device_id == "dev-a"
        assert len(list(markers.iterdir())) == 1
        ann.wipe(discard_pending=True)
    assert list(markers.iterdir()) == []


def test_F05_a_copy_beside_its_original_does_not_take_its_marker_away(
    phone: Callable[[], Replica], markers: Path, tmp_path: Path
) -> None:
    copy = copied(phone(), tmp_path / "copy.db")
    phone().close()
    ids = []
    for _ in range(3):
        with Replica.open(copy, marker=markers) as other:
            ids.append(other.device_id)
        ann = phone()
        assert ann.device_id == "dev-a"
        ann.close()
    assert len(set(ids)) == 1
    assert ids[0] != "dev-a"


@pytest.mark.parametrize("step", [1, 2, 3])
def test_F05_a_crash_between_two_steps_of_a_rotation_is_harmless(
    phone: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class Crash(BaseException):
        """The process is gone."""

    ann = phone()
    ann.insert("work_order", title="kept")
    ann.close()
    done: list[int] = []

    def counted(name: str) -> None:
        import rightfit_client.opening as module  # noqa: PLC0415 - it is what is broken here.

        owner = module.marker if name == "write" else module
        real = getattr(owner, name)

        def act(*words: object) -> object:
            if len(done) == step - 1 and words[1] != "url":
                raise Crash
            done.append(1)
            return real(*words)

        monkeypatch.setattr(owner, name, act)

    counted("write")
    counted("put_meta")
    with pytest.raises(Crash):
        phone()
    assert len(done) == step - 1
    monkeypatch.undo()
    ann = phone()
    assert ann.device_id == "dev-a"
    assert titles(ann) == ["kept"]
    assert len(ann.pending()) == 1


def test_F05_the_marker_is_kept_where_the_setting_says(
    open_replica: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTFIT_MARKERS", str(tmp_path / "here"))
    open_replica("dev-a").close()
    assert len(list((tmp_path / "here").iterdir())) == 1
    monkeypatch.setenv("RIGHTFIT_MARKERS", "none")
    open_replica("dev-b").close()
    assert len(list((tmp_path / "here").iterdir())) == 1
    monkeypatch.delenv("RIGHTFIT_MARKERS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = default_directory()
    assert folder is not None
    assert tmp_path in folder.parents


def test_F05_a_place_where_no_marker_can_be_kept_is_named(open_replica: Open, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpenError, match="RIGHTFIT_MARKERS") as refused:
        open_replica("dev-a", marker=tmp_path / "file" / "markers")
    assert refused.value.code == "marker_unusable"
