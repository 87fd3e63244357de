"""Running everything in one process tree: the databases (embedded, or at URLs), migrations, then the API.

One SIGINT or SIGTERM ends it all, in order: the API stops taking connections, wakes devices that wait and
lets requests finish; then the databases shut down. A second SIGINT does not wait for requests.
"""

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import FrameType

import msgspec
import structlog
import uvicorn
from msgspec.structs import replace

from rightfit_server.bootstrap import build_app, load_application
from rightfit_server.data_directory import DataDirectory, DataDirectoryError
from rightfit_server.feed.waiting import Waiting
from rightfit_server.postgres.migrate import APP_ROLE, migrate
from rightfit_server.settings import Settings, SettingsError

DRAIN_SECONDS = 20
"""How long running requests may take to finish after a signal."""

_NEW_CONTAINERS = 50_000
"""Lists and maps made and not freed, after which the collector looks at the young ones."""

_log = structlog.get_logger(__name__)


class Place(msgspec.Struct, frozen=True):
    """Where everything answers."""

    url: str
    database_owner_url: str


def run(settings: Settings, directory: DataDirectory, ready: Callable[[Place], None]) -> None:
    """Serve until a signal comes; `ready` is told where, once requests are answered.

    Raises `SettingsError`, `DataDirectoryError`, `EmbeddedError`, `MigrationError` where it cannot begin.
    """
    with _ending_on_signals() as serving, ExitStack() as stack:
        if directory.running() is not None:
            raise DataDirectoryError(f"`rightfit up` runs on {directory.path} already: stop it first")
        listener = stack.enter_context(closing(_bind(settings)))
        settings, programs = _with_databases(settings, directory, stack)
        application = load_application(settings.application)
        applied = migrate(settings.database_owner_url, schema=application.schema)
        _log.info("migrated", applied=applied)
        app = build_app(settings, application)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        place = Place(f"http://{shown}:{port}", settings.database_owner_url)

        def started() -> None:
            directory.note_running(place.url, place.database_owner_url, programs)
            ready(place)

        stack.callback(directory.forget_running)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=DRAIN_SECONDS, lifespan="on")
        server = _Server(config, app.state.services.waiting, started)
        serving()
        _settle_collector()
        server.run(sockets=[listener])


def _settle_collector() -> None:
    """Spare the garbage collector what stays for good, and let it look at whole pages rather than at each 700 objects.

    A push makes some ten thousand lists and maps, none of them in a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_CONTAINERS, *gc.get_threshold()[1:])


class _Server(uvicorn.Server):
    """Tells when it has started, and wakes whoever waits before it drains."""

    def __init__(self, config: uvicorn.Config, waiting: Waiting, report_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._waiting = waiting
        self._report_started = report_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._report_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._waiting.close()
        await super().shutdown(sockets)


def _with_databases(settings: Settings, directory: DataDirectory, stack: ExitStack) -> tuple[Settings, str]:
    """Return the settings with the URLs of what was started, and the folder of PostgreSQL's programs."""
    programs = ""
    if not settings.signing_keys:
        settings = replace(settings, signing_keys=directory.made_signing_keys())
    if not settings.database_url:
        if settings.database_owner_url:
            raise SettingsError(
                "RIGHTFIT_DATABASE_OWNER_URL is set and RIGHTFIT_DATABASE_URL is not: set both"
            )
        # Only who wants an embedded server needs its package.
        from rightfit_server.embedded.postgres import start_postgres  # noqa: PLC0415

        postgres = stack.enter_context(start_postgres(directory.postgres))
        programs = str(postgres.programs)
        app_url = postgres.url_for("rightfit", APP_ROLE)
        settings = replace(settings, database_url=app_url, database_owner_url=postgres.url)
    if not settings.database_owner_url:
        raise SettingsError("RIGHTFIT_DATABASE_OWNER_URL is empty: migrations need the owner's connection")
    if not settings.redis_url:
        from rightfit_server.embedded.valkey import start_valkey  # noqa: PLC0415 - as above.

        valkey = stack.enter_context(start_valkey(directory.valkey))
        settings = replace(settings, redis_url=valkey.url)
    return settings, programs


def _bind(settings: Settings) -> socket.socket:
    """Take the port before anything is started; connections are taken only once requests can be answered."""
    is_six = ":" in settings.host
    bound = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Without, an answer written in two parts waits 40 ms for an acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        message = f"{settings.host}:{settings.port} cannot be listened on ({error.strerror})"
        raise SettingsError(f"{message}: choose another --port, or 0 for a free one") from error
    return bound


@contextmanager
def _ending_on_signals() -> Iterator[Callable[[], None]]:
    """Let signals unwind what was started, until the server listens to them itself and so has had its say."""
    is_serving = False

    def serving() -> None:
        nonlocal is_serving
        is_serving = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if not is_serving:
            raise SystemExit(0)

    former = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield serving
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
