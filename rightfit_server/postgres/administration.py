"""What an operator does to a tenant, with the owner's connection.

Make it, its subjects and devices, grant tags.

Synchronous, for the command line and for set-up code. Each function is one transaction. A change of tags
is a commit of the feed, without rows: so a device knows from its cursor which grants it has not heard of
yet.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from secrets import token_hex
from uuid import uuid4

import msgspec
import psycopg

from rightfit_sync.causality.dot import AUTHORITY_PREFIX, is_authority
from rightfit_sync.errors import LocalError
from rightfit_sync.feed import chained

Connection = psycopg.Connection[psycopg.rows.TupleRow]


class TenantRow(msgspec.Struct, frozen=True):
    """One tenant: its id and name, the epoch, and how many numbers its feed has given out."""

    tenant_id: str
    name: str
    epoch: str
    head: int


class SubjectRow(msgspec.Struct, frozen=True):
    """One subject with its tags and devices."""

    subject_id: str
    name: str
    tags: list[str]
    device_ids: list[str]


def create_tenant(connection: Connection, tenant_id: str, name: str = "") -> TenantRow:
    """Make a tenant. Raises `LocalError` (`tenant_exists`, `invalid_tenant`)."""
    epoch = f"e{token_hex(4)}"
    try:
        with tenant(connection, tenant_id):
            connection.execute(
                "INSERT INTO app.tenants (tenant_id, name, epoch) VALUES (%s, %s, %s)",
                (tenant_id, name, epoch),
            )
            _insert_device(connection, tenant_id, AUTHORITY_PREFIX + epoch, None, "the authority itself")
    except psycopg.errors.UniqueViolation as error:
        raise LocalError("tenant_exists", f"there is a tenant {tenant_id!r} already", "tenant_id") from error
    except psycopg.errors.CheckViolation as error:
        message = f"{tenant_id!r} is no tenant id: use letters, digits, '-' and '_', at most 63"
        raise LocalError("invalid_tenant", message, "tenant_id") from error
    return TenantRow(tenant_id, name, epoch, 0)


def list_tenants(connection: Connection) -> list[TenantRow]:
    """Return all tenants, by id. Only the owner may ask."""
    rows = connection.execute("SELECT tenant_id, name, epoch, head FROM app.tenants ORDER BY tenant_id")
    return [TenantRow(*row) for row in rows]


def create_subject(
    connection: Connection, tenant_id: str, subject_id: str, tags: Collection[str] = (), name: str = ""
) -> None:
    """Make a subject that holds `tags`. Raises `LocalError` (`subject_exists`, `unknown_tenant`)."""
    try:
        with tenant(connection, tenant_id):
            connection.execute(
                "INSERT INTO app.subjects (tenant_id, subject_id, name) VALUES (%s, %s, %s)",
                (tenant_id, subject_id, name),
            )
            _set_tags(connection, tenant_id, subject_id, tags)
    except psycopg.errors.UniqueViolation as error:
        message = f"there is a subject {subject_id!r} already"
        raise LocalError("subject_exists", message, "subject_id") from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id") from error


def set_tags(connection: Connection, tenant_id: str, subject_id: str, tags: Collection[str]) -> None:
    """Let a subject hold exactly `tags` from now on. Raises `LocalError` (`unknown_subject`)."""
    with tenant(connection, tenant_id):
        _set_tags(connection, tenant_id, subject_id, tags)


def list_subjects(connection: Connection, tenant_id: str) -> list[SubjectRow]:
    """Return the subjects of a tenant, by id."""
    with tenant(connection, tenant_id):
        rows = connection.execute(
            "SELECT s.subject_id, s.name,"
            " ARRAY(SELECT tag FROM app.subject_tags g WHERE g.tenant_id = s.tenant_id"
            " AND g.subject_id = s.subject_id ORDER BY tag),"
            " ARRAY(SELECT device_id FROM app.devices d WHERE d.tenant_id = s.tenant_id"
            " AND d.subject_id = s.subject_id ORDER BY created_at, device_id)"
            " FROM app.subjects s WHERE s.tenant_id = %s ORDER BY s.subject_id",
            (tenant_id,),
        ).fetchall()
    return [SubjectRow(*row) for row in rows]


def create_device(
    connection: Connection, tenant_id: str, subject_id: str, device_id: str | None = None, name: str = ""
) -> str:
    """Enter a new device of a subject and return its id; mint its token with `accounts.tokens.Tokens`.

    Raises `LocalError` (`device_exists`, `unknown_subject`, `invalid_device`).
    """
    chosen = str(uuid4()) if device_id is None else device_id
    if is_authority(chosen):
        message = f"{chosen!r}: ids that begin with {AUTHORITY_PREFIX!r} are the authority's"
        raise LocalError("invalid_device", message, "device_id")
    try:
        with tenant(connection, tenant_id):
            _insert_device(connection, tenant_id, chosen, subject_id, name)
    except psycopg.errors.UniqueViolation as error:
        raise LocalError("device_exists", f"there is a device {chosen!r} already", "device_id") from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise LocalError("unknown_subject", f"there is no subject {subject_id!r}", "subject_id") from error
    return chosen


def revoke_device(connection: Connection, tenant_id: str, device_id: str) -> None:
    """Sign a device out: its token is worth nothing from now on. Raises `LocalError` (`unknown_device`)."""
    with tenant(connection, tenant_id):
        done = connection.execute(
            "UPDATE app.devices SET revoked_at = now() WHERE tenant_id = %s AND device_id = %s",
            (tenant_id, device_id),
        )
        if done.rowcount != 1:
            raise LocalError("unknown_device", f"there is no device {device_id!r}", "device_id")


@contextmanager
def tenant(connection: Connection, tenant_id: str) -> Iterator[None]:
    """Open a transaction of one tenant on any connection."""
    with connection.transaction():
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant_id,))
        yield


def _insert_device(
    connection: Connection, tenant_id: str, device_id: str, subject_id: str | None, name: str
) -> None:
    connection.execute(
        "INSERT INTO app.devices (tenant_id, device_id, subject_id, replica_id, name, epoch)"
        " VALUES (%s, %s, %s, %s, %s,"
        " coalesce((SELECT epoch FROM app.tenants t WHERE t.tenant_id = %s), ''))",
        (tenant_id, device_id, subject_id, device_id, name, tenant_id),
    )


def _set_tags(connection: Connection, tenant_id: str, subject_id: str, tags: Collection[str]) -> None:
    found = connection.execute(
        "UPDATE app.tenants SET head = head + 1 WHERE tenant_id = %s RETURNING head, chain", (tenant_id,)
    ).fetchone()
    if found is None:
        raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id")
    # A restored server may grant something else under the same number: the chain must tell the two apart.
    granted = blake2b(msgspec.json.encode(sorted(set(tags))), digest_size=16).hexdigest()
    seq, chain = found[0], chained(found[1], found[0], [("", subject_id, granted)])
    connection.execute("UPDATE app.tenants SET chain = %s WHERE tenant_id = %s", (chain, tenant_id))
    connection.execute(
        "INSERT INTO app.commits (tenant_id, seq, chain) VALUES (%s, %s, %s)", (tenant_id, seq, chain)
    )
    done = connection.execute(
        "UPDATE app.subjects SET tags_seq = %s WHERE tenant_id = %s AND subject_id = %s",
        (seq, tenant_id, subject_id),
    )
    if done.rowcount != 1:
        raise LocalError("unknown_subject", f"there is no subject {subject_id!r}", "subject_id")
    connection.execute(
        "DELETE FROM app.subject_tags WHERE tenant_id = %s AND subject_id = %s AND NOT tag = ANY (%s)",
        (tenant_id, subject_id, list(tags)),
    )
    connection.execute(
        "INSERT INTO app.subject_tags (tenant_id, subject_id, tag, granted_seq)"
        " SELECT %s, %s, tag, %s FROM unnest(%s::text[]) AS tag"
        " WHERE NOT EXISTS (SELECT FROM app.subject_tags g"
        " WHERE g.tenant_id = %s AND g.subject_id = %s AND g.tag = tag.tag)",
        (tenant_id, subject_id, seq, list(dict.fromkeys(tags)), tenant_id, subject_id),
    )
