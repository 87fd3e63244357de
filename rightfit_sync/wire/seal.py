"""Seals: the authority's word that a state of an entity was once its own.

Every row of a page carries the seal of its entity, a MAC over tenant, kind, id, version vector and content. After a
restore from a backup the authority takes back what devices hold of it, other people's changes included, but only what
is sealed: nobody can slip in a state that the authority never had.

Source: docs/explanation/semantics.md, section 8.
"""

import hmac

from rightfit_sync.alike import SEAL_BYTES
from rightfit_sync.digests import canonical_state
from rightfit_sync.records import Entity

__all__ = ["SEAL_BYTES", "is_genuine", "seal", "seal_state"]


def seal(entity: Entity, key: bytes, tenant_id: str) -> bytes:
    """Return the seal of `entity`, `SEAL_BYTES` long."""
    return seal_state(canonical_state(entity), key, tenant_id)


def seal_state(state: bytes, key: bytes, tenant_id: str) -> bytes:
    """Return the seal of the entity that `digests.canonical_state` encoded as `state`."""
    tenant = tenant_id.encode()
    return hmac.digest(key, len(tenant).to_bytes(4) + tenant + state, "sha256")[:SEAL_BYTES]


def is_genuine(entity: Entity, given: bytes, key: bytes, tenant_id: str) -> bool:
    """Whether `given` is the seal of `entity`."""
    return hmac.compare_digest(given, seal(entity, key, tenant_id))
