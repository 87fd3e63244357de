"""Tenants, devices, import, audit, backup and restore, from the command line."""

import io
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rightfit_server.demo.stack import Stack
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.ports.replica import open_replica
from rightfit_server.postgres.epoch import begin_epoch
from rightfit_sync.errors import LocalError, RightFitError
from tests.end_to_end.command_line import rightfit

pytestmark = pytest.mark.xdist_group("end_to_end")

SAMPLE = Path(__file__).parent.parent.parent / "rightfit_server/demo/sample"


@pytest.fixture(scope="module")
def directory(stack: Stack) -> tuple[str, str]:
    """The data directory with one tenant, `acme`, that holds the sample; as options."""
    options = ("--data-dir", str(stack.directory))
    assert rightfit("tenant", "add", "acme", "--name", "Acme Homes", *options).code == 0
    imported = rightfit("import", SAMPLE, "--tenant", "acme", "--json", *options)
    assert imported.code == 0, imported.errors
    return options


def test_tenants_are_listed(directory: tuple[str, str]) -> None:
    listed: Any = rightfit("tenant", "list", "--json", *directory).json()
    assert [(row["tenant_id"], row["name"]) for row in listed] == [("acme", "Acme Homes")]
    assert "Acme Homes" in rightfit("tenant", "list", *directory).output
    again = rightfit("tenant", "add", "acme", *directory)
    assert (again.code, "already" in again.errors) == (3, True)


def test_a_device_is_entered_listed_and_signed_out(
    directory: tuple[str, str], stack: Stack, tmp_path: Path
) -> None:
    options = ("--role", "contractor", "--of", "c1", "--json", *directory)
    made: Any = rightfit("device", "add", "acme", "quay", *options).json()
    listed: Any = rightfit("device", "list", "acme", "--json", *directory).json()
    (row,) = [row for row in listed if row["subject_id"] == "quay"]
    assert (row["tags"], row["device_ids"]) == (["contractor:c1"], [made["device_id"]])
    with open_replica(tmp_path / "quay.db", schema=SCHEMA, url=stack.url, token=made["token"]) as replica:
        replica.sync()
        assert rightfit("device", "revoke", "acme", made["device_id"], *directory).code == 0
        with pytest.raises(RightFitError, match="token was refused"):
            replica.sync()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "acme", "quay", "--role", "king"), "no role 'king'"),
        (("add", "acme", "quay", "--role", "contractor"), "--of"),
        (("add", "nobody", "quay"), "no tenant"),
        (("revoke", "acme", "nothing"), "no device"),
    ],
)
def test_what_cannot_be_done_is_explained(
    directory: tuple[str, str], arguments: tuple[str, ...], words: str
) -> None:
    done = rightfit("device", *arguments, *directory)
    assert done.code == 3
    assert words in " ".join(done.errors.replace("│", " ").split())


def test_an_import_made_again_changes_nothing(directory: tuple[str, str]) -> None:
    again: Any = rightfit("import", SAMPLE, "--tenant", "acme", "--json", *directory).json()
    assert again["made"] == {}
    assert again["present"]["property"] == 41
    assert "placeholders" in rightfit("import", SAMPLE, "--tenant", "acme", *directory).output


def test_no_purge_waits_for_the_device_of_an_import(directory: tuple[str, str], stack: Stack) -> None:
    with psycopg.connect(stack.database().owner_url) as connection:
        devices = connection.execute(
            "SELECT revoked_at IS NOT NULL FROM app.devices WHERE tenant_id = 'acme' AND name = 'import'"
        ).fetchall()
    assert devices
    assert all(is_signed_out for (is_signed_out,) in devices)
    (purged,) = rightfit("tenant", "purge", "acme", "--dry-run", "--json", *directory).json()  # type: ignore[misc]
    assert purged["slowest"] is None


