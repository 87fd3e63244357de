"""Tokens: a fresh one for the same device. Other ids of its replica need none: see `accounts.entering`."""

from litestar import Response, post

from rightfit_server.http.bodies import write
from rightfit_server.http.caller import answered, identify
from rightfit_server.http.services import AnyRequest, services_of


@post("/v1/token", status_code=200)
async def refresh_token(request: AnyRequest) -> Response[bytes]:
    """Mint a fresh token for the calling device."""
    services, identity = services_of(request), identify(request)

    async def look() -> None:
        async with services.storage.devices(identity.tenant_id) as transaction:
            await transaction.viewer(identity)

    await answered(services, identity, look)
    return write(request, services.tokens.mint(identity))
