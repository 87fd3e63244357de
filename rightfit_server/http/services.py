"""What the routes work with: built once in `bootstrap`, found on the application's state."""

from typing import Any, TypeAlias

import msgspec
from litestar import Request

from rightfit_server.accounts.entering import Entering
from rightfit_server.accounts.presence import Presence
from rightfit_server.accounts.tokens import Tokens
from rightfit_server.feed.differences import Comparing
from rightfit_server.feed.lineage import Lineage
from rightfit_server.feed.pages import Feed
from rightfit_server.feed.waiting import Waiting
from rightfit_server.ingest.offers import Offers
from rightfit_server.ingest.service import Ingest
from rightfit_server.ports.application import Application
from rightfit_server.ports.storage import Storage
from rightfit_server.resolve.service import Resolve
from rightfit_server.settings import Settings

AnyRequest: TypeAlias = Request[Any, Any, Any]


class Services(msgspec.Struct, frozen=True):
    """Everything that answers requests."""

    settings: Settings
    application: Application
    storage: Storage
    tokens: Tokens
    entering: Entering
    ingest: Ingest
    offers: Offers
    lineage: Lineage
    feed: Feed
    comparing: Comparing
    waiting: Waiting
    resolve: Resolve
    presence: Presence


def services_of(request: AnyRequest) -> Services:
    """Return the services of the application that serves this request."""
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("the application was not built by rightfit_server.bootstrap")
    return services
