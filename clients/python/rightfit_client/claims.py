"""What a token says about its holder. The authority checks signatures; a device only reads.

A token is a JWT (RFC 7519) whose claims name one device: `tenant`, `sub` (the subject), `device`, `exp`.
"""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error

import msgspec

from rightfit_client.errors import LocalError


class Claims(msgspec.Struct, frozen=True):
    """`exp` is in seconds since 1970 UTC."""

    tenant: str
    sub: str
    device: str
    exp: int = 0

    @property
    def subject(self) -> str:
        """The subject with its tenant: two tenants may have a subject of one name."""
        return f"{self.tenant}/{self.sub}"


def read_claims(token: str) -> Claims:
    """Return the claims of `token`; raise `LocalError("invalid_token")` where there are none."""
    parts = token.split(".")
    content = parts[1] if len(parts) == 3 else ""
    try:
        return msgspec.json.decode(urlsafe_b64decode(content + "=" * (-len(content) % 4)), type=Claims)
    except (ValueError, Base64Error, msgspec.MsgspecError) as error:
        message = f"this is no device token ({error}): ask the server's operator for one"
        raise LocalError("invalid_token", message, "token") from error
