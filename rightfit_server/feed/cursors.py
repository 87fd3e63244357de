"""Signing cursors: with a key of their own, drawn from the newest signing key; older keys still verify."""

import hmac
from collections.abc import Mapping

from rightfit_server.ports.storage import Identity
from rightfit_sync.errors import RemoteError
from rightfit_sync.wire.cursor import Cursor, sign, verify


class Cursors:
    """Signs and verifies. `keys` are the signing keys by name, the newest first."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        # A key of their own: what signs tokens signs nothing else.
        self._keys = [hmac.digest(key, b"rightfit cursor", "sha256") for key in keys.values()]

    def sign(self, cursor: Cursor) -> str:
        """Return the opaque form of `cursor`."""
        return sign(cursor, self._keys[0])

    def verify(self, opaque: str, identity: Identity) -> Cursor:
        """Return the content of `opaque`.

        Raises `RemoteError` `cursor_invalid` (400), `cursor_foreign` (403).
        """
        for key in self._keys[:-1]:
            try:
                return verify(opaque, key, tenant_id=identity.tenant_id, device_ids=[identity.device_id])
            except RemoteError as error:
                if error.code != "cursor_invalid":
                    raise
        return verify(opaque, self._keys[-1], tenant_id=identity.tenant_id, device_ids=[identity.device_id])
