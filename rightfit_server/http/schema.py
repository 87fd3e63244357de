"""The schema as JSON, for clients that bring none of their own, with an ETag."""

from hashlib import blake2b

import msgspec
from litestar import Response, get

from rightfit_server.http.caller import identify
from rightfit_server.http.services import AnyRequest, services_of
from rightfit_sync.wire.codec import JSON


@get("/v1/schema")
async def schema(request: AnyRequest) -> Response[bytes]:
    """Return the schema, or 304 where the caller has this one."""
    services, identity = services_of(request), identify(request)
    async with services.storage.records(identity.tenant_id) as transaction:
        await transaction.viewer(identity)
    body = msgspec.json.encode(services.application.schema, order="sorted")
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(b"", status_code=304, headers=headers, media_type=JSON)
    return Response(body, media_type=JSON, headers=headers)
