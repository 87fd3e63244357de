"""The plan of an import: which records to make, from what, each after those that it refers to.

Every line of every file is used: it makes a record of its own, or tells something about a building. What the
plan says is checked by the server like every other write; nothing is left out to please it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from rightfit_server.domain.hpd.buildings import OWN_LINES, Buildings
from rightfit_server.domain.hpd.cases import complaint, repair, violation
from rightfit_server.domain.hpd.firms import contact
from rightfit_server.domain.hpd.orders import vacate_order
from rightfit_server.domain.hpd.record import Record
from rightfit_server.domain.hpd.rows import Row

_MAKERS: Mapping[str, Callable[[Row, Buildings], Record]] = {
    "violations": violation,
    "complaints_and_problems": complaint,
    "omo_charges": repair,
    "contacts": contact,
    "vacateorders": vacate_order,
}


class Plan(msgspec.Struct, frozen=True):
    """What an import will make.

    `rows` counts the lines of each table, `placeholders` the properties without a line of their own;
    `repeated` are the lines that name a record once more (its first line counts).
    """

    records: Sequence[Record]
    rows: Mapping[str, int]
    placeholders: int
    repeated: Sequence[str]

    def counts(self) -> dict[str, int]:
        """Return how many records of each kind will be made."""
        return dict(Counter(record.kind for record in self.records))


def plan(tables: Mapping[str, Sequence[Row]]) -> Plan:
    """Return the plan for these tables, `{table: rows}` (see `rows.TABLES`)."""
    buildings = Buildings(tables)
    made = list(_cases(tables, buildings))
    unique: dict[str, Record] = {}
    repeated = []
    for record in made:
        if record.entity_id in unique:
            repeated.append(record.source)
        unique.setdefault(record.entity_id, record)
    records = [*buildings.properties(), *buildings.units(), *unique.values()]
    counts = {table: len(rows) for table, rows in tables.items()}
    return Plan(records, counts, buildings.placeholder_count, repeated)


def _cases(tables: Mapping[str, Sequence[Row]], buildings: Buildings) -> Iterator[Record]:
    for table, rows in tables.items():
        if table not in OWN_LINES:
            yield from (_MAKERS[table](row, buildings) for row in rows)
