"""Reading the view: rows by id, by query, by any SQL, and which tables a question reads."""

from collections.abc import Mapping, Sequence

from rightfit_client.connection import damaged, storage_error
from rightfit_client.convert import Column, to_param
from rightfit_client.errors import LocalError
from rightfit_client.live import Question
from rightfit_client.opening import OpenFile
from rightfit_client.query import Params, Query, RawRow, Rows
from rightfit_client.sqlite import sqlite3
from rightfit_client.tables import ViewTable


class Reader:
    """Reads one open file. Statements of an application can only read."""

    def __init__(self, opened: OpenFile) -> None:
        self._opened = opened
        self._connection = opened.connection

    def table(self, kind: str) -> ViewTable:
        """Return the table of a kind; raise `LocalError("unknown_kind")`."""
        found = self._opened.tables.get(kind)
        if found is None:
            known = ", ".join(sorted(self._opened.tables))
            raise LocalError("unknown_kind", f"the schema has no kind {kind!r}: it has {known}", "kind")
        return found

    def get(self, kind: str, entity_id: str) -> dict[str, object] | None:
        """Return one living entity."""
        table = self.table(kind)
        try:
            with self._opened.unit.lock:
                self._opened.unit.flush()
                row = self._connection.execute(table.select, (entity_id,)).fetchone()
        except sqlite3.Error as error:
            raise storage_error(error) from error
        return None if row is None else table.read(row)

    def ask(self, question: Question) -> Rows:
        """Return the answer to a query (Python's types) or a select (SQLite's)."""
        read = self.table(question.kind).read_named if isinstance(question, Query) else _as_is
        try:
            names, rows = self._run(question.sql, question.params)
        except LocalError as error:
            if isinstance(question, Query) and str(error).startswith(f"no such table: {question.kind}:"):
                # The schema has it, so the file should.
                raise damaged(f"the table of {question.kind} is gone") from error
            raise
        return [read(names, row) for row in rows]

    def reads(self, question: Question) -> frozenset[str]:
        """Return the names of the tables that a question reads, as SQLite itself resolves them."""
        tables: set[str] = set()

        def note(action: int, table: str | None, *_: object) -> int:
            if action == sqlite3.SQLITE_READ and table:
                tables.add(table)
            return sqlite3.SQLITE_OK

        with self._opened.unit.lock:
            # Setting an authorizer makes SQLite prepare its statements anew, cached ones too.
            self._connection.set_authorizer(note)
            try:
                self._run(f"EXPLAIN {question.sql}", question.params)
            finally:
                self._connection.set_authorizer(None)
        return frozenset(tables)

    def _run(self, sql: str, params: Params) -> tuple[Sequence[str], Sequence[RawRow]]:
        with self._opened.unit.lock:
            self._opened.unit.flush()
            self._connection.execute("PRAGMA query_only = ON")
            try:
                cursor = self._connection.execute(sql, _bound(params))
                rows = cursor.fetchall()
            except (sqlite3.Error, sqlite3.Warning) as error:
                raise LocalError("invalid_query", f"{error}: {sql}", "sql") from error
            finally:
                if not self._opened.is_read_only:
                    self._connection.execute("PRAGMA query_only = OFF")
        if cursor.description is None:
            raise LocalError("invalid_query", f"this statement reads nothing: {sql}", "sql")
        return [column[0] for column in cursor.description], rows


def _bound(params: Params) -> Sequence[Column] | Mapping[str, Column]:
    if isinstance(params, Mapping):
        return {name: to_param(value) for name, value in params.items()}
    return [to_param(value) for value in params]


def _as_is(names: Sequence[str], row: RawRow) -> dict[str, object]:
    return dict(zip(names, row, strict=True))
