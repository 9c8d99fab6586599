"""A stage of a stream guard that normalises: the released parts together are the normal form of the whole text.

A text may be cut where the next character starts a new composition after any other (UAX #15, section 9.1), and
where no rule of ``characters.py`` looks across. Characters after the last such place are held back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from consumers.guard.character_sets import PICTURES, REPLACEMENT, UNSEEN
from consumers.guard.normal_form import Normalised, normalise

_HIGH: Final = ("\ud800", "\udbff")
_LOW: Final = ("\udc00", "\udfff")

_COMPOSING: Final = ((0x1160, 0x1200), (0xD7B0, 0xD800), (0x16D40, 0x16D80))
"""Ranges of letters that compose with the letter before: Hangul vowels and finals, and Kirat Rai vowels."""


CLOSED: Final = frozenset(" \t\n\r.,;:!?()[]{}'\"`/|-_")
"""Characters that no following character changes: none composes with them, and none of them is in a keycap."""


@lru_cache(maxsize=4_096)
def starts_anew(char: str) -> bool:
    """Return True if every text may be cut before *char*."""
    if char in UNSEEN or char in PICTURES:
        return False
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.category(first)[0] != "M" and not any(a <= ord(first) < b for a, b in _COMPOSING)


@dataclass(slots=True)
class StreamNormaliser:
    """Normalises. ``hidden`` is called with each text that was hidden in invisible characters."""

    hidden: Callable[[Normalised], None] | None = None
    _text: str = field(default="", init=False)

    @property
    def held(self) -> str:
        """The text that is held back."""
        return self._text

    def feed(self, delta: str, /) -> str:
        """Return the normal form of the text before the last place at which it may be cut."""
        if not delta:
            return ""
        cut = len(delta) if delta[-1] in CLOSED else _last_cut(delta)
        if not cut and not starts_anew(delta[0]):
            self._text += delta
            return ""
        ready, self._text = self._text + delta[:cut], delta[cut:]
        return self._normal(ready)

    def finish(self) -> str:
        """Return the normal form of the rest."""
        ready, self._text = self._text, ""
        return self._normal(ready)

    def _normal(self, text: str) -> str:
        normal = normalise(text)
        if normal.finds and self.hidden is not None:
            self.hidden(normal)
        return normal.text


def _last_cut(text: str) -> int:
    """Return the last offset at which the text may be cut; 0 if there is none after its start."""
    return next((at for at in range(len(text) - 1, 0, -1) if starts_anew(text[at])), 0)


@dataclass(slots=True)
class SurrogatePairs:
    """Joins the halves of a surrogate pair that two deltas bring, as JSON escapes may. A lone half is replaced."""

    _half: str = field(default="", init=False)

    @property
    def held(self) -> str:
        """The first half of a pair."""
        return self._half

    def feed(self, delta: str, /) -> str:
        """Return the text without halves."""
        text, self._half = self._half + delta, ""
        if text.isascii():
            return text
        if _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_halves(text) else text

    def finish(self) -> str:
        """Return the replacement of a half without its pair."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""


def _has_halves(text: str) -> bool:
    return any(_HIGH[0] <= char <= _LOW[1] for char in text)