def test_an_import_reports_what_it_cannot_use(directory: tuple[str, str], tmp_path: Path) -> None:
    assert rightfit("import", tmp_path, "--tenant", "acme", *directory).code == 3
    shutil.copy(SAMPLE / "contacts.csv", tmp_path)
    (tmp_path / "weather.csv").write_text("sun\n1\n")
    text = (tmp_path / "contacts.csv").read_text().replace("60000001", "60000099")
    (tmp_path / "contacts.csv").write_text(text.replace("QUAYSIDE PLUMBING LTD", "QUAY\x00SIDE", 1))
    done = rightfit("import", tmp_path, "--tenant", "acme", "--json", *directory)
    report: Any = done.json()
    assert done.code == 1
    assert report["unknown"] == ["weather.csv"]
    assert [(one["source"], one["kind"]) for one in report["rejected"]] == [("contacts.csv:2", "contractor")]


def test_a_healthy_database_passes_the_audit(directory: tuple[str, str]) -> None:
    done = rightfit("audit", "--json", *directory)
    (report,) = done.json()  # type: ignore[misc]
    assert done.code == 0
    assert report["findings"] == []
    assert report["changes"] == sum(report["states"].values())
    assert rightfit("audit", "--tenant", "nobody", *directory).code == 3
    assert "visible" in rightfit("audit", *directory).output


def test_the_audit_follows_cascades_and_transactions(
    directory: tuple[str, str], stack: Stack, tmp_path: Path
) -> None:
    made: Any = rightfit("device", "add", "acme", "max", "--role", "landlord", "--json", *directory).json()
    with open_replica(tmp_path / "max.db", schema=SCHEMA, url=stack.url, token=made["token"]) as replica:
        place = replica.insert("property", {"street": "Quay Road"})
        job = replica.insert("work_order", {"title": "Boiler", "property_id": place})
        unit = replica.insert("unit", {"property_id": place, "name": "1"})
        about = {"work_order_id": job, "author_id": "max", "body": "Soon."}
        comment = replica.insert("comment", about)
        replica.update("work_order", job, {"unit_id": unit})
        replica.sync()
        with replica.transaction():
            replica.update("comment", comment, {"body": "Very soon."})
            replica.delete("work_order", job)
        replica.delete("property", place)
        replica.sync()
        assert replica.get("comment", comment) is None
        assert replica.get("unit", unit) is None
    done = rightfit("audit", "--json", *directory)
    (report,) = done.json()  # type: ignore[misc]
    assert report["findings"] == []


ONE_NOTICE = "kind = 'notice' AND entity_id = (SELECT min(entity_id) FROM app.entities WHERE kind = 'notice')"
TAMPERING = {
    "missing": f"DELETE FROM app.entities WHERE {ONE_NOTICE}",
    "document": "UPDATE app.entities SET document = jsonb_set(document, '{reason}', '\"Flood\"')"
    f" WHERE {ONE_NOTICE}",
    "counter": "DELETE FROM app.changes WHERE counter = 2",
    "fold": "UPDATE app.changes"
    " SET change = jsonb_set(change::jsonb, '{patches,reason,value}', '\"Flood\"')::json"
    f" WHERE {ONE_NOTICE}",
    "feed": "UPDATE app.tenants SET head = head + 1",
    "conflict": "INSERT INTO app.conflicts (tenant_id, conflict_id, kind, entity_id, path, reason, dots,"
    " opened_seq, opened_by_device_id) SELECT tenant_id, 'x', kind, entity_id, 'reason', 'siblings', '[]',"
    f" commit_seq, 'd' FROM app.entities WHERE {ONE_NOTICE}",
}


@contextmanager
def copied(stack: Stack) -> Iterator[str]:
    """The owner's URL of a copy of the database."""
    others = "FROM pg_stat_activity WHERE datname = 'rightfit'"
    with psycopg.connect(stack.owner_url.replace("/rightfit?", "/postgres?"), autocommit=True) as connection:
        # A database that somebody uses cannot be copied; the service connects anew by itself.
        connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {others}")
        connection.execute("CREATE DATABASE tampered TEMPLATE rightfit")
        yield stack.owner_url.replace("/rightfit?", "/tampered?")
        connection.execute("DROP DATABASE tampered")


