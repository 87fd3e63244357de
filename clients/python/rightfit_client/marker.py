"""The marker: a note outside of what backups of the file cover, by which an older copy of the file gives itself away.

File and marker hold one token, and both get a new one whenever the file is opened for writing. Where a file's token is
not in the marker (an older copy was put back), or there is no marker (the file was copied to another phone), the
replica goes on under a new device id before it does anything else: what is pending is said again, nothing is lost.
A copy made since the last opening is not found out here, but by the authority (`device_cloned`). Fault F05.

The file remembers its marker's name, a random one, so that it may be moved. What is given to a copy is a marker of its
own: the file that it was made from, if that is still about, keeps the former. A crash between two steps of a rotation
costs a needless new id at the worst:

| step | the marker holds | the file holds |
|---|---|---|
| before | former | former |
| 1 | former, fresh | former |
| 2 | former, fresh | fresh |
| 3 | fresh | fresh |
"""

import os
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec
from platformdirs import user_state_path

from rightfit_client.errors import OpenError

SETTING: Final = "RIGHTFIT_MARKERS"
NOWHERE: Final = "none"
"""What the setting says where no markers are wanted."""

_BYTES = 16


class Kept(msgspec.Struct, frozen=True):
    """What the file remembers: its marker's name, and the token."""

    name: str
    token: str


def default_directory() -> Path | None:
    """Return where markers are kept: what `RIGHTFIT_MARKERS` says, or the user's folder for state."""
    said = os.environ.get(SETTING)
    if said == NOWHERE:
        return None
    return Path(said) if said else user_state_path("rightfit", appauthor=False) / "markers"


def fresh(name: str = "") -> Kept:
    """Return a new token, for the marker `name` or for a new one."""
    return Kept(name or token_hex(_BYTES), token_hex(_BYTES))


def has(directory: Path, kept: Kept) -> bool:
    """Whether the marker of a file holds the file's token."""
    try:
        return kept.token in (directory / kept.name).read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(directory, error) from error


def write(directory: Path, name: str, tokens: Iterable[str]) -> None:
    """Let the marker `name` hold these tokens, durably and all at once."""
    place, draft = directory / name, directory / f"{name}.draft"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft.open("w", encoding="ascii") as stream:
            stream.write("\n".join(tokens))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(place)
        sync_directory(directory)
    except OSError as error:
        raise _unusable(directory, error) from error


def remove(directory: Path, name: str) -> None:
    """Remove the marker `name`; unknown ones are ignored."""
    try:
        (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(directory, error) from error


def sync_directory(directory: Path) -> None:
    """Make what was renamed in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(directory: Path, error: OSError) -> OpenError:
    message = f"the marker cannot be kept in {directory} ({error.strerror}): name another folder, marker= or {SETTING}"
    return OpenError("marker_unusable", message, "marker")
