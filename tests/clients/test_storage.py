"""F06: a full disk and I/O errors. An edit is kept whole or refused loudly; what was kept before stays."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rightfit_client import Replica, StorageError
from rightfit_client.testing import HttpAuthority, problem
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema

Open = Callable[..., Replica]
PAGES_MAX = 1_000_000

SMALL_FILES = """
import resource, signal, sys
from rightfit_client import Replica, StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
replica = Replica.open(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
kept = 0
try:
    while kept < 10_000:
        replica.insert("note", text=f"{kept} {'x' * 2000}")
        kept += 1
except StorageError as refused:
    print(refused.code)
print(kept, len(replica.query("note")), len(replica.pending()))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
replica.insert("note", text="room again")
print(len(replica.query("note")), replica.pending()[-1].change.dot.counter)
"""


def allow(replica: Replica, more_pages: int) -> None:
    """Let the file grow by so many pages from now on."""
    (pages,) = replica.database.execute("PRAGMA page_count").fetchone()
    replica.database.execute(f"PRAGMA max_page_count = {pages + more_pages}").fetchall()


def fill(replica: Replica) -> list[str]:
    """Insert until the disk is full, and return what was kept."""
    kept: list[str] = []

    def insert() -> None:
        while True:
            kept.append(replica.insert("work_order", title="x" * 1_000))

    with pytest.raises(StorageError) as refused:
        insert()
    assert refused.value.code == "disk_full"
    assert "nothing was kept" in str(refused.value)
    return kept


def test_F06_an_edit_on_a_full_disk_is_refused_and_not_half_kept(replica: Replica) -> None:
    allow(replica, 40)
    kept = fill(replica)
    assert kept
    assert {row["entity_id"] for row in replica.query("work_order")} == set(kept)
    assert [entry.change.dot.counter for entry in replica.pending()] == list(range(1, len(kept) + 1))
    # With room again it goes on where it stopped, and everything arrives.
    allow(replica, PAGES_MAX)
    replica.insert("work_order", title="room again")
    assert replica.pending()[-1].change.dot.counter == len(kept) + 1
    assert replica.sync().pushed == len(kept) + 1
    assert replica.rejected() == []


def test_F06_a_transaction_on_a_full_disk_is_refused_whole(replica: Replica) -> None:
    allow(replica, 40)

    def write() -> None:
        with replica.transaction():
            for number in range(400):
                replica.insert("work_order", title=f"{number} {'x' * 1_000}")

    with pytest.raises(StorageError):
        write()
    assert replica.pending() == replica.query("work_order") == []
    assert replica.insert("work_order", title="small")


def test_F06_swallowing_the_error_inside_a_transaction_keeps_nothing_half(replica: Replica) -> None:
    allow(replica, 40)

    def write() -> None:
        with replica.transaction():
            try:
                for number in range(400):
                    replica.insert("work_order", title=f"{number} {'x' * 1_000}")
            except StorageError:
                pass
            allow(replica, PAGES_MAX)

    with pytest.raises(StorageError):
        write()
    assert replica.pending() == replica.query("work_order") == []


def test_F06_a_pull_on_a_full_disk_resumes_when_there_is_room(open_replica: Open) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    for number in range(30):
        ann.insert("work_order", title=f"{number} {'x' * 3_000}")
    ann.sync()
    allow(bob, 5)
    with pytest.raises(StorageError):
        bob.sync()
    assert bob.query("work_order") == []
    assert (bob.status().state, bob.status().code) == ("problem", "disk_full")
    allow(bob, PAGES_MAX)
    assert bob.sync().pulled == 30
    assert bob.status().state == "up_to_date"


def test_F06_receipts_on_a_full_disk_leave_every_edit_pending_and_count_once(
    open_replica: Open, authority: HttpAuthority
) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="counted", cost_pence=1)
    ann.sync()
    bob.sync()
    for number in range(40):
        bob.insert("work_order", title=f"{number} {'x' * 3_000}")
    bob.sync()
    ann.update("work_order", order_id, cost_pence=5)
    ann.insert("work_order", title="refused", property_id="nowhere")
    before = [entry.change.dot for entry in ann.pending()]
    allow(ann, 5)
    # The answer brings receipts and a page: neither is taken in by half.
    with pytest.raises(StorageError) as refused:
        ann.sync()
    assert refused.value.code == "disk_full"
    assert len(authority.memory.history) == 43
    assert [entry.change.dot for entry in ann.pending()] == before
    assert (len(ann.query("work_order")), ann.rejected()) == (2, [])
    allow(ann, PAGES_MAX)
    ann.sync()
    assert (ann.pending(), len(ann.rejected())) == ([], 1)
    assert ann.get("work_order", order_id)["cost_pence"] == 5  # type: ignore[index]
    assert len(authority.memory.history) == 43


@pytest.mark.parametrize("pages", range(0, 12, 3))
def test_F06_a_new_device_id_on_a_full_disk_is_not_half_taken(
    open_replica: Open, authority: HttpAuthority, pages: int
) -> None:
    ann = open_replica("dev-a")
    with ann.batch():
        for number in range(30):
            ann.insert("work_order", title=f"{number} {'x' * 3_000}")
    allow(ann, pages)
    authority.refuse(problem(409, "device_cloned"))
    with pytest.raises(StorageError):
        ann.sync()
    # The id may be new or not, and answered or not: every edit has the same, and none is missing.
    dots = [entry.change.dot for entry in ann.pending()]
    assert [(dot.device_id, dot.counter) for dot in dots] == [
        (ann.device_id, number) for number in range(1, 31)
    ]
    allow(ann, PAGES_MAX)
    ann.sync()
    assert len(authority.memory.held) == 30


def test_F06_a_write_error_of_the_system_is_refused_loudly(tmp_path: Path) -> None:
    schema = Schema(1, {"note": KindSpec(fields={"text": FieldSpec(type="str")})})
    Replica.open(tmp_path / "a.db", schema=schema, device_id="a").close()
    child = [sys.executable, "-c", SMALL_FILES, str(tmp_path / "a.db")]
    code, counts, after = subprocess.run(
        child, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    kept, shown, pending = map(int, counts.split())
    assert code in ("io_error", "disk_full")
    assert 0 < kept == shown == pending < 10_000
    assert after == f"{kept + 1} {kept + 1}"


def test_a_unique_index_of_the_applications_own_is_named_when_it_stops_a_page(open_replica: Open) -> None:
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    bob.database["work_order"].create_index(["title"], unique=True)
    for _ in range(2):
        ann.insert("work_order", title="twice")
    ann.sync()
    with pytest.raises(StorageError, match="UNIQUE index") as refused:
        bob.sync()
    assert refused.value.code == "constraint"
    bob.database["work_order"].drop_index("idx_work_order_title")
    assert bob.sync().pulled == 2
