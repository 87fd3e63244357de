"""Python reads this before anything else where this folder is on its path: it lets the server be profiled from outside.

SIGUSR1 begins a profile of the processor's time; SIGUSR2 ends it and writes it to the file that
`RIGHTFIT_BENCH_PROFILE` names, first under another name, so that whoever waits for it finds it whole.
"""

import cProfile
import os
import signal
import sys
from pathlib import Path
from time import process_time
from types import FrameType

_TARGET = os.environ.get("RIGHTFIT_BENCH_PROFILE", "")
_running: list[cProfile.Profile] = []


def _begin(_number: int, _frame: FrameType | None) -> None:
    _running.append(cProfile.Profile(process_time))
    _running[0].enable()


def _end(_number: int, _frame: FrameType | None) -> None:
    profile = _running.pop()
    profile.disable()
    fresh = Path(_TARGET + ".fresh")
    profile.dump_stats(fresh)
    fresh.rename(_TARGET)


if _TARGET and "up" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, _begin)
    signal.signal(signal.SIGUSR2, _end)
