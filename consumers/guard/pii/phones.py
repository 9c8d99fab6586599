"""Phone numbers: international, national with their trunk prefix, North American, and any after a word for phones.

Candidates come from runs of at least seven digits, so that text without such a run costs one search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.pii import numbering
from consumers.guard.pii.phone_words import announcement, is_named_after
from consumers.guard.pii.surroundings import names_identifier
from consumers.guard.views import Span

_REGION_CODES: Final = """
US CA GB IE DE AT CH FR BE NL LU ES PT IT SE NO DK FI PL CZ SK HU RO BG GR HR UA RU TR IL ZA AU NZ IN JP KR CN
BR MX
"""
REGIONS: Final = tuple(_REGION_CODES.split())
"""The regions of which national numbers are known by default."""

_S: Final = r"[ ().\-/\u2010-\u2015]"
_RUN: Final = re.compile(rf"(?<![\w$€£¥#])(?<!\d[.:,])(?<!\w[\-/])[+(]{{0,2}}\d(?:{_S}{{0,3}}\d){{6,}}")
_GAP: Final = re.compile(r" {2,}| [\-/\u2010-\u2015]+ ?|[\-/\u2010-\u2015]+ |\. |\) ?\((?!0\))")
_GROUP: Final = re.compile(r"\d+")
_MOST: Final = 17
"""Digits of the longest number (ITU-T E.164: 15) with its prefix."""

_NATIONAL: Final = 13
_FEWEST: Final = 7
_NEAR: Final = 9
_USUAL: Final = (10, 11)
"""Digits of most national numbers with their trunk prefix. Identifiers have any number of them."""

_COUNTING: Final = "01234567890"
_DECIMAL: Final = re.compile(r"\d+\.\d+")
_YEAR: Final = re.compile(r"\((?:19|20)\d\d\b")
_MIXED: Final = frozenset(" (-/")
_QUAD: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_ONE_DIGIT: Final = re.compile(r"[ .\-/]\d(?![\d)])")
_UNIT: Final = r"\s?(?:USD|EUR|GBP|ms|px|bytes|KB|MB|GB|Hz|kHz|MHz)\b|\s?[%°€$£]"
_EXTENSION: Final = re.compile(r"\s?(?:x|ext\.?|extension|#)\s?\d{1,6}(?!\w)", re.IGNORECASE)
_AFTER: Final = re.compile(rf"\w|[.,/]\d|[-_:]\w|{_UNIT}")
_DATE: Final = re.compile(
    r"(?:(?:19|20)\d\d([-./ ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([-./ ])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d)(?!\d)"
)
_INTERNATIONAL: Final = re.compile(r"(\(?\+)[ ]?|\(?(?:00(?=[1-9])|011[ -])")
_TRUNK: Final = re.compile(r"\(?(?:0\d{1,9}|0[ \-]?\(?\d\d)")
_NORTH_AMERICA: Final = re.compile(
    r"(?<!\d)(?<!\d[.\-/])(?:(?:00)?1[ .\-]{0,2})?(?:\(\d{3}\)[ .\-]{0,2}|[2-9]\d\d(?P<separator>[ .\-/]))"
    r"\d{3}[ .\-]\d{4}(?!\d)"
)


def phones(text: str, regions: tuple[str, ...] = REGIONS) -> Iterator[Finding]:
    """Yield the phone numbers of *text*, in order and without overlaps."""
    done = 0
    for run in _RUN.finditer(text):
        for start, end in _in_run(text, max(done, run.start()), run.end(), regions):
            done = _extended(text, end)
            yield Finding("phone", start, done)


def _in_run(text: str, start: int, stop: int, regions: tuple[str, ...]) -> Iterator[Span]:
    pieces = list(_pieces(text, start, stop))
    if len(pieces) > 1 and _longest(text, start, stop, regions) == stop:
        yield start, stop
        return
    for first, end in pieces:
        if end - first >= _FEWEST:
            yield from _in_piece(text, first, end, regions)


def _pieces(text: str, start: int, stop: int) -> Iterator[Span]:
    """Yield the parts of a run between gaps that are wider than a separator."""
    for gap in _GAP.finditer(text, start, stop):
        yield start, gap.start() + gap[0].startswith(")")
        start = gap.end() - gap[0].endswith("(")
    yield start, stop


def _in_piece(text: str, start: int, stop: int, regions: tuple[str, ...]) -> Iterator[Span]:
    """Yield the numbers that follow each other from the start of a piece, and the North American ones in its rest."""
    at = start
    while stop - at >= _FEWEST and (end := _longest(text, at, stop, regions)):
        yield at, end
        at = _separators(text, end, stop)
    if stop - at < _FEWEST:
        return
    for found in _NORTH_AMERICA.finditer(text, at, stop):
        if _is_north_american(text, found) and not _AFTER.match(text, found.end()):
            yield found.span()


def _separators(text: str, end: int, stop: int) -> int:
    while end < stop and not text[end].isdecimal():
        end += 1
    return end


def _longest(text: str, start: int, stop: int, regions: tuple[str, ...]) -> int:
    """Return the end of the longest phone number that begins at *start* and ends with a group of digits; 0 if none."""
    ends = _ends(text, start, stop)
    if not ends or _DATE.match(text, start, stop):
        return 0
    if end := _international(text, start, ends):
        return end
    if names_identifier(text, start):
        return 0
    whole, digits = ends[0]
    if not _GROUP.search(text, whole, stop) and _is_shaped(text[start:whole], digits, regions):
        return whole
    return _announced(text, start, ends)


def _international(text: str, start: int, ends: list[tuple[int, str]]) -> int:
    if text[start] not in "+(0":
        return 0
    return next((end for end, _ in ends if _is_international(text[start:end])), 0)


def _ends(text: str, start: int, stop: int) -> list[tuple[int, str]]:
    """Return each end of a group at which a number may end, with the digits up to it; the longest first."""
    digits = ""
    ends: list[tuple[int, str]] = []
    for group in _GROUP.finditer(text, start, stop):
        digits += group[0]
        if len(digits) > _MOST:
            break
        if len(digits) >= _FEWEST and _ends_at(text, group.end()):
            ends.insert(0, (group.end(), digits))
    return ends


def _extended(text: str, end: int) -> int:
    extension = _EXTENSION.match(text, end)
    return extension.end() if extension else end


def _ends_at(text: str, end: int) -> bool:
    return _AFTER.match(text, end) is None or _EXTENSION.match(text, end) is not None


def _announced(text: str, start: int, ends: list[tuple[int, str]]) -> int:
    """Return the end of the longest national number that words beside it announce; 0 if none."""
    how = announcement(text, start)
    fewest = {"direct": _FEWEST, "near": _NEAR, "": _NATIONAL + 1}[how]
    for end, digits in ends:
        if len(digits) > _NATIONAL or _QUAD.fullmatch(text, start, end):
            continue
        if len(digits) >= fewest or is_named_after(text, _extended(text, end)):
            return end
    return 0


def _is_international(own: str) -> bool:
    if not (prefix := _INTERNATIONAL.match(own)):
        return False
    own = own[prefix.end() :]
    code, national = numbering.split_code("".join(_GROUP.findall(own.replace("(0)", ""))))
    if not code:
        return False
    if not numbering.is_possible(code, national):
        national = national.removeprefix("0")  # the trunk prefix, which some write after the country code
    if prefix[1] and len(national) >= _FEWEST:
        return numbering.is_possible(code, national)
    return (prefix[1] is not None or not own.isdecimal()) and numbering.is_assigned(code, national)


def _is_shaped(own: str, digits: str, regions: tuple[str, ...]) -> bool:
    """Return True for a national number with a trunk prefix, or in groups that only phone numbers have."""
    if shape := _NORTH_AMERICA.fullmatch(own):
        return shape["separator"] != " " or numbering.is_assigned(1, digits[-10:])
    if (
        _ONE_DIGIT.search(own)
        or _DECIMAL.fullmatch(own)
        or own.startswith("00")
        or _YEAR.search(own)
        or digits in _COUNTING
    ):
        return False
    mixed = len(set(own) & _MIXED) > 1
    if _TRUNK.match(own):
        usual = len(digits) in _USUAL if own.isdecimal() else mixed or len(digits) >= _NEAR
        return usual and numbering.is_national(regions, digits, prefixed=True)
    return "." not in own and mixed and numbering.is_national(regions, digits, prefixed=False)


def _is_north_american(text: str, found: re.Match[str]) -> bool:
    if names_identifier(text, found.start()):
        return False
    return found["separator"] != " " or numbering.is_assigned(1, "".join(_GROUP.findall(found[0]))[-10:])
