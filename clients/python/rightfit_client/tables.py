"""View tables: one ordinary SQLite table per kind, a row per living entity, a typed column per field.

An application queries them with plain SQL, joins them and puts indexes of its own on them. Nobody writes them
but the store: triggers refuse every other statement, whichever program makes it, and say what to call
instead. A trigger asks a function that only the store's own connection has, and that is true inside the store's
transactions alone. In any other program the statement fails for want of it, and its name is what there is to say.

Deleted entities are absent. Kinds and fields that the schema does not know have no table and no column; they
stay untouched in the trunk and appear when a newer schema is opened (docs/explanation/semantics.md, section
8).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from sqlite_utils import Database

from rightfit_client.convert import Column, column_type, empty_column, from_column, plain_column, to_column
from rightfit_client.errors import OpenError
from rightfit_client.layout import PREFIX
from rightfit_client.query import RawRow, quoted
from rightfit_client.sqlite import sqlite3
from rightfit_sync.errors import SchemaError
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import CONTAINERS, KindSpec, Schema
from rightfit_sync.values import Value
from rightfit_sync.view import assemble, shown_values

KEY = "entity_id"
_SCALARS = frozenset({str, int, float, bool, type(None)})
"""Types of values that are columns as they are."""
_SETS_REMEMBERED_MAX = 1_024

_FUNCTION_BYTES_MAX = 255
_GUARDED = {
    "INSERT": "replica.insert({kind!r}, ...)",
    "UPDATE": "replica.update({kind!r}, entity_id, ...)",
    "DELETE": "replica.delete({kind!r}, entity_id)",
}


class ViewTable:
    """The table of one kind: its statements, prepared once, and its rows."""

    def __init__(self, kind_name: str, kind: KindSpec) -> None:
        self.name = kind_name
        self.kind = kind
        self.types = {KEY: "TEXT", **{name: column_type(spec) for name, spec in kind.fields.items()}}
        empties = {name: empty_column(spec) for name, spec in kind.fields.items()}
        self._names = list(kind.fields)
        apart = {name for name, spec in kind.fields.items() if spec.merge in CONTAINERS}
        apart.update(member for group in kind.groups.values() for member in group.members)
        self._plain = frozenset(self._names) - apart
        converts = {
            name: (number, to_column(spec)) for number, (name, spec) in enumerate(kind.fields.items(), 1)
        }
        self._converts = [converts[name] for name in self._names if name not in apart]
        self._are_plain = all(convert is plain_column for _, convert in self._converts)
        self._assembled = {name: (*converts[name], empties[name]) for name in self._names if name in apart}
        self._are_sets = not kind.groups and all(kind.fields[one].merge == "set" for one in self._assembled)
        self._columns_of_sets = lru_cache(_SETS_REMEMBERED_MAX)(
            lambda paths: self._assembled_columns(dict.fromkeys(paths, True))
        )
        self._from_columns = {name: from_column(spec) for name, spec in kind.fields.items()}
        table, columns = quoted(kind_name), [quoted(name) for name in self.types]
        updates = ", ".join(f"{one} = excluded.{one}" for one in columns[1:])
        self.upsert = (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608
            f"ON CONFLICT ({KEY}) DO {f'UPDATE SET {updates}' if updates else 'NOTHING'}"
        )
        self.delete = f"DELETE FROM {table} WHERE {KEY} = ?"  # noqa: S608 - the name is quoted.
        self.select = f"SELECT {', '.join(columns)} FROM {table} WHERE {KEY} = ?"  # noqa: S608

    def row(self, entity: Entity) -> list[Column]:
        """Return the columns of a living entity."""
        return self.columns(entity.entity_id, shown_values(entity))

    def columns(self, entity_id: str, by_path: Mapping[str, Value]) -> list[Column]:
        """Return the columns of a living entity that shows these values.

        Most values are columns as they are, and are looked at one by one only where a type says that one is not.
        """
        # Values that are no columns are converted next.
        row: list[Column] = [entity_id, *map(by_path.get, self._names)]  # type: ignore[list-item]
        if not (self._are_plain and _SCALARS.issuperset(map(type, row))):
            for number, convert in self._converts:
                row[number] = convert(row[number])
        if self._assembled:
            self._put_assembled(row, by_path)
        return row

    def _put_assembled(self, row: list[Column], by_path: Mapping[str, Value]) -> None:
        """Put containers and members of groups into `row`; of `by_path`, plain fields have no part in them."""
        parts = by_path.keys() - self._plain
        if self._are_sets and parts.isdisjoint(self._assembled):
            # What a set holds is said by paths alone, and the same few labels come again and again.
            columns = self._columns_of_sets(frozenset(parts))
        else:
            columns = self._assembled_columns({path: by_path[path] for path in by_path if path in parts})
        for number, column in columns:
            row[number] = column

    def _assembled_columns(self, parts: Mapping[str, Value]) -> list[tuple[int, Column]]:
        """Return the columns of containers and members of groups, each with its place in the row."""
        assembled = assemble(parts, self.kind) if parts else parts
        return [
            (number, empty if (value := assembled.get(name)) is None else convert(value))
            for name, (number, convert, empty) in self._assembled.items()
        ]

    def read(self, row: RawRow) -> dict[str, object]:
        """Return what `select` gave, as Python's types."""
        return self.read_named(list(self.types), row)

    def read_named(self, names: Sequence[str], row: RawRow) -> dict[str, object]:
        """Return a row as Python's types; columns that are no fields as they are."""
        found: dict[str, object] = {}
        for name, column in zip(names, row, strict=True):
            convert = self._from_columns.get(name)
            found[name] = column if convert is None else convert(column)
        return found

    def triggers(self) -> Iterable[tuple[str, str]]:
        """Return `(name, statement)` of the triggers that refuse what is not the store's."""
        for verb, function in self.guards().items():
            name = f"{PREFIX}guard_{self.name}_{verb.lower()}"
            event = f"BEFORE {verb} ON {quoted(self.name)}"
            message = function.replace("'", "''")
            refusal = f"WHEN NOT {quoted(function)}() BEGIN SELECT RAISE(ABORT, '{message}'); END"
            yield name, f"CREATE TRIGGER {quoted(name)} {event} {refusal}"

    def guards(self) -> Mapping[str, str]:
        """Return the functions that these triggers ask, by verb; their names say what to call instead."""
        said = f"{self.name} is a view of the replica and cannot be written with SQL: call "
        return {
            verb: _as_function(f"{said}{call.format(kind=self.name)} instead")
            for verb, call in _GUARDED.items()
        }


