"""Bringing the records of an older release into the form that digests and seals are made over.

A record without a digest was written before there were any: its state is encoded anew in the canonical form, its
digest and place are filled in. Nothing of what it says changes. Done by `migrate`, again at every start, and quick
where nothing is left to do.
"""

from rightfit_server.postgres.administration import Connection, list_tenants, tenant
from rightfit_sync.digests import canonical_state, place, state_digest
from rightfit_sync.state import decode_state

ROWS_AT_A_TIME = 1_000

_OLD = """
    SELECT kind, entity_id, state, orphans FROM app.entities
    WHERE tenant_id = %s AND place = '' AND digest = '' LIMIT %s FOR UPDATE
"""
_RENEW = """
    UPDATE app.entities SET state = %s, digest = %s, place = %s
    WHERE tenant_id = %s AND kind = %s AND entity_id = %s
"""


def fill_digests(connection: Connection) -> int:
    """Fill in what is missing in every tenant, `ROWS_AT_A_TIME` in a transaction; return how many records it was."""
    return sum(_fill(connection, one.tenant_id) for one in list_tenants(connection))


def _fill(connection: Connection, tenant_id: str) -> int:
    filled = 0
    while True:
        with tenant(connection, tenant_id):
            rows = connection.execute(_OLD, (tenant_id, ROWS_AT_A_TIME)).fetchall()
            with connection.cursor() as cursor:
                cursor.executemany(_RENEW, [(*_renewed(*row), tenant_id, *row[:2]) for row in rows])
        filled += len(rows)
        if len(rows) < ROWS_AT_A_TIME:
            return filled


def _renewed(kind: str, entity_id: str, state: bytes, orphans: list[str]) -> tuple[bytes, str, str]:
    entity = decode_state(state)
    return canonical_state(entity), state_digest(entity, orphans), place(kind, entity_id)
