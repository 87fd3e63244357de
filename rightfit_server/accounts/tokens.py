"""Device tokens: JWTs (HS256) that name tenant, subject and device, and nothing else.

`kid` chooses among the keys of the settings by exact name; the algorithm is fixed; audience and expiry
are required. Whether the device may still speak is asked of the database with every request, so that
signing out takes effect at once. Fault B10 of docs/explanation/faults.md.
"""

from collections.abc import Callable, Mapping
from time import time

import jwt
import msgspec

from rightfit_server.ports.storage import Identity
from rightfit_sync.causality.dot import is_authority
from rightfit_sync.errors import RemoteError

ALGORITHM = "HS256"
AUDIENCE = "rightfit-sync"
REMEMBERED_MAX = 10_000
"""Tokens remembered as ours per process; beyond it all are forgotten, which costs a look each."""

_CLAIMS = ("tenant", "sub", "device")


class Token(msgspec.Struct, frozen=True):
    """A token for one device; `expires_at` in seconds since 1970 UTC."""

    token: str
    device_id: str
    expires_at: int


class Tokens:
    """Mints and verifies.

    `keys` are the signing keys by name, the newest first; `clock` returns seconds since 1970.
    """

    def __init__(
        self, keys: Mapping[str, bytes], valid_seconds: int, clock: Callable[[], float] = time
    ) -> None:
        self._keys = keys
        self._newest = next(iter(keys))
        self._valid_seconds = valid_seconds
        self._clock = clock
        self._verified: dict[str, tuple[Identity, float]] = {}

    def mint(self, identity: Identity) -> Token:
        """Return a fresh token."""
        now = int(self._clock())
        expires_at = now + self._valid_seconds
        claims = {
            "aud": AUDIENCE,
            "iat": now,
            "exp": expires_at,
            "tenant": identity.tenant_id,
            "sub": identity.subject_id,
            "device": identity.device_id,
        }
        token = jwt.encode(claims, self._keys[self._newest], ALGORITHM, headers={"kid": self._newest})
        return Token(token, identity.device_id, expires_at)

    def verify(self, token: str) -> Identity:
        """Return who the token speaks for.

        Raises `RemoteError` (401) for any token that is not ours or is over. A token that was found to be ours stays
        so until it is over, and is not taken apart again.
        """
        identity, expires_at = self._verified.get(token, (None, 0.0))
        if identity is not None and self._clock() < expires_at:
            return identity
        identity, expires_at = self._read(token)
        if len(self._verified) >= REMEMBERED_MAX:
            self._verified.clear()
        self._verified[token] = (identity, expires_at)
        return identity

    def _read(self, token: str) -> tuple[Identity, float]:
        try:
            name = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(name) if isinstance(name, str) else None
            if key is None:
                raise jwt.InvalidTokenError("signed with an unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["exp", "aud", "iat", *_CLAIMS]},
            )
        except jwt.PyJWTError as error:
            raise unauthorized(f"the token is not valid: {error}") from error
        names = [claims[claim] for claim in _CLAIMS]
        if not all(isinstance(name, str) and name for name in names) or is_authority(claims["device"]):
            raise unauthorized("the token names no device")
        return Identity(*names), float(claims["exp"])


def unauthorized(message: str) -> RemoteError:
    """Return the error of a request that nobody answers for."""
    return RemoteError("unauthorized", f"{message}; sign in again", status=401)
