"""Templates: sentences with slots, filled at random from word lists, deterministic from a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

Words = Mapping[str, Sequence[str]]

_SLOT: Final = re.compile(r"\$([a-z]\w*)")
_DEPTH: Final = 6


def fill(template: str, words: Words, chance: random.Random) -> str:
    """Return the template with each ``$slot`` replaced by one of its words, which may have slots themselves."""
    for _ in range(_DEPTH):
        filled = _SLOT.sub(lambda slot: chance.choice(words[slot[1]]) if slot[1] in words else slot[0], template)
        if filled == template:
            break
        template = filled
    return template


def varied(text: str, chance: random.Random) -> str:
    """Return the text with another case or ending, as people write it."""
    draw = chance.random()
    if draw < 0.12:
        return text.lower()
    if draw < 0.18:
        return text.upper()
    if draw < 0.30:
        return text.rstrip(".!?")
    if draw < 0.34:
        return text.rstrip(".!?") + "!!!"
    return text
