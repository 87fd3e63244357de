"""Entering devices: the subject, where it is new, the device, and the token that it signs in with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from rightfit_server.accounts.tokens import Token, Tokens
from rightfit_server.bootstrap import load_application
from rightfit_server.operations.database import Database
from rightfit_server.ports.storage import Identity
from rightfit_server.postgres.administration import (
    Connection,
    create_device,
    create_subject,
    list_subjects,
    revoke_device,
    set_tags,
)
from rightfit_server.settings import read_settings
from rightfit_sync.errors import LocalError


def role_tags(role: str | None, of: str, subject_id: str) -> list[str]:
    """Return the tags that a role gives; raise `LocalError` where it is unknown or lacks `--of`."""
    if role is None:
        return []
    roles = load_application(read_settings().application).roles
    if role not in roles:
        raise LocalError(
            "unknown_role", f"there is no role {role!r}: choose {' or '.join(sorted(roles))}", "role"
        )
    if not of and any("{of}" in template for template in roles[role]):
        raise LocalError("missing_of", f"a {role} is one of somebody: name the record with --of", "of")
    return [template.format(of=of, subject_id=subject_id) for template in roles[role]]


def enter_device(
    database: Database, tenant_id: str, subject_id: str, tags: Sequence[str], name: str = ""
) -> Token:
    """Make a device, and the subject where it is new (else it holds `tags` from now on, if there are any)."""
    # First of all: a device without a token would be of no use.
    tokens = Tokens(database.signing_keys(), read_settings().token_seconds)
    with psycopg.connect(database.owner_url) as connection:
        _ensure_subject(connection, tenant_id, subject_id, tags)
        device_id = create_device(connection, tenant_id, subject_id, name=name)
    return tokens.mint(Identity(tenant_id, subject_id, device_id))


@contextmanager
def visiting_device(
    database: Database, tenant_id: str, subject_id: str, tags: Sequence[str], name: str
) -> Iterator[Token]:
    """Make a device for a block, as `enter_device` does, and sign it out after it.

    Its replica goes with the block, and its id with the replica: a fresh file must not spend the counters of a former
    one. Signed out, a device that never comes back holds up no purge.
    """
    token = enter_device(database, tenant_id, subject_id, tags, name)
    try:
        yield token
    finally:
        with psycopg.connect(database.owner_url) as connection:
            revoke_device(connection, tenant_id, token.device_id)


def _ensure_subject(connection: Connection, tenant_id: str, subject_id: str, tags: Sequence[str]) -> None:
    known = {row.subject_id: row for row in list_subjects(connection, tenant_id)}
    if subject_id not in known:
        create_subject(connection, tenant_id, subject_id, tags)
    elif tags and set(tags) != set(known[subject_id].tags):
        set_tags(connection, tenant_id, subject_id, tags)
