r"""What counts as a word, on every platform alike.

A word is a run of code points that are no white space ("3.50", "don't" and "a@b.org" are words, for half a
change of each is no text that anybody meant). Ideographs and kana, which are written without spaces, are
words one by one.

The ranges are written out because `str.isspace`, `\w` and their kin follow the interpreter's Unicode version.
"""

from __future__ import annotations

import re
from typing import Final

SPACE: Final = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
IDEOGRAPH: Final = r"\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_WORD_PART: Final = re.compile(f"[^{SPACE}{IDEOGRAPH}]")
_WORD_END: Final = re.compile(f"[{SPACE}{IDEOGRAPH}]")
_VISIBLE: Final = re.compile(f"[^{SPACE}]")


def joins(former: str, latter: str) -> bool:
    """Whether two code points next to each other stand in one word; the empty string joins nothing."""
    return _WORD_PART.match(former) is not None and _WORD_PART.match(latter) is not None


def holds_word(text: str, start: int, end: int) -> bool:
    """Whether anything but white space is in `text[start:end]`."""
    return _VISIBLE.search(text, start, end) is not None


def word_start(text: str, position: int) -> int:
    """Where the word begins whose last code point so far is `text[position - 1]`."""
    start = position - 1
    while start > 0 and joins(text[start - 1], text[start]):
        start -= 1
    return start


def word_end(text: str, position: int) -> int:
    """Where the word ends that goes on with `text[position]`."""
    if _WORD_PART.match(text, position) is None:
        return position + 1
    following = _WORD_END.search(text, position)
    return following.start() if following else len(text)
