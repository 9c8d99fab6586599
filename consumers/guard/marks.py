"""Combining marks, and their limit on one letter.

CPython before the fix of gh-149079 sorts a long run of marks in quadratic time. So at most 30 marks stay on one letter.
That is the bound of the Stream-Safe Text Format (UAX #15, section 13); no language needs as many.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final

MARKS: Final = 30
"""Marks that one letter may bear."""

_BLOCKS: Final = (
    (0x0300, 0x3100),
    (0xA000, 0xAC00),
    (0xFB00, 0xFE30),
    (0x10000, 0x12000),
    (0x16000, 0x17000),
    (0x1BC00, 0x1BD00),
    (0x1CF00, 0x1F000),
)
"""Ranges that hold every character with a combining class (tested)."""

_LATE: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""Characters that become marks only once they are decomposed."""

_TOO_MANY: Final = b"\1" * (MARKS + 1)


@cache
def combining_marks() -> frozenset[str]:
    """Return every character with a combining class."""
    characters = (chr(code) for first, end in _BLOCKS for code in range(first, end))
    return frozenset(char for char in characters if unicodedata.combining(char))


@cache
def _limited() -> frozenset[str]:
    return combining_marks() | _LATE


def limit_marks(text: str) -> str:
    """Keep at most MARKS marks in a row. Probing every 31st character is enough to meet every longer run."""
    marks = _limited()
    if marks.isdisjoint(text[:: MARKS + 1]):
        return text
    return "".join(_kept(text, bytes(map(marks.__contains__, text))))


def _kept(text: str, are_marks: bytes) -> Iterator[str]:
    start = 0
    while (first := are_marks.find(_TOO_MANY, start)) >= 0:
        yield text[start : first + MARKS]
        start = are_marks.find(b"\0", first)
        if start < 0:
            return
    yield text[start:]
