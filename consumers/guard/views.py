"""Views: other readings of a text, for detectors. The model never reads them.

A view is the whole text with its encoded parts decoded in place, once. So an instruction that is half plain and half
encoded reads as one. The number of decoded parts is not limited; a view never has more UTF-8 than its text.
"""

from __future__ import annotations

import binascii
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Final, Literal, NamedTuple, TypeAlias, overload

from consumers.guard.character_sets import REPLACEMENT
from consumers.guard.disguises import disguised

Span: TypeAlias = tuple[int, int]
"""Offsets of characters, the second one past the end."""

Reading: TypeAlias = Literal["hidden", "base64", "percent", "disguised"]

_Find: TypeAlias = Callable[[str], Iterator[tuple[int, int, str]]]
"""Yields the decoded parts of a text: start, end and reading."""

SHORTEST: Final = 8
"""The fewest base64 characters worth decoding: six bytes. A shorter word of prose too often decodes to some text."""

_URL_LETTERS: Final = bytes.maketrans(b"-_", b"+/")
"""RFC 4648: maps the URL characters of section 5 to the alphabet of section 4."""

_WORD: Final = re.compile(b"([A-Za-z0-9+/_-]{%d,})=*" % SHORTEST)
_NOISELESS: Final = 10
"""Characters of a word that decodes to seven bytes at most: ``_readable`` allows no noise in them."""

_NO_START: Final = frozenset(b"ghijklmnopqrstuv")
"""Letters for 0x80 to 0xBF in the six upper bits of the first byte."""

_SHORT: Final = 6
"""Characters of a short run of percent-encoded bytes."""

_TRIPLETS: Final = re.compile("(?:%[0-9a-fA-F]{2})+")


class Piece(NamedTuple):
    """A decoded part: from ``start:end`` of the text to ``at:until`` of the view."""

    start: int
    end: int
    at: int
    until: int


class Pieces(Sequence[Piece]):
    """Pieces in four numbers each. A view of a long text has hundreds of thousands of them."""

    __slots__ = ("_numbers",)

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._numbers = array("I", chain.from_iterable(pieces))

    @classmethod
    def unpacked(cls, packed: bytes) -> Pieces:
        """Return the pieces of which ``packed`` returned the bytes."""
        pieces = cls()
        pieces._numbers.frombytes(packed)
        return pieces

    def packed(self) -> bytes:
        """Return the pieces as bytes, for another process of this machine."""
        return self._numbers.tobytes()

    def append(self, start: int, end: int, at: int, until: int) -> None:
        """Append a piece."""
        self._numbers.extend((start, end, at, until))

    def __len__(self) -> int:
        return len(self._numbers) // 4

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> list[Piece]: ...
    def __getitem__(self, index: int | slice) -> Piece | list[Piece]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = range(len(self))[index] * 4
        return Piece(*self._numbers[at : at + 4])


@dataclass(frozen=True, slots=True)
class View:
    """One reading."""

    kind: Reading
    text: str = field(repr=False)
    pieces: Pieces = field(default_factory=Pieces, repr=False)

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


@lru_cache(maxsize=1)  # the guards of a stage read the same text, one after another
def views_of(text: str, hidden: str = "") -> tuple[View, ...]:
    """Return every other reading of *text*, with its *hidden* text as one of them. Takes linear time."""
    finds: tuple[tuple[Reading, _Find], ...] = (("base64", _base64), ("percent", _percent), ("disguised", disguised))
    readings = (_decoded(kind, text, find) for kind, find in finds)
    concealed = (View("hidden", hidden),) if hidden else ()
    return concealed + tuple(view for view in readings if view.pieces)


def _decoded(kind: Reading, text: str, find: _Find) -> View:
    parts: list[str] = []
    pieces = Pieces()
    source = at = 0
    for start, end, decoded in find(text):
        at += start - source
        parts += text[source:start], decoded
        pieces.append(start, end, at, at + len(decoded))
        source, at = end, at + len(decoded)
    parts.append(text[source:])
    return View(kind, "".join(parts), pieces)


def _base64(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each base64 word that decodes to readable text, with or without its padding."""
    letters = text.encode("ascii", "replace")  # one byte per character: offsets do not change
    for word in _WORD.finditer(letters):
        if not _is_noise(word[1]) and (decoded := _readable(_unpack(word[1]))) is not None:
            yield word.start(), word.end(), decoded


def _is_noise(word: bytes) -> bool:
    """Return True for a short word with a first byte that starts no UTF-8 character: half the words of prose."""
    return len(word) <= _NOISELESS and word[0] in _NO_START


def _unpack(word: bytes) -> bytes:
    try:
        return binascii.a2b_base64(word.translate(_URL_LETTERS) + b"=" * (-len(word) % 4))
    except binascii.Error:  # a word of five or nine letters is not valid base64
        return b""


def _percent(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each run of percent-encoded bytes (RFC 3986, section 2.1), readable or not: a stray one hides no other."""
    if "%" not in text:
        return
    for run in _TRIPLETS.finditer(text):
        start, end = run.span()
        yield start, end, (_unquoted_short if end - start <= _SHORT else _unquoted)(run[0])


def _unquoted(run: str) -> str:
    return bytes.fromhex(run.replace("%", "")).decode("utf-8", "replace")


_unquoted_short = lru_cache(maxsize=4_096)(_unquoted)
"""The same for runs of which a long text has hundreds of thousands, most of them equal."""


def _readable(raw: bytes) -> str | None:
    """Return the bytes as text if at most one character in eight is noise. Most prose decodes to noise only."""
    text = raw.decode("utf-8", "replace")
    most = len(text) // 8
    if not text or text.count(REPLACEMENT) > most:
        return None
    return text if text.isprintable() or _noise(text) <= most else None


def _noise(text: str) -> int:
    return sum(1 for char in text if char == REPLACEMENT or not (char.isprintable() or char.isspace()))
