"""Who asks: the bearer token, and nothing else.

Tenant, subject and device come from it alone (fault T02).
"""

from rightfit_server.accounts.tokens import unauthorized
from rightfit_server.http.services import AnyRequest, services_of
from rightfit_server.ports.storage import Identity


def identify(request: AnyRequest) -> Identity:
    """Return who asks; raises `RemoteError` (401)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("the request carries no bearer token")
    return services_of(request).tokens.verify(token.strip())
