"""The guard for instructions in a stream: it holds back a run that repeats them until its length is decided."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.leak_places import GRAM, character_places, folded, fragments, in_hexadecimal, runs

_HEX: Final = "0123456789abcdefABCDEF"
_BETWEEN: Final = "\t\n\r :,-"
_PAIRS: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,-]?)*[0-9a-fA-F]?\Z")


@dataclass(frozen=True, slots=True)
class LiveLeak:
    """The detector of runs that repeat the instructions."""

    instructions: str
    shortest: int

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the runs of at least *shortest* letters and digits."""
        return runs(text, fragments(self.instructions), self.shortest)

    def live_from(self, text: str, /) -> int:
        """Return the start of the run, or of the part of a fragment, with which the text ends."""
        told, known, grams = folded(text), _readings(self.instructions), fragments(self.instructions)
        first = len(told)
        while first and len(told) - first < GRAM - 1 and told[first - 1 :] in known:
            first -= 1
        while first and told[first - 1 : first - 1 + GRAM] in grams:
            first -= 1
        return character_places(text)[first] if first < len(told) else len(text)


@dataclass(frozen=True, slots=True)
class LiveHexadecimal:
    """The detector of the instructions in hexadecimal digits."""

    instructions: str
    shortest: int

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the rows of digits that spell them."""
        return in_hexadecimal(text, fragments(self.instructions), self.shortest)

    def live_from(self, text: str, /) -> int:
        """Return the start of the row of pairs of digits with which the text ends."""
        first = len(text.rstrip(_HEX + _BETWEEN))
        row = _PAIRS.search(text, first)
        return row.start() if row else len(text)


@lru_cache(maxsize=32)
def _readings(instructions: str) -> str:
    told = folded(instructions)
    return " ".join((told, told[::-1], codecs.encode(told, "rot13")))
