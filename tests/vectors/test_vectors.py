"""Runs the vectors of this folder, which implementations in other languages run too (README.md says how)."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from rightfit_sync import Change, Dot, Entity, Schema, apply, conflicts, join, view
from rightfit_sync.causality.version_vector import dominates, meet, merge
from rightfit_sync.conflicts import Reason, conflict_id
from rightfit_sync.paths import join as join_path
from rightfit_sync.paths import split
from rightfit_sync.positions import between
from rightfit_sync.records import digest, encoded
from rightfit_sync.testing.histories import is_ready
from rightfit_sync.values import canonical, same
from rightfit_sync.wire.cursor import Cursor, sign, verify

Case: TypeAlias = Mapping[str, object]

VECTORS = Path(__file__).parent
CASES_MIN = 3


def entity_of(case: Case, key: str = "entity") -> Entity | None:
    return msgspec.convert(case[key], Entity | None)


def some_entity(case: Case, key: str = "entity") -> Entity:
    return msgspec.convert(case[key], Entity)


def schema_of(case: Case) -> Schema:
    return msgspec.convert(case["schema"], Schema)


def run_apply(case: Case) -> None:
    schema, entity = schema_of(case), entity_of(case)
    changes = msgspec.convert(case["changes"], list[Change])
    outcomes = []
    for change in changes:
        entity, outcome = apply(entity, change, schema)
        outcomes.append(without_message(msgspec.to_builtins(outcome)))
    assert outcomes == case["outcomes"]
    assert msgspec.to_builtins(entity) == case["result"]
    if case.get("any_order"):
        ends = list(in_any_order(entity_of(case), changes, schema))
        assert all(msgspec.to_builtins(end) == case["result"] for end in ends)


def without_message(outcome: Mapping[str, object]) -> Case:
    return {key: value for key, value in outcome.items() if key != "message"}


def in_any_order(entity: Entity | None, changes: Sequence[Change], schema: Schema) -> Iterator[Entity]:
    rest = list(changes)
    first = entity or apply(None, rest.pop(0), schema)[0]
    for order in permutations(rest):
        end = first
        for change in order:
            if end is None or not is_ready(end, change):
                break
            end, _ = apply(end, change, schema)
        else:
            assert end is not None
            yield end


def run_conflicts(case: Case) -> None:
    found = [
        {
            "conflict_id": one.conflict_id,
            "path": one.path,
            "reason": one.reason,
            "dots": msgspec.to_builtins(one.dots),
        }
        for one in conflicts(some_entity(case), schema_of(case))
    ]
    assert found == case["conflicts"]


def run_view(case: Case) -> None:
    assert view(some_entity(case), schema_of(case)) == case["view"]


def run_join(case: Case) -> None:
    left, right = some_entity(case, "left"), some_entity(case, "right")
    assert msgspec.to_builtins(join(left, right)) == case["result"]
    assert msgspec.to_builtins(join(right, left)) == case["result"]


def run_digest(case: Case) -> None:
    change = msgspec.convert(case["change"], Change)
    assert encoded(change).decode() == case["canonical"]
    assert digest(change) == case["digest"]


def run_conflict_ids(case: Case) -> None:
    dots = msgspec.convert(case["dots"], list[Dot])
    reason = msgspec.convert(case.get("reason", "siblings"), Reason)
    made = conflict_id(str(case["kind"]), str(case["entity_id"]), str(case["path"]), dots, reason)
    assert made == case["conflict_id"]


def run_cursor(case: Case) -> None:
    cursor, key = msgspec.convert(case["cursor"], Cursor), str(case["key"]).encode()
    assert sign(cursor, key) == case["opaque"]
    read = verify(str(case["opaque"]), key, tenant_id=cursor.tenant_id, device_ids=[cursor.device_id])
    assert read == cursor


def run_version_vectors(case: Case) -> None:
    left, right = (msgspec.convert(case[key], dict[str, int]) for key in ("left", "right"))
    assert merge(left, right) == merge(right, left) == case["merge"]
    assert meet(left, right) == meet(right, left) == case["meet"]
    assert dominates(left, right) is case["left_dominates"]
    assert dominates(right, left) is case["right_dominates"]


def run_paths(case: Case) -> None:
    segments = msgspec.convert(case["segments"], list[str])
    assert join_path(*segments) == case["path"]
    assert list(split(str(case["path"]))) == segments


def run_positions(case: Case) -> None:
    left, right = (msgspec.convert(case[key], str | None) for key in ("left", "right"))
    middle = between(left, right)
    assert middle == case["between"]
    assert left is None or left < middle
    assert right is None or middle < right


def run_values(case: Case) -> None:
    left, right = case["left"], case["right"]
    assert same(left, right) is same(right, left) is case["same"]
    assert canonical(left).decode() == case["canonical_left"]
    assert canonical(right).decode() == case["canonical_right"]


RUNNERS: Mapping[str, Callable[[Case], None]] = {
    "apply": run_apply,
    "conflicts": run_conflicts,
    "view": run_view,
    "join": run_join,
    "digest": run_digest,
    "conflict_ids": run_conflict_ids,
    "cursor": run_cursor,
    "version_vectors": run_version_vectors,
    "paths": run_paths,
    "positions": run_positions,
    "values": run_values,
}


def cases(name: str) -> list[Case]:
    lines = (VECTORS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ALL = [pytest.param(name, case, id=f"{name}: {case['name']}") for name in RUNNERS for case in cases(name)]


@pytest.mark.parametrize(("name", "case"), ALL)
def test_the_vectors_hold(name: str, case: Case) -> None:
    RUNNERS[name](case)


def test_every_file_has_a_runner_and_is_in_the_readme() -> None:
    files = {path.stem for path in VECTORS.glob("*.jsonl")}
    assert files == set(RUNNERS)
    readme = (VECTORS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.jsonl`" in readme for name in files)


@pytest.mark.parametrize("name", RUNNERS)
def test_names_are_unique_and_cases_are_many(name: str) -> None:
    names = [case["name"] for case in cases(name)]
    assert len(names) == len(set(names)) >= CASES_MIN


def test_the_histories_that_apply_can_tell_are_here() -> None:
    """Of section 11; the others need receipts, an outbox or a network and are told elsewhere."""
    names = [str(case["name"]) for name in ("apply", "join") for case in cases(name)]
    told = {int(number) for name in names for number in re.findall(r"history (\d+)", name)}
    assert told >= {3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 16, 17, 18, 19, 21}
