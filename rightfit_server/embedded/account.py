"""Whom a server runs as. PostgreSQL refuses root, which is what a container or a CI machine often is.

Under root it runs as the owner of its data, else as `postgres` or `nobody`. That account must be able to
reach the directory; programs it cannot reach are copied next to the data. No permission outside the directory
changes.
"""

import contextlib
import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from rightfit_server.embedded.errors import EmbeddedError


class Account(msgspec.Struct, frozen=True):
    """User, group and further groups, as `subprocess` takes them: None stands for our own."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """The account's name, for messages."""
        return pwd.getpwuid(os.geteuid() if self.user is None else self.user).pw_name


OURSELVES = Account()


def server_account(data: Path) -> Account:
    """Return whom to run PostgreSQL as, so that it can read `data` if that exists.

    Raises:
        EmbeddedError: We are root, and the system has neither of the accounts we know.
    """
    if os.geteuid() != 0:
        return OURSELVES
    if data.exists() and data.stat().st_uid != 0:
        return Account(user=data.stat().st_uid, group=data.stat().st_gid, extra_groups=())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(user=entry.pw_uid, group=entry.pw_gid, extra_groups=())
    raise EmbeddedError("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")


def reachable_programs(programs: Path, home: Path, account: Account, installation: Sequence[Path]) -> Path:
    """Return programs that the account can run: where they are, or a copy of their installation under `home`.

    Args:
        programs: The folder of the programs, inside one of `installation`.
        home: The directory that holds the server's data.
        account: Whom the server runs as.
        installation: Folders side by side that find each other by relative paths; copied together.

    Raises:
        EmbeddedError: The account cannot pass through to `home`.
    """
    if account == OURSELVES:
        return programs
    if not _reaches(account, home / "data"):
        raise EmbeddedError(
            f"PostgreSQL does not run as root but as {account.name}, which cannot reach {home}: choose "
            "a directory that others may pass through, such as /var/lib/rightfit, or do not run as root"
        )
    program = programs.resolve() / "postgres"
    if _reaches(account, program) and _grants(program, account, stat.S_IRUSR | stat.S_IXUSR):
        return programs
    copy = home / "programs"
    # Made anew each time (a fifth of a second), so that it is never half a copy, nor one of another version.
    shutil.rmtree(copy, ignore_errors=True)
    for folder in installation:
        _copy_open(folder, copy / folder.name)
    return copy / programs.relative_to(installation[0].parent)


def hand_over(folder: Path, account: Account) -> None:
    """Make a folder, where absent, that only the account and root can enter."""
    folder.mkdir(exist_ok=True)
    if account.user is not None and account.group is not None:
        os.chown(folder, account.user, account.group)
    folder.chmod(0o700)


def _reaches(account: Account, path: Path) -> bool:
    return all(_grants(parent, account, stat.S_IXUSR) for parent in path.parents)


def _grants(path: Path, account: Account, user_bits: int) -> bool:
    """Say whether the mode of a file or folder grants the account all of `user_bits` (S_IRUSR, S_IXUSR)."""
    found = path.stat()
    shift = 0 if found.st_uid == account.user else 3 if found.st_gid == account.group else 6
    return found.st_mode & (user_bits >> shift) == user_bits >> shift


def _copy_open(source: Path, target: Path) -> None:
    """Copy a tree so that every account can read it, and run what its owner can run."""
    shutil.copytree(source, target)
    for path in (target.parent, target, *target.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
