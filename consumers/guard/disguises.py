"""Disguised ASCII: compatibility letters such as full-width ones, and invisible characters, alone or within words.

A request is normalised before its detectors read it, and has none of these. An answer or a tool's arguments may have
them, and are not changed where nothing is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from consumers.guard.character_sets import UNSEEN

_TAGS: Final = 0xE0000
"""Offset of the invisible tag characters from ASCII (block Tags)."""

_SHOWN: Final = range(0x20, 0x7F)
"""ASCII without its control characters."""

_BLOCKS: Final = (
    (0x0080, 0x0400),
    (0x1D00, 0x3400),
    (0xA700, 0xA800),
    (0xFB00, 0x10000),
    (0x10700, 0x10800),
    (0x1D400, 0x1D800),
    (0x1F100, 0x1F200),
    (0x1FB00, 0x1FC00),
)
"""Ranges that hold every character which NFKC folds to ASCII (tested)."""

_CONTROL: Final = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")


def disguised(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield disguised characters with their ASCII, and invisible runs between ASCII with an empty text.

    Only the characters directly beside matter, so a view of a growing text grows with it. Takes linear time.
    """
    if text.isascii() and not _CONTROL.search(text):  # the usual case, in a few microseconds
        return
    letters, pattern = letters_of_ascii(), _pattern()
    for found in pattern.finditer(text):
        yield *found.span(), letters.get(found[0], "")


@cache
def letters_of_ascii() -> dict[str, str]:
    """Return the ASCII of each character that NFKC (UAX #15) folds to it without a longer UTF-8."""
    tags = {chr(_TAGS + code): chr(code) for code in _SHOWN}
    characters = (chr(code) for first, end in _BLOCKS for code in range(first, end))
    return tags | {char: plain for char in characters if (plain := ascii_of(char))}


def ascii_of(char: str) -> str:
    """Return the ASCII to which NFKC folds *char*; an empty text if there is none, or if its UTF-8 is longer."""
    plain = unicodedata.normalize("NFKC", char)
    is_shown = all(ord(each) in _SHOWN for each in plain)
    return plain if is_shown and len(plain) <= len(char.encode("utf-8", "surrogatepass")) else ""


@cache
def _pattern() -> re.Pattern[str]:
    letters = _class(letters_of_ascii())
    unseen = _class(UNSEEN - letters_of_ascii().keys())
    return re.compile(f"[{letters}]|(?<=[ -~{letters}])[{unseen}]++(?=[ -~{letters}]|\\Z)")


def _class(characters: Iterable[str]) -> str:
    """Return the members of a character class, with runs as ranges."""
    codes = set(map(ord, characters))
    firsts = sorted(code for code in codes if code - 1 not in codes)
    lasts = sorted(code for code in codes if code + 1 not in codes)
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True))
