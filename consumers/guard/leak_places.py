"""The places of an answer that repeat an agent's instructions.

Both texts are folded: only letters and digits count, without case. A place is a run of the answer of which every
fragment of GRAM characters is one of the instructions, also backwards and in ROT13. Takes linear time.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from consumers.guard.detection import NOTHING, Detected, detected, redacted
from consumers.guard.finding import Finding, findings

GRAM: Final = 16
"""Letters and digits of a fragment. Texts of different authors share few of this length."""

REMOVED: Final = "[instructions removed]"

_ASCII: Final = {code: None for code in range(128) if not chr(code).isalnum()}
_TAGS: Final = 0xE0000
"""Offset of the invisible tag characters from ASCII."""

_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,-]?){32,}")


def find_leak(text: str, hidden: str, instructions: str, shortest: str) -> Detected:
    """Return the runs of at least *shortest* letters and digits that repeat the instructions, and the text without."""
    grams = fragments(instructions)
    if not grams:
        return NOTHING

    def detect(reading: str) -> Iterator[Finding]:
        return runs(reading, grams, max(int(shortest), GRAM))

    found = (*findings(detect, text, hidden), *in_hexadecimal(text, grams, max(int(shortest), GRAM)))
    return detected(found, text=redacted(text, found, lambda _: REMOVED) if any(each.end for each in found) else None)


@lru_cache(maxsize=32)
def fragments(instructions: str) -> frozenset[str]:
    """Return the fragments of the instructions, of their reverse and of their ROT13."""
    told = folded(instructions)
    readings = (told, told[::-1], codecs.encode(told, "rot13"))
    return frozenset(each[place : place + GRAM] for each in readings for place in range(len(each) - GRAM + 1))


def folded(text: str) -> str:
    """Return the letters and digits of a text, without case, width and accents of composition."""
    if text.isascii():
        return text.translate(_ASCII).lower()
    return "".join(map(_fold, text))


@lru_cache(maxsize=8_192)
def _fold(character: str) -> str:
    code = ord(character)
    if _TAGS < code < _TAGS + 128:
        character = chr(code - _TAGS)
    return "".join(each for each in unicodedata.normalize("NFKC", character).casefold() if each.isalnum())


def runs(text: str, grams: frozenset[str], shortest: int) -> Iterator[Finding]:
    """Yield the runs of a reading."""
    told = folded(text)
    found = [*_spans(told, grams, shortest)]
    if found:
        places = character_places(text)
        for start, end in found:
            yield Finding("instructions", places[start], places[end - 1] + 1)


def character_places(text: str) -> list[int]:
    """Return the offset in *text* of each character of its folded form."""
    return [place for place, character in enumerate(text) for _ in _fold(character)]


def _spans(told: str, grams: frozenset[str], shortest: int) -> Iterator[tuple[int, int]]:
    """Yield the runs. Each of them has a fragment at a multiple of the step, so the others are looked up near it."""
    step, done = shortest - GRAM + 1, 0
    for place in range(0, len(told) - GRAM + 1, step):
        if place < done or told[place : place + GRAM] not in grams:
            continue
        start, last = place, place
        while start > done and told[start - 1 : start - 1 + GRAM] in grams:
            start -= 1
        while len(told[last + 1 : last + 1 + GRAM]) == GRAM and told[last + 1 : last + 1 + GRAM] in grams:
            last += 1
        if last + GRAM - start >= shortest:
            done = last + GRAM
            yield start, done


def in_hexadecimal(text: str, grams: frozenset[str], shortest: int) -> Iterator[Finding]:
    """Yield the rows of hexadecimal digits that spell a run."""
    for written in _HEX.finditer(text):
        digits = "".join(each for each in written[0] if each.isalnum())
        read = bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "replace")
        if next(_spans(folded(read), grams, shortest), None):
            yield Finding("instructions", *written.span(), reading="hex")
