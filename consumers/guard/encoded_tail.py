"""The encoded word at the end of a text that still grows."""

from __future__ import annotations

import re
import string
from typing import Final

WORD: Final = string.ascii_letters + string.digits + "+/_-"
"""The base64 alphabets of RFC 4648, sections 4 and 5."""

_PADDING: Final = "="
_LETTERS: Final = WORD + _PADDING + "%"
_RUNS: Final = re.compile("(?:%[0-9a-fA-F]{2})+(?:%[0-9a-fA-F]?$)?|%[0-9a-fA-F]?$")


def encoded_from(text: str) -> int:
    """Return the start of the base64 word or percent-encoded run that may go on after *text*; its length if none."""
    bare = text.rstrip(_PADDING)
    word = len(bare.rstrip(WORD))
    start = word if word < len(bare) else len(text)
    if "%" not in text[max(0, start - 1) :]:
        return start
    runs = _RUNS.finditer(text, len(text.rstrip(_LETTERS)))
    return min((run.start() for run in runs if run.end() >= start), default=start)


def word_start(text: str, at: int) -> int:
    """Return the start of the run of base64 letters that *at* is in."""
    return len(text[:at].rstrip(WORD))
