"""The page of faults says itself which of them no test is named after: this holds it to that."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "faults.md").read_text(encoding="utf-8")
TESTS = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]


def test_every_fault_has_a_test_of_its_name_or_is_listed_as_open() -> None:
    listed = set(re.findall(r"^\| ([FBT]\d\d) \|", PAGE, re.MULTILINE))
    tested = {found for text in TESTS for found in re.findall(r"def test_([FBT]\d\d)_", text)}
    sentence = re.search(r"Not tested by name yet: ([^.]*)\.", PAGE)
    still_open: set[str] = set()
    for first, last in re.findall(r"([FBT]\d\d)(?: to ([FBT]\d\d))?", sentence[1] if sentence else ""):
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        still_open.update(f"{first[0]}{number:02}" for number in numbers)
    assert listed - tested == still_open
