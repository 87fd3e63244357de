"""Which versions of the protocol are spoken here."""

from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PROTOCOL_VERSIONS_SPOKEN


def check_protocol(protocol_version: int) -> None:
    """Raise `RemoteError` `protocol_too_old` (400) for a version that is spoken no more."""
    oldest = min(PROTOCOL_VERSIONS_SPOKEN)
    if protocol_version < oldest:
        text = f"version {protocol_version} is spoken no more, the oldest is {oldest}: update the app"
        raise RemoteError("protocol_too_old", text, path="protocol_version")
