"""Bringing a database up to date: numbered SQL files, the service's role, its privileges, the report views.

`migrate` may be called by several processes at once and again at every start: an advisory lock lets one
at a time through, and what is done already is left alone. It needs the owner's connection; the service
itself logs in with a role that owns nothing, so that no accident of a session lifts row level security.

yoyo runs the files (each in one transaction) and keeps its own lock as a row, which outlives a killed
process; under our advisory lock such a row can only be a leftover, and is removed.
"""

import logging
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import psycopg
import yoyo
from psycopg import sql

from rightfit_server.postgres.digesting import fill_digests
from rightfit_server.postgres.report_views import refresh_views
from rightfit_sync.errors import RightFitError
from rightfit_sync.schema.spec import Schema

MIGRATIONS = Path(__file__).parent / "migrations"
APP_ROLE = "rightfit_app"
LOCK_ID = 7_246_118_330
"""Any number, as long as nobody else locks it."""

BOOKS_SCHEMA = "migration"
PRIVILEGES = {
    "tenants": "SELECT, UPDATE",
    "subjects": "SELECT, INSERT, UPDATE",
    "subject_tags": "SELECT, INSERT, UPDATE, DELETE",
    "devices": "SELECT, INSERT, UPDATE",
    "commits": "SELECT, INSERT",
    "entities": "SELECT, INSERT, UPDATE",
    "entity_references": "SELECT, INSERT, UPDATE, DELETE",
    "changes": "SELECT, INSERT",
    "joins": "SELECT, INSERT",
    "conflicts": "SELECT, INSERT, UPDATE",
    "effects": "SELECT, INSERT",
    "purged": "SELECT",
}
"""What the service may do, by table: it can neither rewrite nor remove history."""


class MigrationError(RightFitError):
    """The database cannot be brought up to date; the message says what to do."""


def migrate(owner_url: str, *, app_role: str = APP_ROLE, schema: Schema | None = None) -> list[str]:
    """Apply what is missing, and return the names of the migrations that were applied.

    Args:
        owner_url: Where the database is, as the role that owns the tables (or may make them).
        app_role: The service's login role; made where absent, without a password.
        schema: The application's; with it, the views of schema `report` are brought up to date.

    Raises:
        MigrationError: The service's role is too powerful, or absent and cannot be made.
    """
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_ID,))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(BOOKS_SCHEMA)))
        applied = _apply(owner_url)
        fill_digests(connection)
        _ensure_role(connection, app_role)
        with connection.transaction():
            _grant(connection, app_role)
            if schema is not None:
                refresh_views(connection, schema, app_role)
    return applied


def _apply(owner_url: str) -> list[str]:
    # It reports on every statement at level INFO.
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    backend = yoyo.get_backend(_yoyo_url(owner_url))
    with closing(backend.connection):
        backend.break_lock()
        missing = backend.to_apply(yoyo.read_migrations(str(MIGRATIONS)))
        names = [migration.id for migration in missing]
        backend.apply_migrations(missing)
        return names


def _yoyo_url(url: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode({"schema": BOOKS_SCHEMA}))))
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, query, ""))


def _ensure_role(connection: psycopg.Connection, app_role: str) -> None:
    found = connection.execute(
        "SELECT rolsuper OR rolbypassrls, rolname = current_user,"
        " pg_has_role(oid, current_user::regrole, 'MEMBER') FROM pg_roles WHERE rolname = %s",
        (app_role,),
    ).fetchone()
    if found is None:
        _make_role(connection, app_role)
    elif any(found):
        message = (
            f"the role {app_role} is a superuser, bypasses row level security, or has the owner's rights"
        )
        raise MigrationError(f"{message}: choose a role of its own for the service")


def _make_role(connection: psycopg.Connection, app_role: str) -> None:
    attributes = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
    try:
        connection.execute(sql.SQL(f"CREATE ROLE {{}} {attributes}").format(sql.Identifier(app_role)))
    except psycopg.errors.InsufficientPrivilege as error:
        statement = f'CREATE ROLE "{app_role}" {attributes}'
        raise MigrationError(f"an administrator has to make the service's role first: {statement}") from error
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        # Roles belong to the cluster: the migration of another database of it made the role just now.
        _ensure_role(connection, app_role)


def _grant(connection: psycopg.Connection, app_role: str) -> None:
    role = sql.Identifier(app_role)
    connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA app FROM {}").format(role))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA app, report TO {}").format(role))
    for table, privileges in PRIVILEGES.items():
        statement = sql.SQL(f"GRANT {privileges} ON app.{{}} TO {{}}")
        connection.execute(statement.format(sql.Identifier(table), role))
