"""The API as a process.

`uvicorn rightfit_server.entrypoints.asgi:app`, with all settings from the environment.

`app` is built on first use of the name, so that importing this module asks for nothing.
"""

from litestar import Litestar

from rightfit_server.bootstrap import build_app
from rightfit_server.settings import read_settings


def create_app() -> Litestar:
    """Return the application that the environment describes; for `uvicorn --factory`, too."""
    return build_app(read_settings())


def __getattr__(name: str) -> object:
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
