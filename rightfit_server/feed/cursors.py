"""Signing what devices keep for us: cursors, and the seals of rows, each with keys of their own.

They are drawn from the signing keys: the newest one signs, older ones still verify. What signs tokens signs nothing
else.
"""

import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from rightfit_sync.digests import canonical_state
from rightfit_sync.errors import RemoteError
from rightfit_sync.records import Entity
from rightfit_sync.state import state_of_before
from rightfit_sync.wire.cursor import Cursor, read, sign, verify
from rightfit_sync.wire.seal import seal_of_before, sealing


def _drawn(keys: Mapping[str, bytes], purpose: bytes) -> Sequence[bytes]:
    return [hmac.digest(key, purpose, "sha256") for key in keys.values()]


class Cursors:
    """Signs and verifies. `keys` are the signing keys by name, the newest first."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = _drawn(keys, b"rightfit cursor")

    def sign(self, cursor: Cursor) -> str:
        """Return the opaque form of `cursor`."""
        return sign(cursor, self._keys[0])

    def said(self, opaque: str) -> Cursor | None:
        """Return what `opaque` says, whoever it was made for; None where it is none of ours."""
        for key in self._keys:
            with suppress(RemoteError):
                return read(opaque, key)
        return None

    def verify(self, opaque: str, tenant_id: str, device_ids: Collection[str]) -> Cursor:
        """Return the content of `opaque`; `device_ids` are all those of the replica.

        Raises `RemoteError` `cursor_invalid` (400), `cursor_foreign` (403).
        """
        for key in self._keys[:-1]:
            try:
                return verify(opaque, key, tenant_id=tenant_id, device_ids=device_ids)
            except RemoteError as error:
                if error.code != "cursor_invalid":
                    raise
        return verify(opaque, self._keys[-1], tenant_id=tenant_id, device_ids=device_ids)


class Seals:
    """Seals states, and tells genuine seals. `keys` are the signing keys by name, the newest first."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = _drawn(keys, b"rightfit seal, keyed BLAKE2b")
        self._keys_of_before = _drawn(keys, b"rightfit seal")

    def sealing(self, tenant_id: str) -> Callable[[bytes], bytes]:
        """Return what gives the seal of a state of this tenant as stored (`digests.canonical_state`)."""
        return sealing(self._keys[0], tenant_id)

    def is_genuine(self, entity: Entity, given: bytes, tenant_id: str) -> bool:
        """Whether this server once gave the seal `given` with this very state of `entity`, in this tenant."""
        try:
            # A replica may hold it with a seal that an older release gave.
            states = [canonical_state(entity), state_of_before(entity)]
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            # What cannot be encoded (half a character, keys of different types) was never stored here.
            return False
        seals = [sealing(key, tenant_id)(states[0]) for key in self._keys]
        seals += [seal_of_before(state, key, tenant_id) for key in self._keys_of_before for state in states]
        return any(hmac.compare_digest(given, one) for one in seals)
