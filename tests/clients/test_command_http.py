"""`rightfit replica ...`: what a person types, what comes back, and with which exit code."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from rightfit_client import Replica
from rightfit_client.command import main
from rightfit_client.testing import HttpAuthority, problem
from rightfit_sync.records import rejected

Shell = Callable[..., Result]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Runs `rightfit replica <words>` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("RIGHTFIT_REPLICA", "RIGHTFIT_TOKEN", "RIGHTFIT_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, code: int = 0, text: str | None = None) -> Result:
        result = CliRunner().invoke(main, ["replica", *words], input=text, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def url(serve: Callable[[], str]) -> str:
    """Where the authority is."""
    return serve()


@pytest.fixture
def at_home(shell: Shell, url: str, authority: HttpAuthority) -> Shell:
    """The same, in a folder with a replica."""
    token = authority.let_in("dev-a")
    shell("init", "--url", url, "--token", token)
    return shell


def answer(result: Result) -> Any:  # noqa: ANN401 - whatever the command says.
    return json.loads(result.stdout)


def test_init_keeps_the_token_for_its_owner_alone(at_home: Shell) -> None:
    kept = Path("replica.db-token")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert answer(at_home("status", "--json"))["subject"] == "memory/ann"
    assert "is there already" in at_home("init", "--url", "http://x", "--token", "x", code=2).output


def test_a_day_with_one_record(at_home: Shell) -> None:
    made = answer(at_home("insert", "work_order", "title=Boiler", "cost_pence=5", 'tags=["leak"]', "--json"))
    entity_id = made["entity_id"]
    at_home("set", "work_order", entity_id, "title=Drip", "tags/urgent=true", "opened_on=2026-05-01")
    assert "nothing to change" in at_home("set", "work_order", entity_id, "title=Drip").output
    found = answer(at_home("get", "work_order", entity_id, "--json"))
    assert (found["title"], found["tags"], found["opened_on"]) == ("Drip", ["leak", "urgent"], "2026-05-01")
    assert "Drip" in at_home("get", "work_order", entity_id).output
    at_home("set", "work_order", entity_id, "opened_on=")
    listed = answer(at_home("query", "work_order", "title", "--where", "opened_on is null", "--json"))
    assert listed == [{"entity_id": entity_id, "title": "Drip"}]
    assert answer(at_home("sync", "--json"))["synced"] == {"pushed": 3, "pulled": 1, "rejected": 0}
    at_home("delete", "work_order", entity_id)
    assert "or deleted" in at_home("get", "work_order", entity_id, code=1).output
    at_home("restore", "work_order", entity_id)
    history = answer(at_home("history", "work_order", entity_id, "--json"))
    assert [(one["change"]["op"], one["place"]) for one in history["entries"]] == [
        *[("create", "authority"), ("edit", "authority"), ("edit", "authority")],
        *[("delete", "outbox"), ("restore", "outbox")],
    ]
    assert history["is_complete"] is True
    assert "waits to be synced" in at_home("history", "work_order", entity_id).output
    assert "2 changes sent" in at_home("sync").output
    assert "up_to_date" in at_home("status").output


def test_conflicts_are_listed_and_settled(at_home: Shell, open_replica: Callable[..., Replica]) -> None:
    bob = open_replica("dev-b")
    order_id = bob.insert("work_order", title="x")
    bob.sync()
    at_home("sync")
    for mine, theirs, words in (
        ("a", "b", ("--take", "1")),
        ("c", "d", ("e f",)),
    ):
        bob.update("work_order", order_id, title=theirs)
        bob.sync()
        at_home("set", "work_order", order_id, f"title={mine}")
        at_home("sync")
        (conflict,) = answer(at_home("conflicts", "--json"))
        assert theirs in at_home("conflicts", "work_order").output
        at_home("resolve", conflict["conflict_id"][:8], *words)
        assert "nobody disagrees" in at_home("conflicts").output
        at_home("sync")
        bob.sync()
    assert bob.query("work_order")[0]["title"] == "e f"
    assert "no open conflict begins" in at_home("resolve", "ffff", "x", code=1).output
    assert "say how" in at_home("resolve", "ffff", code=2).output


def test_a_broken_rule_and_a_delete_are_settled(at_home: Shell, open_replica: Callable[..., Replica]) -> None:
    bob = open_replica("dev-b")
    made = answer(at_home("insert", "work_order", "opened_on=2026-05-02", "due_on=2026-05-01", "--json"))
    (conflict,) = answer(at_home("conflicts", "--json"))
    at_home("resolve", conflict["conflict_id"], "due_on=2026-06-01")
    at_home("sync")
    bob.sync()
    bob.delete("work_order", made["entity_id"])
    bob.sync()
    at_home("set", "work_order", made["entity_id"], "title=needed")
    at_home("sync")
    (conflict,) = answer(at_home("conflicts", "--json"))
    at_home("resolve", conflict["conflict_id"], "keep")
    assert answer(at_home("conflicts", "--json")) == []


def test_rejected_changes_are_retried_edited_and_discarded(at_home: Shell, authority: HttpAuthority) -> None:
    authority.memory.authorize = lambda *_: rejected("not_permitted", "this is not yours")
    at_home("insert", "work_order", "title=x", "cost_pence=1")
    at_home("sync")
    assert "this is not yours" in at_home("rejected").output
    (refused,) = answer(at_home("rejected", "--json"))
    dot = ":".join(map(str, refused["change"]["dot"]))
    assert "dev-a:2" in at_home("rejected", "retry", dot).output
    at_home("sync")
    at_home("rejected", "edit", "dev-a:2", "title=y")
    at_home("sync")
    at_home("rejected", "discard", "dev-a:3")
    assert "nothing was rejected" in at_home("rejected").output
    assert "not in the rejected list" in at_home("rejected", "retry", "dev-a:3", code=1).output
    assert "names no change" in at_home("rejected", "retry", "three", code=2).output


def test_failures_have_codes_and_words(at_home: Shell, authority: HttpAuthority) -> None:
    for answered, code in [
        (problem(503, "unavailable"), 3),
        (problem(401, "token_expired"), 4),
        (problem(426, "upgrade_required"), 5),
        (problem(403, "wrong_device"), 7),
        (problem(403, "forbidden", remedy="ask somebody"), 1),
    ]:
        authority.refuse(answered)
        output = at_home("sync", code=code).output
    assert "What to do: ask somebody" in output
    authority.refuse(problem(403, "forbidden", field="token", remedy="ask"))
    said = json.loads(at_home("sync", "--json", code=1).stderr)
    assert said == {"error": {"code": "forbidden", "message": "forbidden", "path": "token", "remedy": "ask"}}
    with Replica.open("replica.db"):
        assert "open in process" in at_home("insert", "work_order", "title=x", code=6).output
        at_home("status")
    assert "is a group, set its members" in at_home("insert", "work_order", "completion=x", code=1).output
    assert "no such field" in at_home("insert", "work_order", "colour=red", code=1).output
    assert "has no kind" in at_home("get", "boiler", "x", code=1).output
    assert "no assignment" in at_home("insert", "work_order", "title", code=2).output
    assert "neither true nor false" in at_home("insert", "work_order", "urgent=perhaps", code=1).output
    assert "there is no replica" in at_home("status", "--file", "none.db", code=1).output
    assert "rightfit replica init" in at_home("sync", "--file", "none.db", code=2).output


def test_a_login_brings_a_new_token_and_may_bring_a_newer_schema(
    at_home: Shell, authority: HttpAuthority, make_token: Callable[..., str]
) -> None:
    authority.refused_tokens.add(make_token("dev-a"))
    at_home("sync", code=4)
    assert "other" in str(at_home("login", "--token", make_token("dev-a", "bob"), "--json", code=1).stderr)
    schema = authority.memory.schema
    authority.memory.schema = type(schema)(2, schema.kinds)
    at_home("login", "--upgrade-schema", text=make_token("dev-a", expires_at=1) + "\n")
    assert answer(at_home("status", "--json"))["schema_version"] == 2
    # A token that is about to expire is renewed along the way.
    before = Path("replica.db-token").read_text()
    authority.refused_tokens.clear()
    at_home("sync")
    assert Path("replica.db-token").read_text() != before


def test_export_and_import_are_each_others_inverse(at_home: Shell, tmp_path: Path) -> None:
    for title in ("a", "b"):
        at_home("insert", "work_order", f"title={title}", 'tags=["x"]', "urgent=true", "price=1.50")
    at_home("export", "--output", "all.json")
    at_home("export", "work_order", "--format", "csv", "-o", "orders.csv")
    assert json.loads(Path("all.json").read_text()) == answer(at_home("export"))
    said = answer(at_home("import", "all.json", "--json"))
    assert said == {"inserted": 0, "updated": 0, "unchanged": 2}
    text = Path("orders.csv").read_text()
    Path("orders.csv").write_text(text.replace(",a,", ",A,"))
    assert (
        "0 made, 1 changed, 1 as they were" in at_home("import", "orders.csv", "--kind", "work_order").output
    )
    assert "say of which kind" in at_home("import", "orders.csv", code=2).output
    assert "a CSV file holds one kind" in at_home("export", "--format", "csv", code=2).output


def test_doctor_finds_damage_and_repairs_what_follows(at_home: Shell) -> None:
    at_home("insert", "work_order", "title=x")
    assert "wrong" not in at_home("doctor").output
    with Replica.open("replica.db") as replica:
        for name in replica.database.triggers_dict:
            replica.database.execute(f'drop trigger "{name}"')
        replica.database.execute("update work_order set title = 'y'")
    findings = {one["check"]: one["holds"] for one in answer(at_home("doctor", "--json", code=7))}
    assert [check for check, holds in findings.items() if not holds] == [
        "view tables are guarded",
        "view tables show trunk and outbox",
    ]
    at_home("doctor", "--repair")
    assert answer(at_home("query", "work_order", "title", "--json"))[0]["title"] == "x"


def test_doctor_compares_with_the_authority_and_mends(at_home: Shell) -> None:
    for number in range(3):
        at_home("insert", "work_order", f"title=record {number}")
    at_home("sync")
    with Replica.open("replica.db") as replica:
        gone, other = (
            str(row["entity_id"]) for row in replica.query("work_order", order_by="title", limit=2)
        )
        replica._store.drop_trunks([("work_order", gone)])
        row = replica._store.trunks([("work_order", other)])["work_order", other]
        replica._store.put_trunks([replace(row, entity=replace(row.entity, fields={}))])
    assert "2 differ" in at_home("doctor", "--verify", code=7).output
    said = answer(at_home("doctor", "--verify", "--repair", "--json"))
    assert {one["entity_id"]: one["what"] for one in said["differing"]} == {
        gone: "is missing here",
        other: "differs in title",
    }
    assert said["findings"][-1] == {
        "check": "records are as the authority has them",
        "holds": True,
        "detail": "2 were mended",
        "remedy": "",
    }
    assert "wrong" not in at_home("doctor", "--verify").output
    titles = answer(at_home("query", "work_order", "title", "--json"))
    assert sorted(one["title"] for one in titles) == ["record 0", "record 1", "record 2"]


def test_a_sync_says_that_a_repair_is_owed_until_somebody_makes_it(at_home: Shell) -> None:
    at_home("insert", "work_order", "title=x")
    at_home("sync")
    with Replica.open("replica.db") as replica:
        (found,) = replica.query("work_order")
        row = replica._store.trunks([("work_order", str(found["entity_id"]))])[
            "work_order", str(found["entity_id"])
        ]
        forged = replace(row.entity, entity_id="01890000-0000-7000-8000-000000000000")
        replica._store.put_trunks([replace(row, entity=forged, seal=b"forged")])
        replica.resync()
    assert "look at it" in at_home("sync", code=7).output
    assert "needs_repair: run `rightfit replica doctor --verify --repair`" in at_home("sync", code=7).output
    assert answer(at_home("sync", "--json", code=7))["status"]["code"] == "offer_refused"
    assert answer(at_home("status", "--json"))["state"] == "needs_repair"
    at_home("doctor", "--verify", "--repair")
    assert "up_to_date" in at_home("sync").output


def test_F07_salvage_saves_edits_and_sync_fetches_the_rest(
    at_home: Shell, url: str, authority: HttpAuthority
) -> None:
    at_home("insert", "work_order", "title=sent")
    at_home("sync")
    at_home("insert", "work_order", "title=pending")
    path = Path("replica.db")
    content = bytearray(path.read_bytes())
    content[100:300] = bytes(200)
    path.write_bytes(content)
    assert "rightfit replica salvage" in at_home("sync", code=1).output
    Path("schema.json").write_bytes(msgspec.json.encode(authority.memory.schema))
    saved = answer(at_home("salvage", "--schema", "schema.json", "--json"))
    assert (saved["edits"] >= 1, saved["set_aside"]) == (True, str(path.resolve()) + ".damaged-1")
    at_home("login", "--url", url, text=Path("replica.db-token").read_text() + "\n")
    at_home("sync")
    titles = answer(at_home("query", "work_order", "title", "--json"))
    assert sorted(one["title"] for one in titles) == ["pending", "sent"]
    assert "were saved" in at_home("salvage").output
    assert "wrong" not in at_home("doctor", "--verify").output
    assert "there is no replica" in at_home("salvage", "--file", "none.db", code=1).output


def test_wipe_asks_and_keeps_unsent_edits(at_home: Shell) -> None:
    at_home("insert", "work_order", "title=x")
    at_home("wipe", code=1, text="n\n")
    assert "1 edits are not sent" in at_home("wipe", "--yes", code=1).output
    at_home("sync")
    at_home("wipe", text="y\n")
    assert not Path("replica.db").exists()
    assert not Path("replica.db-token").exists()


def test_a_schema_may_come_from_a_file(shell: Shell, authority: HttpAuthority) -> None:
    Path("schema.json").write_text(
        '{"schema_version": 1, "kinds": {"note": {"fields": {"text": {"type": "str"}}}}}'
    )
    Path("odd.json").write_text("[]")
    token = authority.let_in("dev-a")
    assert (
        "holds no schema"
        in shell("init", "--url", "http://x", "--token", token, "--schema", "odd.json", code=2).output
    )
    shell("init", "--url", "http://127.0.0.1:9", "--token", token, "--schema", "schema.json")
    shell("insert", "note", "text=offline")
    assert "cannot be reached" in shell("sync", code=3).output
    assert (
        answer(shell("history", "note", answer(shell("query", "note", "--json"))[0]["entity_id"], "--json"))[
            "is_complete"
        ]
        is False
    )


def test_names_complete_in_the_shell(at_home: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    script = CliRunner().invoke(main, ["completion", "bash"])
    assert "_RIGHTFIT_COMPLETE" in script.output
    monkeypatch.setenv("_RIGHTFIT_COMPLETE", "bash_complete")
    for words, expected in [("rightfit replica get w", "work_order"), ("rightfit replica sta", "status")]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        assert f"plain,{expected}" in CliRunner().invoke(main, prog_name="rightfit").output


def test_the_servers_commands_stand_beside_ours() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "replica" in result.output
    assert os.environ.get("RIGHTFIT_COMPLETE") is None
