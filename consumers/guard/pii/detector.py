"""The detector of personal data: all kinds in one value, without overlaps."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal, TypeAlias, get_args

from consumers.guard.finding import Finding
from consumers.guard.pii.addresses import addresses
from consumers.guard.pii.cards import cards
from consumers.guard.pii.emails import emails
from consumers.guard.pii.ibans import ibans
from consumers.guard.pii.live import live_from
from consumers.guard.pii.numbering import check_regions
from consumers.guard.pii.phones import REGIONS, phones
from consumers.guard.pii.ssns import ssns
from consumers.guard.pii.surroundings import with_ascii_digits
from schemas.models import Payload

PiiKind: TypeAlias = Literal["email", "iban", "payment_card", "us_ssn", "ip_address", "phone"]

KINDS: Final[tuple[PiiKind, ...]] = get_args(PiiKind)
"""All kinds. Where two findings overlap, the kind that comes first here remains."""

_START: Final = attrgetter("start")
_COLONS: Final = 7
_DIGIT: Final = re.compile(r"\d")
_JOINED: Final = re.compile(r"[\d:][ ().\-/]{0,3}\Z")
_JOINT: Final = 4
"""The most characters that ``_JOINED`` matches."""


class PiiRules(Payload):
    """The kinds of personal data to find, and the regions of national phone numbers."""

    kinds: tuple[PiiKind, ...] = KINDS
    """The kinds that are found. An empty list finds none."""

    phone_regions: tuple[str, ...] = REGIONS
    """ISO 3166 codes of the regions whose national phone numbers are found. International numbers always are."""


@dataclass(frozen=True, slots=True)
class PiiDetector:
    """Finds personal data in whole texts, and the partial matches at the end of growing ones."""

    kinds: frozenset[PiiKind] = frozenset(KINDS)
    regions: tuple[str, ...] = REGIONS

    @classmethod
    def of(cls, rules: PiiRules) -> PiiDetector:
        """Return the detector of the rules. Raise ValueError for a phone region that does not exist."""
        check_regions(rules.phone_regions)
        return cls(frozenset(rules.kinds), rules.phone_regions)

    def detect(self, text: str, /) -> Sequence[Finding]:
        """Return the findings in the text's order, without overlaps. Takes linear time."""
        plain = with_ascii_digits(text)
        found: list[Finding] = []
        for kind in _present(plain):
            if kind in self.kinds:
                found = _joined(found, phones(plain, self.regions) if kind == "phone" else _FIND[kind](plain))
        return found

    def live_from(self, text: str, /) -> int:
        """Return the start of the first match that more text may complete, extend or undo; the length if none."""
        if not self.kinds:
            return len(text)
        live = live_from(text)
        if _JOINED.search(text, max(0, live - _JOINT), live):  # a number that a partial match overlaps is not final
            live = min(live, live_from(text[:live]))
        return live


def _present(text: str) -> Iterator[PiiKind]:
    """Yield the kinds that the characters of *text* allow."""
    if "@" in text:
        yield "email"
    if _DIGIT.search(text):
        yield from KINDS[1:]
    elif "::" in text or text.count(":") >= _COLONS:
        yield "ip_address"


_FIND: Final[dict[PiiKind, Callable[[str], Iterator[Finding]]]] = {
    "email": emails,
    "iban": ibans,
    "payment_card": cards,
    "us_ssn": ssns,
    "ip_address": addresses,
}


def _joined(kept: list[Finding], more: Iterable[Finding]) -> list[Finding]:
    """Return both in the text's order, without those of *more* that overlap one of *kept*."""
    starts = [each.start for each in kept]
    new = [each for each in more if not _overlaps(kept, starts, each)]
    return sorted((*kept, *new), key=_START) if new else kept


def _overlaps(kept: list[Finding], starts: list[int], each: Finding) -> bool:
    before = bisect_left(starts, each.end)
    return before > 0 and kept[before - 1].end > each.start