def _as_function(sentence: str) -> str:
    """Return as much of `sentence` as may be a function's name in SQLite."""
    return sentence.encode()[:_FUNCTION_BYTES_MAX].decode(errors="ignore")


def view_tables(schema: Schema) -> Mapping[str, ViewTable]:
    """Return the view tables of `schema` by kind; raise `SchemaError` for names that SQLite confuses."""
    _check_names("kinds", schema.kinds)
    for name, kind in schema.kinds.items():
        _check_names(f"fields of {name!r}", kind.fields)
        if name.lower().startswith((PREFIX, "sqlite_")):
            raise SchemaError(
                f"the kind {name!r} cannot have a table of that name: names with {PREFIX!r} are taken"
            )
    return {name: ViewTable(name, kind) for name, kind in schema.kinds.items()}


def _check_names(what: str, names: Iterable[str]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.lower(), name)
        if other != name or "\x00" in name:
            raise SchemaError(f"{what}: {other!r} and {name!r} are one name to SQLite: rename one of them")


def migrate(connection: sqlite3.Connection, former: Schema | None, tables: Mapping[str, ViewTable]) -> None:
    """Bring the view tables from schema `former` (None: there are none) to `tables`; all of them end empty.

    Call it inside a transaction with the guard open. Columns are added or retyped in place, so that an
    application's indexes stay.
    """
    database = Database(connection, recursive_triggers=False, execute_plugins=False)
    known = {name.lower() for name in former.kinds} if former is not None else set()
    there = {name.lower(): name for name in database.table_names()}
    for name in known - {name.lower() for name in tables}:
        if name in there:
            database[there[name]].drop()
    for table in tables.values():
        if table.name.lower() in there:
            if table.name.lower() not in known:
                message = f"the file has a table {table.name!r} that is not the replica's: rename it first"
                raise OpenError("name_taken", message)
            _alter(connection, database, table)
        else:
            database.create_table(table.name, dict(table.types), pk=KEY, not_null={KEY})
        guard(connection, table)


def _alter(connection: sqlite3.Connection, database: Database, table: ViewTable) -> None:
    for name, _ in table.triggers():
        connection.execute(f"DROP TRIGGER IF EXISTS {quoted(name)}")
    connection.execute(f"DELETE FROM {quoted(table.name)}")  # noqa: S608 - the name is quoted.
    found = {
        name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({quoted(table.name)})")
    }
    for name, wanted in table.types.items():
        if name not in found:
            connection.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(name)} {wanted}")
    retyped = {name: wanted for name, wanted in table.types.items() if found.get(name, wanted) != wanted}
    if retyped:
        database.table(table.name).transform(types=retyped)


def guard(connection: sqlite3.Connection, table: ViewTable) -> None:
    """Put the triggers on `table` that refuse what is not the store's."""
    for name, statement in table.triggers():
        connection.execute(f"DROP TRIGGER IF EXISTS {quoted(name)}")
        connection.execute(statement)
