"""The normaliser: one spelling for every text, without invisible characters.

NFKC (UAX #15) folds full-width, mathematical and other compatibility letters, so that detectors and the model read the
same words. CPython before the fix of gh-149079 sorts a long run of marks in quadratic time. So at most 30 marks stay on
one letter. That is the bound of the Stream-Safe Text Format (UAX #15, section 13); no language needs as many.
"""

from __future__ import annotations

import asyncio
import unicodedata
from itertools import takewhile
from typing import Final, NamedTuple

from consumers.context import StepContext
from consumers.guard.characters import ASCII_CONTROLS, UNSEEN, visible
from consumers.guard.content import LARGE, Content
from consumers.guard.guards import GuardResult
from consumers.guard.hidden import Find, find

MARKS: Final = 30
"""Marks that one letter may bear."""

GROWTH: Final = 18
"""The most characters that NFKC makes of one: it spells U+FDFA out as four words."""

_LATE_MARKS: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""Characters that become marks only once they are decomposed."""


class Normalised(NamedTuple):
    """A text in its normal spelling, and the text that was hidden in it."""

    text: str
    hidden: str = ""
    finds: tuple[Find, ...] = ()
    """Positions of hidden text in the original text."""


class Normalise:
    """The guard that normalises. It flags hidden text and changed text order, but none of its other changes."""

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:  # noqa: ARG002 - the seam gives it
        """Return the content in its normal spelling."""
        large = len(content.text) > LARGE
        normal = await asyncio.to_thread(normalise, content.text) if large else normalise(content.text)
        if not normal.finds:
            return GuardResult(text=normal.text)

        return GuardResult(
            action="flag",
            score=1.0,
            evidence=tuple((found.start, found.end) for found in normal.finds),
            note=", ".join(sorted({found.kind for found in normal.finds})),
            text=normal.text,
            hidden=normal.hidden,
        )


def normalise(text: str) -> Normalised:
    """Return the text in NFKC without invisible characters. Linear, never raises; a normal text stays as it is."""
    if text.isascii():
        return Normalised(text.translate(ASCII_CONTROLS))
    if UNSEEN.isdisjoint(text):
        return Normalised(_nfkc(text))

    finds = tuple(find(text))
    hidden = "\n".join(filter(None, (found.read(text) for found in finds)))
    return Normalised(_clean(text), _clean(hidden), finds)


def _clean(text: str) -> str:
    # Characters that an invisible one separated are adjacent now, and may compose.
    return _nfkc(visible(_nfkc(text)))


def _nfkc(text: str) -> str:
    # A mark may decompose to two, so marks within the limit may exceed it afterwards.
    return _limit_marks(unicodedata.normalize("NFKC", _limit_marks(text)))


def _limit_marks(text: str) -> str:
    """Keep at most MARKS marks in a row. Probing every 31st character is enough to meet every longer run."""
    kept: list[str] = []
    start = seen = 0
    for probe in range(0, len(text), MARKS + 1):
        if probe < seen or not _is_mark(text[probe]):
            continue
        first, seen = _run_around(text, probe)
        if seen - first > MARKS:
            kept.append(text[start : first + MARKS])
            start = seen
    return "".join((*kept, text[start:]))


def _run_around(text: str, probe: int) -> tuple[int, int]:
    before = sum(1 for _ in takewhile(lambda at: _is_mark(text[at]), range(probe - 1, -1, -1)))
    after = sum(1 for _ in takewhile(lambda at: _is_mark(text[at]), range(probe, len(text))))
    return probe - before, probe + after


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) > 0 or char in _LATE_MARKS
