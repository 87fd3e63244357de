"""Ctrl-C and SIGTERM for a command that stays until it is told to end.

The first one tells whoever waits; it interrupts nothing, so that no thread is left behind half started. A second one
ends the process at once, whatever it waits for. Both are heard even where whoever started this program ignored them,
as a shell does for what its script runs in the background: the command could not be ended otherwise.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

_LOOK_UP_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """What a command waits for; `listening` makes it."""

    def __init__(self) -> None:
        # A signal's handler may interrupt its own thread anywhere: of the queues, only this one can take that.
        self._told: SimpleQueue[OSError | None] = SimpleQueue()

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal; the next one is the system's to deal with."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._told.put(None)

    def fail(self, error: OSError) -> None:
        """Let `wait` raise this (nobody reads what the command writes, say). From any thread."""
        self._told.put(error)

    def wait(self) -> None:
        """Return when the command is told to end."""
        while True:
            try:
                error = self._told.get(timeout=_LOOK_UP_SECONDS)
            except Empty:
                # A signal that comes just before a wait begins is only looked at when the wait ends.
                continue
            if error is not None:
                raise error
            return


@contextmanager
def listening() -> Iterator[Ending]:
    """Hear signals from here on; begin it before anything that has to be stopped. In the main thread alone."""
    ending = Ending()
    former = {number: signal.signal(number, ending.hear) for number in _SIGNALS}
    try:
        yield ending
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
