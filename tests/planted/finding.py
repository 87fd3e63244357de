"""What a hunt came to: plain data, so that it travels from the process that hunted to the one that prints."""

from typing import NamedTuple


class Finding(NamedTuple):
    """A planted bug, the seed that found it, after how many seconds, and the first sentence of what was wrong."""

    bug: str
    seed: int
    seconds: float
    sentence: str