@pytest.mark.parametrize("check", sorted(TAMPERING))
def test_a_database_that_was_tampered_with_is_found_out(
    directory: tuple[str, str], stack: Stack, check: str
) -> None:
    with copied(stack) as url:
        with psycopg.connect(url) as connection:
            assert connection.execute(TAMPERING[check]).rowcount > 0
        done = rightfit("audit", "--json", "--database-owner-url", url, *directory)
        shown = rightfit("audit", "--database-owner-url", url, *directory)
    (report,) = done.json()  # type: ignore[misc]
    assert (done.code, shown.code) == (1, 1)
    assert check in {finding["check"] for finding in report["findings"]}
    assert check in shown.output


def test_a_backup_is_restored_with_its_keys_and_a_new_epoch(
    directory: tuple[str, str], folder: Path, stack: Stack
) -> None:
    token: Any = rightfit("device", "add", "acme", "olive", "--role", "landlord", "--json", *directory).json()
    file = folder / "backup.tar"
    before: Any = rightfit("tenant", "list", "--json", *directory).json()
    assert rightfit("backup", file, *directory).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert rightfit("backup", file, *directory).code == 3, "a backup is never overwritten"
    fresh = ("--data-dir", str(folder / "restored"))
    restored = rightfit("restore", file, "--json", *fresh)
    assert restored.code == 0, restored.errors
    after: Any = rightfit("tenant", "list", "--json", *fresh).json()
    assert after[0]["epoch"] != before[0]["epoch"]
    assert {**after[0], "epoch": ""} == {**before[0], "epoch": ""}
    assert rightfit("audit", *fresh).code == 0
    assert rightfit("restore", file, *fresh).code == 3, "not over what is there"
    with (
        Stack(folder / "restored") as again,
        open_replica(folder / "olive.db", schema=SCHEMA, url=again.url, token=token["token"]) as replica,
    ):
        replica.sync()
        assert len(replica.select("SELECT 1 FROM property")) == properties(stack)


def properties(stack: Stack) -> int:
    with stack.connect() as connection:
        alive = "SELECT count(*) FROM app.entities WHERE kind = 'property' AND deleted_at IS NULL"
        found = connection.execute(alive).fetchone()
        assert found is not None
        return int(found[0])


def test_a_damaged_or_foreign_file_is_refused(
    directory: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    fresh = ("--data-dir", str(folder / "foreign"))
    assert "no backup" in rightfit("restore", tmp_path / "photo.jpg", *fresh).errors
    good, bad = tmp_path / "good.tar", tmp_path / "bad.tar"
    assert rightfit("backup", good, *directory).code == 0
    rewrite(good, bad, lambda name, content: content[:-1] if name == "database.dump" else content)
    done = rightfit("restore", bad, *fresh)
    assert (done.code, "damaged" in done.errors) == (3, True)
    rewrite(good, bad, lambda _, content: content.replace(b'"archive_format":1', b'"archive_format":9'))
    assert "newer release" in " ".join(rightfit("restore", bad, *fresh).errors.split())


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            stream = old.extractfile(member)
            assert stream is not None
            content = change(member.name, stream.read())
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "command",
    [("audit",), ("tenant", "list"), ("backup", "b.tar"), ("import", SAMPLE, "--tenant", "acme")],
)
def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path, command: tuple[str | Path, ...]) -> None:
    done = rightfit(*command, "--data-dir", tmp_path / "nothing")
    assert (done.code, "no data in" in " ".join(done.errors.split())) == (3, True)
    assert not (tmp_path / "nothing").exists()


def test_a_token_is_never_signed_with_keys_that_no_server_knows(stack: Stack, tmp_path: Path) -> None:
    elsewhere = ("--database-owner-url", stack.owner_url, "--data-dir", tmp_path / "nothing")
    done = rightfit("device", "add", "acme", "olive", *elsewhere)
    assert (done.code, "RIGHTFIT_SIGNING_KEYS" in done.errors) == (3, True)


def test_an_unknown_tenant_has_no_epoch_to_begin(stack: Stack) -> None:
    with stack.connect() as connection, pytest.raises(LocalError, match="no tenant"):
        begin_epoch(connection, "nobody")
