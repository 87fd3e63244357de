"""What a replica does about syncing: one exchange at a time, how the last one ended, who wants to know."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rightfit_client.errors import RightFitError
from rightfit_sync.exchange import Progress


class Activity:
    """Shared by `sync()` and the background loop. `notice` is called after every change, without locks."""

    def __init__(self, notice: Callable[[], None]) -> None:
        self._notice = notice
        self.exclusive = threading.Lock()
        self.is_syncing = False
        self.problem: RightFitError | None = None
        self.progress: Progress | None = None
        self.authority_schema_version: int | None = None
        self.round = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Surround one sync, with `exclusive` held; an error of ours is remembered and passed on."""
        self.round += 1
        self.is_syncing = True
        self.progress = None
        self._notice()
        try:
            yield
        except RightFitError as problem:
            self.problem = problem
            raise
        else:
            self.problem = None
        finally:
            self.is_syncing = False
            self._notice()

    def report(self, progress: Progress) -> None:
        """Remember how far the sync has come."""
        self.progress = progress
        self._notice()

    def fail(self, problem: RightFitError) -> None:
        """Remember what went wrong outside of an attempt (a long poll that broke)."""
        self.problem = problem
        self._notice()

    def forget_problem(self) -> None:
        """The cause is gone (a new token, say)."""
        self.problem = None
        self._notice()
