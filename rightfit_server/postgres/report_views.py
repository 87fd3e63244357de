"""Report views: one per kind, with a typed column per field, so that reports are plain SQL.

`report.work_order` holds the living work orders of the tenant, `report.work_order_deleted` the deleted
ones with `deleted_at` and `deleted_by_device_id`. Both are made from the schema. They are
`security_invoker` views: whoever reads them is bound by row level security as on the tables. A view is
replaced only where its text has changed, and never by force: where somebody's own view stands on it, the
migration stops and names it.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b

import psycopg
from psycopg import sql

from rightfit_sync.errors import SchemaError
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec, Schema

MARK = "made from the schema: "
DELETED_SUFFIX = "_deleted"
NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names, silently."""

CASTS: Mapping[str, str] = {
    "str": "(document ->> {})",
    "enum": "(document ->> {})",
    "int": "(document ->> {})::bigint",
    "float": "(document ->> {})::double precision",
    "bool": "(document ->> {})::boolean",
    "decimal": "(document ->> {})::numeric",
    "date": "(document ->> {})::date",
    "datetime": "(document ->> {})::timestamptz",
    "bytes": "decode(document ->> {}, 'base64')",
}
"""How a field of each type is read; all others are given as jsonb."""

_FIXED = ("entity_id", "seq", "in_conflict")


def refresh_views(connection: psycopg.Connection, schema: Schema, app_role: str) -> None:
    """Make the views of schema `report` those of `schema`, readable by `app_role`."""
    wanted = dict(_views(schema))
    known = dict(_known(connection))
    for name in known.keys() - wanted.keys():
        connection.execute(sql.SQL("DROP VIEW report.{}").format(sql.Identifier(name)))
    for name, select in wanted.items():
        text = select.as_string(connection)
        mark = MARK + blake2b(text.encode(), digest_size=16).hexdigest()
        if known.get(name) != mark:
            view = sql.Identifier(name)
            connection.execute(sql.SQL("DROP VIEW IF EXISTS report.{}").format(view))
            made = sql.SQL("CREATE VIEW report.{} WITH (security_invoker = true) AS {}")
            connection.execute(made.format(view, select))
            connection.execute(sql.SQL("COMMENT ON VIEW report.{} IS {}").format(view, sql.Literal(mark)))
        grant = sql.SQL("GRANT SELECT ON report.{} TO {}")
        connection.execute(grant.format(sql.Identifier(name), sql.Identifier(app_role)))


def _known(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    rows = connection.execute(
        "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c"
        " WHERE c.relnamespace = 'report'::regnamespace AND c.relkind = 'v'"
    )
    for name, comment in rows:
        if (comment or "").startswith(MARK):
            yield name, comment


def _views(schema: Schema) -> Iterator[tuple[str, sql.Composed]]:
    for name, kind in schema.kinds.items():
        deleted_name = name + DELETED_SUFFIX
        if len(deleted_name.encode()) > NAME_BYTES_MAX or deleted_name in schema.kinds:
            raise SchemaError(f"the kind {name!r} cannot have the view {deleted_name!r}: choose another name")
        yield name, _select(name, kind, _FIXED, "deleted_at IS NULL")
        tombstone = (*_FIXED, "deleted_at", "deleted_by_device_id")
        yield deleted_name, _select(name, kind, tombstone, "deleted_at IS NOT NULL")


def _select(name: str, kind: KindSpec, fixed: tuple[str, ...], condition: str) -> sql.Composed:
    columns: list[sql.Composable] = [sql.SQL(_fixed_column(column)) for column in fixed]
    columns += [_column(field, spec, fixed) for field, spec in kind.fields.items()]
    return sql.SQL("SELECT {} FROM app.entities e WHERE kind = {} AND {}").format(
        sql.SQL(", ").join(columns), sql.Literal(name), sql.SQL(condition)
    )


def _fixed_column(name: str) -> str:
    if name != "in_conflict":
        return name
    return (
        "EXISTS (SELECT FROM app.conflicts c WHERE c.tenant_id = e.tenant_id AND c.kind = e.kind"
        " AND c.entity_id = e.entity_id AND c.closed_at IS NULL) AS in_conflict"
    )


def _column(field: str, spec: FieldSpec, fixed: tuple[str, ...]) -> sql.Composed:
    # Where a field has the name of a column that every view has, it makes way.
    shown = f"{field}_field" if field in fixed else field
    template = CASTS.get(spec.type, "document -> {}")
    if spec.merge in CONTAINERS:
        template = "document -> {}"
    return sql.SQL(template + " AS {}").format(sql.Literal(field), sql.Identifier(shown))
