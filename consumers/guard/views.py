"""Views: other readings of a text, for detectors. The model never reads them.

A view is the whole text with its encoded parts decoded in place, once. So an instruction that is half plain and half
encoded reads as one. The number of decoded parts is not limited; a view is never longer than its text.
"""

from __future__ import annotations

import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from consumers.guard.character_sets import REPLACEMENT

Span: TypeAlias = tuple[int, int]
"""Offsets of characters, the second one past the end."""

Reading: TypeAlias = Literal["hidden", "base64", "percent"]

SHORTEST: Final = 8
"""The fewest base64 characters worth decoding: six bytes. A shorter word of prose too often decodes to some text."""

_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_LETTERS: Final = {ord("-"): ord("+"), ord("_"): ord("/")}
_SPACE: Final = ord(" ")
_TO_BASE64: Final = bytes(code if code in _LETTERS else _URL_LETTERS.get(code, _SPACE) for code in range(256))
"""RFC 4648: maps section 4's alphabet to itself, section 5's URL characters to it, all other bytes to spaces."""

_HEX: Final = "0123456789abcdefABCDEF"
_PAIRS: Final = frozenset(high + low for high in _HEX for low in _HEX)


class Piece(NamedTuple):
    """A decoded part: from ``start:end`` of the text to ``at:until`` of the view."""

    start: int
    end: int
    at: int
    until: int


@dataclass(frozen=True, slots=True)
class View:
    """One reading."""

    kind: Reading
    text: str = field(repr=False)
    pieces: tuple[Piece, ...] = field(default=(), repr=False)

    def locate(self, start: int, end: int) -> tuple[Span, ...]:
        """Return the spans of the text for ``start:end`` of the view, in whole pieces; none if it was hidden text."""
        if self.kind == "hidden":
            return ()
        return ((self._source_start(start), self._source_end(end)),)

    def _source_start(self, offset: int) -> int:
        before = bisect_right(self.pieces, offset, key=lambda piece: piece.at)
        if not before:
            return offset
        piece = self.pieces[before - 1]
        return piece.start if offset < piece.until else piece.end + offset - piece.until

    def _source_end(self, offset: int) -> int:
        before = bisect_left(self.pieces, offset, key=lambda piece: piece.at)
        if not before:
            return offset
        piece = self.pieces[before - 1]
        return piece.end if offset <= piece.until else piece.end + offset - piece.until


def views_of(text: str, hidden: str = "") -> tuple[View, ...]:
    """Return every other reading of *text*, with its *hidden* text as one of them. Takes linear time."""
    readings = (_decoded("base64", text, _base64), _decoded("percent", text, _percent))
    concealed = (View("hidden", hidden),) if hidden else ()
    return concealed + tuple(view for view in readings if view.pieces)


def _decoded(kind: Reading, text: str, find: Callable[[str], Iterator[tuple[int, int, str]]]) -> View:
    parts: list[str] = []
    pieces: list[Piece] = []
    source = at = 0
    for start, end, decoded in find(text):
        at += start - source
        parts += text[source:start], decoded
        pieces.append(Piece(start, end, at, at + len(decoded)))
        source, at = end, at + len(decoded)
    parts.append(text[source:])
    return View(kind, "".join(parts), tuple(pieces))


def _base64(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each base64 word that decodes to readable text, with or without its padding."""
    letters = text.encode("ascii", "replace").translate(_TO_BASE64)  # one byte per character: offsets do not change
    at = 0
    for word in letters.split():
        if len(word) < SHORTEST:
            continue
        start = letters.index(word, at)
        at = start + len(word)
        if (decoded := _readable(_unpack(word))) is not None:
            yield start, _padded(text, at), decoded


def _unpack(word: bytes) -> bytes:
    try:
        return binascii.a2b_base64(word + b"=" * (-len(word) % 4))
    except binascii.Error:  # a word of five or nine letters is not valid base64
        return b""


def _padded(text: str, end: int) -> int:
    while text.startswith("=", end) and end < len(text):
        end += 1
    return end


def _percent(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each run of percent-encoded bytes (RFC 3986, section 2.1), readable or not: a stray one hides no other."""
    start = text.find("%")
    while start >= 0:
        end = start
        while text.startswith("%", end) and text[end + 1 : end + 3] in _PAIRS:
            end += 3
        if end > start:
            yield start, end, bytes.fromhex(text[start:end].replace("%", "")).decode("utf-8", "replace")
        start = text.find("%", end + 1)  # no triplet starts at the end


def _readable(raw: bytes) -> str | None:
    """Return the bytes as text if at most one character in eight is noise. Most prose decodes to noise only."""
    text = raw.decode("utf-8", "replace")
    most = len(text) // 8
    if not text or text.count(REPLACEMENT) > most:
        return None
    return text if text.isprintable() or _noise(text) <= most else None


def _noise(text: str) -> int:
    return sum(1 for char in text if char == REPLACEMENT or not (char.isprintable() or char.isspace()))
