"""The end of a text that grows: the part of it that may still become personal data.

All patterns read the end backwards, so each costs time by the length of its own match.
"""

from __future__ import annotations

import re
from typing import Final

from consumers.guard.pii.emails import email_live_from
from consumers.guard.pii.ibans import iban_live_from
from consumers.guard.pii.surroundings import with_ascii_digits

WINDOW: Final = 2_048
"""Characters at the end of a text that are looked at. No match is longer; only a list of numbers in one line is."""

_RUN: Final = r"(?P<run>[ ().\-/\u2010-\u2015]*\d[\d ().\-/\u2010-\u2015]*+[+(]{0,3})"
_NUMBER: Final = re.compile(
    rf"(?:\d{{0,6}}\s?\.?[A-Za-z]{{1,9}}\s?|\d{{1,6}}\s?\#\s?|(?:\d{{0,6}}\s?)?|[,:+~_#%$€£°]?\s?){_RUN}"
)
"""A run of digits; then the start of an extension or of a unit, or a sign that joins it to more text."""

_NAMED: Final = re.compile(rf"(?:(?:(?:\w{{0,16}}\s){{0,4}}(?:si|saw|i|w|aw)?|\w{{0,8}}\()\s)?,?['\")]?{_RUN}")
"""A run of digits; then the start of words such as "is my number"."""

_SIGN: Final = re.compile(r" ?[+(]{1,3}")
_VERSION_6: Final = re.compile(r"(?:\d{0,3}/)?[0-9A-Fa-f.]*:[0-9A-Fa-f:.]{0,50}")
_FEWEST: Final = 7
_CHAIN: Final = 16
"""Partial matches that are joined without a space. It bounds the time for texts such as ``1a1a1a``."""


def live_from(text: str) -> int:
    """Return the offset from which the end of *text* may still be completed, extended or undone; its length if none."""
    start = max(0, len(text) - WINDOW)
    tail = with_ascii_digits(text[start:])
    live = _partial_from(tail, email_live_from(tail))
    for _ in range(_CHAIN):
        if live == len(tail) or not _joins(tail, live) or (earlier := _partial_from(tail[:live], live)) == live:
            break
        live = earlier
    return start + live


def _joins(tail: str, live: int) -> bool:
    """Return True if a number may end within the held part, or directly before it.

    A partial match hides the number from the detector, and more text may undo the match.
    """
    return "@" in tail[live:] or (live > 0 and not tail[live - 1].isspace())


def _partial_from(tail: str, live: int) -> int:
    backwards = tail[::-1]
    held = max(_held_number(backwards), _held(_SIGN, backwards), _held(_VERSION_6, backwards))
    return min(live, len(tail) - held, iban_live_from(tail))


def _held(pattern: re.Pattern[str], backwards: str) -> int:
    found = pattern.match(backwards)
    return found.end() if found else 0


def _held_number(backwards: str) -> int:
    if number := _NUMBER.match(backwards):
        return number.end()
    named = _NAMED.match(backwards)
    return named.end() if named and sum(map(str.isdecimal, named["run"])) >= _FEWEST else 0
