"""Reading a folder of the department's CSV files."""

import csv
from pathlib import Path

from rightfit_server.domain.hpd.plan import Plan, plan
from rightfit_server.domain.hpd.rows import Row, rows_of, table_of
from rightfit_sync.errors import LocalError


def read_folder(folder: Path) -> tuple[Plan, list[str]]:
    """Return the plan for the CSV files of `folder`, and the names of those files that it cannot use.

    Raises `LocalError("no_records")` where there is none that it can.
    """
    tables: dict[str, list[Row]] = {}
    unknown = []
    for path in sorted(folder.glob("*.csv")):
        table = table_of(path.name)
        if table is None:
            unknown.append(path.name)
            continue
        with path.open(encoding="utf-8-sig", newline="") as lines:
            tables[table] = rows_of(path.name, csv.DictReader(lines))
    if not tables:
        raise LocalError(
            "no_records", f"{folder} holds no file such as violations.csv or hpd_violations.csv", "folder"
        )
    return plan(tables), unknown
