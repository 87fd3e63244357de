"""What the comparison concludes: an edit that is gone must be counted as lost, and one that is kept must not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.peers.chart import svg
from benchmarks.peers.comparison import Comparison, Entry
from benchmarks.peers.playing import Run
from benchmarks.peers.table import markdown
from benchmarks.peers.verdict import Shown, Values, Verdict, judge
from benchmarks.peers.workload import Conflicts, Edit, workload
from benchmarks.results import Machine

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
APART = Conflicts(one=[Edit("a", "title", "mine")], other=[Edit("a", "status", "yours")])
TOGETHER = Conflicts(one=[Edit("a", "title", "mine")], other=[Edit("a", "title", "yours")])
BOTH: Values = {"title": "mine", "status": "yours"}
FIRST: Values = {"title": "mine", "status": "old"}


def shown(one: Values, kept: Sequence[Values] = (), server: Values | None = None) -> Shown:
    return Shown(one={"a": one}, other={"a": one}, server={"a": server or one}, kept={"a": kept})


def became(verdict: Verdict) -> Mapping[str, int]:
    counts = {name: getattr(verdict, name) for name in ("merged", "hidden", "kept", "open", "lost", "differ")}
    return {name: count for name, count in counts.items() if count}


def test_edits_of_different_fields_are_merged_hidden_or_lost() -> None:
    assert became(judge(APART, shown(BOTH))) == {"merged": 1}
    assert became(judge(APART, shown(FIRST, [{"title": "old", "status": "yours"}]))) == {"hidden": 1}
    assert became(judge(APART, shown(FIRST))) == {"lost": 1}


def test_of_two_values_of_one_field_the_other_is_kept_or_lost() -> None:
    assert became(judge(TOGETHER, shown(FIRST, [{"title": "yours"}]))) == {"kept": 1}
    assert became(judge(TOGETHER, shown(FIRST, [{"status": "yours"}]))) == {"lost": 1}


def test_what_only_a_replica_shows_and_the_server_does_not_have_is_lost() -> None:
    assert became(judge(APART, shown(BOTH, server=FIRST))) == {"lost": 1, "differ": 1}


def test_a_conflict_that_waits_for_the_application_is_open() -> None:
    found = Shown(
        one={"a": FIRST},
        other={"a": {"title": "yours", "status": "old"}},
        server={"a": FIRST},
        kept={"a": [{"title": "mine"}, {"title": "yours"}]},
    )
    assert became(judge(TOGETHER, found)) == {"open": 1, "differ": 1}


def test_everybody_plays_the_same_edits_from_the_seed() -> None:
    planned = workload(300)
    assert planned == workload(300)
    edited = [{edit.id for edit in edits} for edits in (planned.one_field, planned.conflicts.one)]
    assert len(edited[0]) == len(edited[1]) == 100
    assert not edited[0] & edited[1]
    assert [edit.id for edit in planned.conflicts.one] == [edit.id for edit in planned.conflicts.other]
    fields = [edit.field for edit in planned.conflicts.other]
    assert fields == ["status"] * 50 + ["title"] * 50


def test_who_did_not_finish_is_named_and_what_it_did_is_shown() -> None:
    runs = [Run({"W1.per_second": 1_234.0, "W5.p50_ms": 0.5}), Run({}, stopped="stopped after 120 s")]
    entry = Entry("Slow & steady", {"slow": "1.0"}, 300, runs)
    machine = Machine("a processor", 2, "3.11", "3.53")
    found = Comparison("abc", "20260101T00:00:00Z", machine, 300, 2, {"slow": entry})
    assert "| W1 push, records/s | 1,234 |" in markdown(found)
    assert "Slow & steady did not finish: stopped after 120 s" in markdown(found)
    ET.fromstring(svg(found))


def test_the_lock_files_name_no_place_and_pin_everything() -> None:
    packages = json.loads((PEERS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = {name: about for name, about in packages.items() if name}
    assert not [name for name, about in installed.items() if "resolved" in about]
    assert not [name for name, about in installed.items() if "integrity" not in about]
    pinned = json.loads((PEERS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert not [name for name, found in pinned.items() if not found[0].isdigit()]
    assert "://" not in (PEERS / "kinto" / "requirements.lock").read_text(encoding="utf-8")
