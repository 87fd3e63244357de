"""Runs `tests/vectors/text/*.jsonl`, the cases that implementations in other languages run too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest

from rightfit_sync.text import (
    MalformedOperationError,
    OperationMismatchError,
    apply,
    compose,
    diff,
    invert,
    merge,
    overlaps,
    parse,
    transform,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "text"
CASES_MIN = 6


class Case(TypedDict, total=False):
    """The union of all keys; README.md beside the vectors says which file has which."""

    text: str
    operation: object
    result: str
    component: int
    position: int
    inverse: object
    first: object
    second: object
    composed: object
    left: object
    right: object
    left_transformed: object
    right_transformed: object
    before: str
    after: str
    base: str
    merged: str
    overlaps: bool


def run_apply(case: Case) -> None:
    assert apply(parse(case["operation"]), case["text"]) == case["result"]


def run_malformed(case: Case) -> None:
    with pytest.raises(MalformedOperationError) as caught:
        parse(case["operation"])
    assert caught.value.index == case["component"]


def run_mismatch(case: Case) -> None:
    operation = parse(case["operation"])
    with pytest.raises(OperationMismatchError) as caught:
        apply(operation, case["text"])
    assert caught.value.position == case["position"]


def run_invert(case: Case) -> None:
    assert invert(parse(case["operation"])) == parse(case["inverse"])
    assert invert(parse(case["inverse"])) == parse(case["operation"])


def run_compose(case: Case) -> None:
    assert compose(parse(case["first"]), parse(case["second"])) == parse(case["composed"])


def run_transform(case: Case) -> None:
    left, right = parse(case["left"]), parse(case["right"])
    left_transformed = transform(left, right, side="left")
    right_transformed = transform(right, left, side="right")
    assert left_transformed == parse(case["left_transformed"])
    assert right_transformed == parse(case["right_transformed"])
    assert apply(right_transformed, apply(left, case["text"])) == case["result"]
    assert apply(left_transformed, apply(right, case["text"])) == case["result"]


def run_diff(case: Case) -> None:
    assert diff(case["before"], case["after"]) == parse(case["operation"])


def run_merge(case: Case) -> None:
    base, left, right = case["base"], str(case["left"]), str(case["right"])
    assert merge(base, left, right) == case["merged"]
    assert overlaps(base, left, right) == overlaps(base, right, left) == case["overlaps"]


RUNNERS: dict[str, Callable[[Case], None]] = {
    "apply": run_apply,
    "malformed": run_malformed,
    "mismatch": run_mismatch,
    "invert": run_invert,
    "compose": run_compose,
    "transform": run_transform,
    "diff": run_diff,
    "merge": run_merge,
}


def test_every_file_of_vectors_has_a_runner() -> None:
    assert {path.stem for path in VECTORS.glob("*.jsonl")} == set(RUNNERS)


@pytest.mark.parametrize("name", RUNNERS)
def test_the_vectors_hold(name: str) -> None:
    lines = (VECTORS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= CASES_MIN
    for line in lines:
        RUNNERS[name](json.loads(line))
