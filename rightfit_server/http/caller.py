"""Who asks: the bearer token, and nothing else.

Tenant, subject and device come from it alone (fault T02); a replica may say under which of its own ids it writes.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec.structs import replace

from rightfit_server.accounts.tokens import unauthorized
from rightfit_server.feed.lineage import PastLostError
from rightfit_server.http.services import AnyRequest, Services, services_of
from rightfit_server.ingest.shape import NAME_LENGTH_MAX, is_storable_name
from rightfit_server.ports.storage import Identity, UnknownDeviceError
from rightfit_sync.errors import RemoteError

_T = TypeVar("_T")


def identify(request: AnyRequest) -> Identity:
    """Return who asks; raises `RemoteError` (401)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("the request carries no bearer token")
    return services_of(request).tokens.verify(token.strip())


def writing_as(identity: Identity, device_id: str) -> Identity:
    """Return `identity` under the id `device_id` (empty: the token's own); storage says whether it may.

    Raises `RemoteError` (400) for an id that none can have.
    """
    if device_id and not is_storable_name(device_id):
        message = f"this is no device id: use 1 to {NAME_LENGTH_MAX} characters"
        raise RemoteError("invalid_message", message, path="device_id")
    return replace(identity, device_id=device_id or identity.device_id, token_id=identity.token_device_id)


async def answered(services: Services, identity: Identity, answer: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `answer` returns for `identity`.

    Where the id is not known yet, it is entered, and `answer` is asked again. Where it turns out that a backup was put
    back and nobody said so, a new epoch begins before the device is told.
    """
    try:
        try:
            return await answer()
        except UnknownDeviceError:
            await services.entering.enter(identity)
        return await answer()
    except PastLostError as lost:
        await services.lineage.mend(identity, lost)
        raise
