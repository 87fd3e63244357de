"""Health: `live` says that the process answers, `ready` that the database does.

For load balancers; open to all.
"""

import msgspec
from litestar import Response, get

from rightfit_server.http.bodies import write
from rightfit_server.http.services import AnyRequest, services_of


class Health(msgspec.Struct, frozen=True):
    """One word about how things are."""

    status: str


@get("/health/live")
async def live(request: AnyRequest) -> Response[bytes]:
    """Answer: the process is alive."""
    return write(request, Health("live"))


@get("/health/ready")
async def ready(request: AnyRequest) -> Response[bytes]:
    """Answer whether requests can be served; 503 with `Retry-After` while the database is out of reach."""
    await services_of(request).storage.ping()
    return write(request, Health("ready"))
