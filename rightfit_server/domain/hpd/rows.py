"""Rows of the department's CSV files: seven tables, whose headers spell one thing in several ways.

A row's keys are its headers in lower case without blanks (`Building ID`, `BuildingID` and `BUILDING ID` are
one). A cell that holds nothing, or the `0` that stands for no number, is absent.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

Cells: TypeAlias = Mapping[str, str]

TABLES: Sequence[str] = (
    "registrations",
    "jurisdiction",
    "violations",
    "complaints_and_problems",
    "vacateorders",
    "omo_charges",
    "contacts",
)
"""The tables, those that describe buildings first."""

_NUMBERS_OF_NOTHING = frozenset({"buildingid", "registrationid", "bin", "bbl", "block", "lot"})


class Row(msgspec.Struct, frozen=True):
    """One line of a file: `source` is the file's name, `line` counts from 1 and the header is line 1."""

    source: str
    line: int
    cells: Cells

    def text(self, *names: str) -> str | None:
        """Return the first of these cells that holds something."""
        return next((self.cells[name] for name in names if name in self.cells), None)

    def date(self, name: str) -> str | None:
        """Return a cell such as `08/07/2017` as `2017-08-07`; None where it holds no date."""
        try:
            return datetime.strptime(self.cells.get(name, ""), "%m/%d/%Y").date().isoformat()  # noqa: DTZ007
        except ValueError:
            return None

    def number(self, name: str) -> float | None:
        """Return a cell as a number, or None."""
        try:
            return float(self.cells.get(name, ""))
        except ValueError:
            return None


def table_of(file_name: str) -> str | None:
    """Return the table that a file holds, by its name (`hpd_violations.csv`), or None."""
    stem = file_name.lower().rpartition("/")[2].removesuffix(".csv").removeprefix("hpd_")
    return stem if stem in TABLES else None


def rows_of(source: str, lines: Iterable[Mapping[str, str | None]]) -> list[Row]:
    """Return the rows of a file, as `csv.DictReader` gives them."""
    return [Row(source, number, _cells(line)) for number, line in enumerate(lines, 2)]


def _cells(line: Mapping[str, str | None]) -> Cells:
    cells = {re.sub(r"[^a-z0-9]", "", name.lower()): (value or "").strip() for name, value in line.items()}
    return {
        name: value
        for name, value in cells.items()
        if value and not (value == "0" and name in _NUMBERS_OF_NOTHING)
    }


def at_midnight(date: str | None) -> str | None:
    """Return a date as the datetime that begins it."""
    return None if date is None else f"{date}T00:00:00Z"
