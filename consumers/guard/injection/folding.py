"""Disguised letters: digits and signs in the place of letters, and look-alikes from another script.

The folded text has as many characters as the text, so places in it are places in the text. Only detectors read it.
Source of the look-alikes: Unicode confusables (UTS #39), those of lower-case Latin letters.
"""

from __future__ import annotations

import re
from typing import Final

_LOOK_ALIKES: Final = str.maketrans(
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043a\u04cf\u043c\u043e\u0440\u0455\u0442\u0443\u0445\u044c\u0412\u0410\u0415\u041e"
    "\u03b1\u03f2\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b3\u03b7\u03c9\u0251\u0261\u03b2\u0578\u0581\u057d\u01c0",
    "acdehijklmopstyxbbaeoaceikvoptuxynwagbngul",
)
_SIGNS: Final = str.maketrans("0134578@$!|6+\u20ac", "oieastbasilgte")
"""The usual digits and signs for letters; ``1`` is an i in most words of attacks."""

_MIXED: Final = re.compile(r"[A-Za-z][\u0370-\u058f\u0251\u0261\u01c0]|[\u0370-\u058f\u0251\u0261\u01c0][A-Za-z]")
_SIGNED: Final = re.compile(r"(?<![\w@$!|+\u20ac])(?=\S*[A-Za-z])(?=\S*[0134578@$!|6+\u20ac])[\w@$!|+\u20ac]{3,24}")
_FEWEST: Final = 2
"""Words with signs in a text that make it disguised: single ones are names and versions."""


def folded(text: str) -> str | None:
    """Return the text with plain letters, or None if it has too few disguised ones. Takes linear time."""
    plain = text
    if not text.isascii() and _MIXED.search(text):
        plain = plain.translate(_LOOK_ALIKES)
    words = _SIGNED.findall(plain) if any(map(plain.__contains__, "0134@$!|+€")) else []
    if len(words) >= _FEWEST:
        plain = _SIGNED.sub(lambda word: word[0].translate(_SIGNS), plain)
    return None if plain is text else plain
