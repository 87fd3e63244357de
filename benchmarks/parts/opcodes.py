"""Counting the instructions that Python executes: the same number each time, on every machine, under any load.

What C code does inside of one instruction (SQLite, msgspec) is not counted.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def opcodes(step: Callable[[], object]) -> int:
    """Return how many bytecode instructions `step` executes, in all that it calls."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401 - what sys.settrace asks for.
        nonlocal count
        if event == "opcode":
            count += 1
        else:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        step()
    finally:
        sys.settrace(before)
    return count
