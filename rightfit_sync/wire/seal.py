"""Seals: the authority's word that a state of an entity was once its own.

Every row of a page carries the seal of its entity, a MAC over tenant, kind, id, version vector and content. After a
restore from a backup the authority takes back what devices hold of it, other people's changes included, but only what
is sealed: nobody can slip in a state that the authority never had.

The MAC is keyed BLAKE2b (RFC 7693); that of older releases, HMAC-SHA256 cut to 16 bytes, is still told to be genuine.

Source: docs/explanation/semantics.md, section 8.
"""

import hmac
from collections.abc import Callable
from hashlib import blake2b

from rightfit_sync.alike import SEAL_BYTES
from rightfit_sync.digests import canonical_state
from rightfit_sync.records import Entity

__all__ = ["SEAL_BYTES", "is_genuine", "seal", "seal_of_before", "sealing"]


def sealing(key: bytes, tenant_id: str) -> Callable[[bytes], bytes]:
    """Return what gives the seal of an entity of this tenant, as `digests.canonical_state` encodes it."""
    begun = blake2b(_length_and(tenant_id), key=key, digest_size=SEAL_BYTES, person=b"rightfit seal")

    def seal_state(state: bytes) -> bytes:
        # Key and tenant are digested once, for all states.
        mac = begun.copy()
        mac.update(state)
        return mac.digest()

    return seal_state


def seal_of_before(state: bytes, key: bytes, tenant_id: str) -> bytes:
    """Return the seal that an older release gave with `state`; `key` was drawn for that."""
    return hmac.digest(key, _length_and(tenant_id) + state, "sha256")[:SEAL_BYTES]


def _length_and(tenant_id: str) -> bytes:
    # Where the tenant ends and the state begins is said, so that no two pairs of them read alike.
    tenant = tenant_id.encode()
    return len(tenant).to_bytes(4) + tenant


def seal(entity: Entity, key: bytes, tenant_id: str) -> bytes:
    """Return the seal of `entity`, `SEAL_BYTES` long."""
    return sealing(key, tenant_id)(canonical_state(entity))


def is_genuine(entity: Entity, given: bytes, key: bytes, tenant_id: str) -> bool:
    """Whether `given` is the seal of `entity`."""
    return hmac.compare_digest(given, seal(entity, key, tenant_id))
