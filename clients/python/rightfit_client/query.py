"""Queries over the view: what an application asks, as data, and the SQL that it becomes.

`Query("work_order", "status = ? and cost_pence > ?", ["OPEN", 1000], order_by="due_date", limit=20)` selects
from the kind's table; `Select("select status, count(*) as n from work_order group by 1")` is any reading SQL.
The first gives rows with Python's types, the second columns as SQLite has them.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from rightfit_client.convert import Column

Params: TypeAlias = Sequence[object] | Mapping[str, object]


class Query(msgspec.Struct, frozen=True):
    """Entities of one kind: `where` and `order_by` are SQL over its columns, `params` fill placeholders."""

    kind: str
    where: str = ""
    params: Params = ()
    order_by: str = ""
    limit: int | None = None

    @property
    def sql(self) -> str:
        """The statement."""
        where = f" WHERE ({self.where})" if self.where else ""
        order = f" ORDER BY {self.order_by}" if self.order_by else ""
        limit = "" if self.limit is None else f" LIMIT {int(self.limit)}"
        return f"SELECT * FROM {quoted(self.kind)}{where}{order}{limit}"  # noqa: S608 - the caller's own SQL.


class Select(msgspec.Struct, frozen=True):
    """Any SQL that reads."""

    sql: str
    params: Params = ()


Rows: TypeAlias = list[dict[str, object]]
RawRow: TypeAlias = Sequence[Column]


def quoted(identifier: str) -> str:
    """Return `identifier` as SQL takes it."""
    return '"' + identifier.replace('"', '""') + '"'
