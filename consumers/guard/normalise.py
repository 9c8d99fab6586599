"""The normaliser: one spelling for every text, without what nobody sees.

NFKC (UAX #15) folds full-width, mathematical and other compatibility letters, so that detectors and the model read the
same words. CPython before the fix of gh-149079 puts a long run of marks in order in quadratic time; so at most 30 marks
stay on one letter. That is the bound of the Stream-Safe Text Format (UAX #15, section 13); no language needs as many.
"""

from __future__ import annotations

import asyncio
import unicodedata
from itertools import takewhile
from typing import Final, NamedTuple

from consumers.context import Context
from consumers.guard.characters import ASCII_CONTROLS, UNSEEN, visible
from consumers.guard.content import LARGE, Content
from consumers.guard.guards import Judgement
from consumers.guard.hidden import Find, find

MARKS: Final = 30
"""Marks that one letter may bear."""

GROWTH: Final = 18
"""No character becomes more than so many: NFKC spells U+FDFA out as four words."""

_LATE_MARKS: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""They are marks only once they are decomposed."""


class Normalised(NamedTuple):
    """A text as everybody may read it, and what hid in it."""

    text: str
    hidden: str = ""
    finds: tuple[Find, ...] = ()
    """Where, in the text as it came."""


class Normalise:
    """The guard. What hides text or turns its order is flagged; all else that it changes is nobody's fault."""

    async def __call__(self, content: Content, context: Context) -> Judgement:  # noqa: ARG002 - the seam gives it
        """The content in one spelling."""
        large = len(content.text) > LARGE
        normal = await asyncio.to_thread(normalise, content.text) if large else normalise(content.text)
        if not normal.finds:
            return Judgement(text=normal.text)

        return Judgement(
            action="flag",
            score=1.0,
            evidence=tuple((found.start, found.end) for found in normal.finds),
            note=", ".join(sorted({found.kind for found in normal.finds})),
            text=normal.text,
            hidden=normal.hidden,
        )


def normalise(text: str) -> Normalised:
    """The text in NFKC without what nobody sees. Linear, never raises; a normal text stays as it is."""
    if text.isascii():
        return Normalised(text.translate(ASCII_CONTROLS))
    if UNSEEN.isdisjoint(text):
        return Normalised(_nfkc(text))

    finds = tuple(find(text))
    hidden = "\n".join(filter(None, (found.read(text) for found in finds)))
    return Normalised(_clean(text), _clean(hidden), finds)


def _clean(text: str) -> str:
    # What was kept apart by something invisible meets now, and may compose.
    return _nfkc(visible(_nfkc(text)))


def _nfkc(text: str) -> str:
    # A mark may decompose to two: what was few enough before need not be so after.
    return _limit_marks(unicodedata.normalize("NFKC", _limit_marks(text)))


def _limit_marks(text: str) -> str:
    """At most MARKS marks in a row. Only every 31st character is looked at: no longer run slips between."""
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
