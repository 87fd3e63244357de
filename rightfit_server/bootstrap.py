"""Putting the server together: the only place that builds adapters.

`build_app(settings)` returns the ASGI application. Nothing connects before it starts up; while the
database is out of reach it starts anyway, and answers 503 until it is back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

import structlog
from litestar import Litestar
from litestar.datastructures import State

from rightfit_server.accounts.entering import Entering
from rightfit_server.accounts.presence import Presence
from rightfit_server.accounts.tokens import Tokens
from rightfit_server.feed.cursors import Cursors, Seals
from rightfit_server.feed.differences import Comparing
from rightfit_server.feed.lineage import Lineage
from rightfit_server.feed.pages import Feed, RowMaker
from rightfit_server.feed.waiting import Waiting
from rightfit_server.http.access_log import access_log
from rightfit_server.http.problems import HANDLERS
from rightfit_server.http.routes import HANDLED
from rightfit_server.http.services import Services
from rightfit_server.ingest.offers import Offers
from rightfit_server.ingest.service import Ingest
from rightfit_server.ports.application import Application
from rightfit_server.ports.storage import Storage, UnavailableError
from rightfit_server.postgres.pool import make_pool
from rightfit_server.postgres.transaction import PostgresStorage
from rightfit_server.resolve.service import Resolve
from rightfit_server.settings import Settings, SettingsError, signing_keys
from rightfit_server.telemetry import configure_logging

_log = structlog.get_logger(__name__)


def load_application(name: str) -> Application:
    """Return the application named `package.module:NAME`; raises `SettingsError`."""
    module_name, colon, attribute = name.partition(":")
    try:
        found = getattr(import_module(module_name), attribute) if colon else None
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"the application {name!r} cannot be loaded: {error}") from error
    if found is None:
        raise SettingsError(f"the application {name!r} is no `package.module:NAME`")
    application: Application = found
    return application


def build_services(
    settings: Settings, application: Application | None = None, storage: Storage | None = None
) -> Services:
    """Return everything that answers requests; `storage` is PostgreSQL unless it is given."""
    if storage is None and not settings.database_url:
        raise SettingsError("RIGHTFIT_DATABASE_URL is empty: say where PostgreSQL is")
    chosen = application or load_application(settings.application)
    store = storage or PostgresStorage(make_pool(settings))
    keys = signing_keys(settings.signing_keys)
    ingest = Ingest(store, chosen)
    cursors, seals = Cursors(keys), Seals(keys)
    lineage, rows = Lineage(store, cursors), RowMaker(seals)
    return Services(
        settings=settings,
        application=chosen,
        storage=store,
        tokens=Tokens(keys, settings.token_seconds),
        entering=Entering(store),
        ingest=ingest,
        offers=Offers(store, chosen, seals),
        lineage=lineage,
        feed=Feed(store, lineage, cursors, rows),
        comparing=Comparing(store, lineage, cursors, rows),
        waiting=Waiting(settings.poll_seconds),
        resolve=Resolve(store, ingest, chosen.schema),
        presence=Presence(store),
    )


def build_app(
    settings: Settings, application: Application | None = None, storage: Storage | None = None
) -> Litestar:
    """Return the ASGI application; `app.state.services` holds its parts."""
    configure_logging(settings.log_level)
    services = build_services(settings, application, storage)

    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncIterator[None]:
        try:
            try:
                await services.storage.open()
            except UnavailableError as error:
                _log.warning("database_out_of_reach", reason=str(error)[:200])
            yield
        finally:
            services.waiting.close()
            await services.storage.close()

    return Litestar(
        route_handlers=HANDLED,
        exception_handlers=HANDLERS,
        lifespan=[running],
        middleware=[access_log],
        openapi_config=None,
        logging_config=None,
        # `http.bodies` counts, with answers of its own.
        request_max_body_size=None,
        state=State({"services": services}),
    )
