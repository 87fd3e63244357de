"""Import and export: entities as JSON or CSV files that people and other programs read.

JSON is exact: `{"schema_version": 1, "kinds": {"work_order": [{"entity_id": ..., field: value}]}}` with the
JSON forms of `convert`, or, for one kind, the list alone. CSV is for spreadsheets: one kind, a header of
field names, an empty cell for no value, containers as JSON.

An import is one local commit, all or nothing. A row whose `entity_id` is here is an update (of what differs),
any other row an insert; each is a change of its own for the authority.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TextIO, TypeAlias

import msgspec

from rightfit_client.convert import to_value
from rightfit_client.errors import LocalError
from rightfit_client.limits import IMPORT_ROWS_MAX
from rightfit_client.replica import Replica
from rightfit_client.tables import KEY
from rightfit_sync.merge.registry import MisplacedPathError, rules_of
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec
from rightfit_sync.values import Value

Format: TypeAlias = Literal["json", "csv"]
_WORDS: Mapping[str, bool] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TEXTS = frozenset({"str", "enum", "decimal", "date", "datetime", "bytes"})


class Imported(msgspec.Struct, frozen=True):
    """What an import came to, in entities."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0


def export_json(replica: Replica, stream: TextIO, kind: str | None = None) -> int:
    """Write all entities (or those of one kind) to `stream`; return how many."""
    kinds = [kind] if kind is not None else sorted(replica.schema.kinds)
    found = {name: plain_rows(replica, name) for name in kinds}
    document: object = (
        found[kind] if kind is not None else {"schema_version": replica.schema.schema_version, "kinds": found}
    )
    stream.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
    return sum(len(rows) for rows in found.values())


def export_csv(replica: Replica, stream: TextIO, kind: str) -> int:
    """Write the entities of one kind to `stream`; return how many."""
    rows = plain_rows(replica, kind)
    writer = csv.DictWriter(stream, [KEY, *replica.schema.kinds[kind].fields], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return len(rows)


def plain_rows(replica: Replica, kind: str) -> list[dict[str, Value]]:
    """Return the entities of one kind with the JSON forms of their values, in the order of their ids."""
    rows = replica.query(kind, order_by=KEY)
    return [plain(replica.schema.kinds[kind], row) for row in rows]


def plain(kind: KindSpec, row: Mapping[str, object]) -> dict[str, Value]:
    """Return a row with the JSON forms of its values."""
    return {name: to_value(kind.fields.get(name, FieldSpec()), value) for name, value in row.items()}


def _cell(value: Value) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def parsed(kind: KindSpec, path: str, text: str) -> Value:
    """Return the value that `text` says for a field or path; an empty text is no value.

    Raises `LocalError("invalid_type")`.
    """
    spec = _spec(kind, path)
    if text == "":
        return None
    if spec.type in _TEXTS and spec.merge not in CONTAINERS:
        return text
    if spec.type == "bool" or (spec.merge == "set" and "/" in path):
        return _bool(path, text)
    try:
        value: Value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        if spec.type not in ("json", "int", "float"):
            message = f"{path}: {text!r} is no JSON{_members(kind, path)}"
            raise LocalError("invalid_type", message, path) from None
        value = text
    return value


def _members(kind: KindSpec, path: str) -> str:
    group = kind.groups.get(path)
    return "" if group is None else f": {path} is a group, set its members {', '.join(group.members)}"


def _spec(kind: KindSpec, path: str) -> FieldSpec:
    if path in kind.fields:
        return kind.fields[path]
    try:
        return rules_of(kind).spec(path)
    except MisplacedPathError:
        return FieldSpec()


def _bool(path: str, text: str) -> bool:
    if text.lower() not in _WORDS:
        raise LocalError("invalid_type", f"{path}: {text!r} is neither true nor false", path)
    return _WORDS[text.lower()]


def import_json(replica: Replica, stream: TextIO, kind: str | None = None) -> Imported:
    """Take in what `export_json` wrote; `kind` is needed where the file is a list alone."""
    try:
        document: object = msgspec.json.decode(stream.read())
        if isinstance(document, list):
            rows = {_named(kind): msgspec.convert(document, list[dict[str, Value]])}
        else:
            rows = msgspec.convert(document, _Document).kinds
    except msgspec.MsgspecError as error:
        raise LocalError("invalid_file", f"this is no export of ours: {error}") from error
    return _take(replica, [(name, row) for name, each in rows.items() for row in each])


class _Document(msgspec.Struct, frozen=True):
    kinds: dict[str, list[dict[str, Value]]]


def _named(kind: str | None) -> str:
    if kind is None:
        raise LocalError("needs_kind", "the file is a list: say of which kind its rows are", "kind")
    return kind


def import_csv(replica: Replica, stream: TextIO, kind: str) -> Imported:
    """Take in a table of one kind."""
    declared = replica.schema.kinds.get(kind)
    if declared is None:
        raise LocalError("unknown_kind", f"the schema has no kind {kind!r}", "kind")
    rows: list[tuple[str, dict[str, Value]]] = []
    for number, cells in enumerate(csv.DictReader(stream), 1):
        if None in cells or None in cells.values():
            raise LocalError("invalid_file", f"row {number}: it has not as many cells as the header")
        rows.append((kind, _row(declared, number, cells)))
    return _take(replica, rows)


def _row(kind: KindSpec, number: int, cells: Mapping[str, str]) -> dict[str, Value]:
    try:
        row = {name: parsed(kind, name, text) for name, text in cells.items() if name != KEY}
    except LocalError as error:
        raise LocalError(error.code, f"row {number}: {error}", error.path) from error
    return {**row, **({KEY: cells[KEY]} if cells.get(KEY) else {})}


def _take(replica: Replica, rows: Sequence[tuple[str, Mapping[str, Value]]]) -> Imported:
    if len(rows) > IMPORT_ROWS_MAX:
        raise LocalError("too_many_rows", f"{len(rows)} rows, at most {IMPORT_ROWS_MAX}: split the file")
    tally = {"inserted": 0, "updated": 0, "unchanged": 0}
    with replica.batch():
        for number, (kind, row) in enumerate(rows, 1):
            try:
                tally[_take_row(replica, kind, row)] += 1
            except LocalError as error:
                raise LocalError(error.code, f"row {number}: {error}", error.path) from error
    return Imported(**tally)


def _take_row(replica: Replica, kind: str, row: Mapping[str, Value]) -> str:
    given = dict(row)
    entity_id = given.pop(KEY, None)
    if entity_id is None:
        replica.insert(kind, _there(given.items()))
        return "inserted"
    if not isinstance(entity_id, str):
        raise LocalError("invalid_type", f"{KEY}: {entity_id!r} is no id", KEY)
    held = replica.get(kind, entity_id)
    if held is None:
        replica.insert(kind, _there(given.items()), entity_id=entity_id)
        return "inserted"
    known = plain(replica.schema.kinds[kind], held)
    wanted = {name: value for name, value in given.items() if name not in known or value != known[name]}
    return "unchanged" if not wanted or replica.update(kind, entity_id, wanted) is None else "updated"


def _there(items: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    return {name: value for name, value in items if value is not None}
