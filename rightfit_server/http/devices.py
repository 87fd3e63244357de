"""Tokens: a fresh one for the same device, or one for a new device id of the same replica.

A replica asks for a new id when its present one turns out to be used twice (a restored backup, a cloned
disk). The server notes which id it had before, so that both count as one replica.
"""

from uuid import uuid4

from litestar import Response, post

from rightfit_server.http.bodies import write
from rightfit_server.http.caller import identify
from rightfit_server.http.services import AnyRequest, services_of
from rightfit_server.ports.storage import Identity


@post("/v1/devices", status_code=201)
async def new_device(request: AnyRequest) -> Response[bytes]:
    """Enter a new device id that succeeds the caller's, and mint its token."""
    services, identity = services_of(request), identify(request)
    successor = Identity(identity.tenant_id, identity.subject_id, str(uuid4()))
    async with services.storage.devices(identity.tenant_id) as transaction:
        await transaction.viewer(identity)
        await transaction.succeed(identity, successor.device_id)
    return write(request, services.tokens.mint(successor), status=201)


@post("/v1/token", status_code=200)
async def refresh_token(request: AnyRequest) -> Response[bytes]:
    """Mint a fresh token for the calling device."""
    services, identity = services_of(request), identify(request)
    async with services.storage.devices(identity.tenant_id) as transaction:
        await transaction.viewer(identity)
    return write(request, services.tokens.mint(identity))
