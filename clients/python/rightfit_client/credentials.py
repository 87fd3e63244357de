"""The token: where it comes from, whom it may speak for, and how it is renewed.

A replica belongs to one subject, and its outbox is never sent under another's token: `check` sees the claims
of every token before it is used. After a 401 the application's callback is asked once for a better one.
"""

import threading
from collections.abc import Callable
from typing import TypeAlias

from rightfit_client.claims import Claims, read_claims
from rightfit_client.errors import NeedsLogin
from rightfit_sync.wire.messages import Problem

TokenSource: TypeAlias = str | Callable[[], str | None] | None
"""A token, a callback that returns a fresh one (None: the user must log in), or nothing (offline work)."""


class Credentials:
    """May be shared by threads; `check` raises where a token is not for this replica."""

    def __init__(self, source: TokenSource, check: Callable[[Claims], None]) -> None:
        self._callback = source if callable(source) else None
        self._check = check
        self._lock = threading.Lock()
        self._token: str | None = None
        if isinstance(source, str):
            self.put(source)

    def put(self, token: str) -> None:
        """Use `token` from now on (after a login)."""
        self._check(read_claims(token))
        self._token = token

    @property
    def held(self) -> str | None:
        """The token in use, if there is one."""
        return self._token

    def current(self) -> str:
        """Return the token to send; raise `NeedsLogin` where there is none."""
        with self._lock:
            if self._token is None and not self._ask():
                raise needs_login("there is no token")
            return self._token or ""

    def renew(self, refused: str) -> str:
        """Return another token than the one that was `refused`; raise `NeedsLogin` where there is none."""
        with self._lock:
            if self._token != refused and self._token is not None:
                return self._token
            if not self._ask() or self._token == refused:
                raise needs_login("the token was refused, and there is no other")
            return self._token or ""

    def _ask(self) -> bool:
        token = None if self._callback is None else self._callback()
        if token is None:
            return False
        self.put(token)
        return True


def needs_login(message: str) -> NeedsLogin:
    """Return the error that says so; edits go on meanwhile."""
    remedy = "log in again as the same subject; edits are kept meanwhile"
    return NeedsLogin(
        Problem(
            type="about:blank", title="Log in", status=401, code="needs_login", detail=f"{message}: {remedy}"
        )
    )
