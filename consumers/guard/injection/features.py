"""Hashed n-grams of characters and words, for every window of a text at once.

The hashes are of this module, so features are equal in every process and in every version of Python. Source of the
method: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009). The finaliser is that of
MurmurHash3 (A. Appleby, public domain).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.uint32]
Buckets: TypeAlias = NDArray[np.int32]
Positions: TypeAlias = NDArray[np.int64]

BITS: Final = 19
BUCKETS: Final = 1 << BITS
"""Number of features. One more bucket, the last, has no weight: it fills the places without a feature."""

WINDOW: Final = 224
"""Characters of a window, after white space and repeated characters are folded. About three sentences."""

STRIDE: Final = WINDOW // 2
"""Characters between the starts of two windows, so that a sentence of a hundred is whole in one of them."""

BATCH: Final = 256
"""Windows that are computed together: some megabytes of memory."""

CHARACTER_GRAMS: Final = (3, 4, 5)
_TABLE: Final = 0x2100
"""Characters below are folded by a table; those above have no case, and are letters."""

_IDEOGRAPHS: Final = (0x2E80, 0xA000)
"""Scripts without spaces: each character is a word."""

_SPACE: Final = ord(" ")
_LONGEST_WORD: Final = 32
_QUOTES: Final = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "`": "'"}
_MULTIPLIER: Final = 0x01000193


class Folded(NamedTuple):
    """A text as its features see it: lower case, one space for white space, one digit for all, no long repetition."""

    codes: Codes
    places: Positions
    """Offset of each character in the text."""


class Windows(NamedTuple):
    """The windows of a text."""

    buckets: Buckets
    """A row for each window: its buckets in ascending order, and ``BUCKETS`` for repeated and missing ones."""

    sizes: NDArray[np.int64]
    """Number of different features in each window."""

    spans: tuple[tuple[int, int], ...]
    """Start and end of each window in the text."""


@cache
def _tables() -> tuple[Codes, NDArray[np.bool_]]:
    """Return the folded code of each character of the table, and True for each one within words."""
    folded = [_folded_code(chr(code)) for code in range(_TABLE)]
    inside = [unicodedata.category(chr(code))[0] in "LMN" for code in range(_TABLE)]
    return np.array(folded, dtype=np.uint32), np.array(inside, dtype=np.bool_)


def _folded_code(char: str) -> int:
    if char.isspace() or not char.isprintable():
        return _SPACE
    if char.isdecimal():
        return ord("0")
    lower = _QUOTES.get(char, char).lower()
    return ord(lower) if len(lower) == 1 else ord(char)


def warm() -> None:
    """Make the tables, once: some milliseconds."""
    _tables()


def fold(text: str) -> Folded:
    """Return the folded text. Takes linear time, for any text."""
    codes: Codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    table, _ = _tables()
    codes = np.where(codes < _TABLE, table[np.minimum(codes, _TABLE - 1)], codes)
    kept = np.ones(len(codes), dtype=np.bool_)
    same = codes[1:] == codes[:-1]
    kept[1:] = ~(same & (codes[1:] == _SPACE))
    kept[2:] &= ~(same[1:] & same[:-1])
    places = np.flatnonzero(kept)
    return Folded(codes[places], places)


def windows(text: str) -> Iterator[Windows]:
    """Yield the windows of the text, some at a time, so that memory does not grow with it.

    A text of at most WINDOW folded characters is one window; the empty text has none.
    """
    codes, places = fold(text)
    for first in range(0, _count(len(codes)), BATCH):
        start = first * STRIDE
        part = slice(start, start + (BATCH - 1) * STRIDE + WINDOW)
        yield _windows(codes[part], places[part], min(BATCH, _count(len(codes)) - first))


def _count(length: int) -> int:
    return 0 if not length else 1 + max(0, -(-(length - WINDOW) // STRIDE))


def _windows(codes: Codes, places: Positions, count: int) -> Windows:
    grams = np.stack([*_character_grams(codes), *_word_grams(codes)])
    buckets, sizes = _distinct(_in_windows(grams, count))
    return Windows(buckets, sizes, tuple(_span(places, number * STRIDE) for number in range(count)))


def _span(places: Positions, start: int) -> tuple[int, int]:
    last = min(start + WINDOW, len(places)) - 1
    return int(places[start]), int(places[last]) + 1


def _in_windows(grams: Buckets, count: int) -> Buckets:
    """Return one row for each window, with the grams that begin in it."""
    length = grams.shape[1]
    if count == 1:
        return grams.reshape(1, -1)
    padded = np.full((len(grams), (count - 1) * STRIDE + WINDOW), BUCKETS, dtype=np.int32)
    padded[:, :length] = grams
    slid = sliding_window_view(padded, WINDOW, axis=1)[:, ::STRIDE]
    return np.ascontiguousarray(slid.transpose(1, 0, 2)).reshape(count, -1)


def _distinct(buckets: Buckets) -> tuple[Buckets, NDArray[np.int64]]:
    """Sort each row, replace repeated buckets, and count the others."""
    buckets = np.sort(buckets, axis=1)
    repeated = np.zeros(buckets.shape, dtype=np.bool_)
    repeated[:, 1:] = buckets[:, 1:] == buckets[:, :-1]
    buckets[repeated] = BUCKETS
    return buckets, (buckets != BUCKETS).sum(axis=1)


def _character_grams(codes: Codes) -> list[Buckets]:
    """Return for each length the bucket of the n-gram that begins at each character; the text ends with spaces."""
    longest = max(CHARACTER_GRAMS)
    padded = np.concatenate((codes, np.full(longest, _SPACE, dtype=np.uint32)))
    found: list[Buckets] = []
    running = padded.copy()
    for length in range(2, longest + 1):
        running = running[:-1] * np.uint32(_MULTIPLIER) + padded[length - 1 :]
        if length in CHARACTER_GRAMS:
            found.append(_bucket(running[: len(codes)], seed=length))
    return found


def _word_grams(codes: Codes) -> list[Buckets]:
    """Return the buckets of one, two and three words, and of two words around a third, at each first character."""
    starts, hashes = _words(codes)
    one, two, three = hashes, hashes[1:], hashes[2:]
    rolled = _rolled(one[: len(two)], two)
    grams = (
        (one, 11),
        (rolled, 12),
        (_rolled(rolled[: len(three)], three), 13),
        (_rolled(one[: len(three)], three), 14),
    )
    return [_placed(len(codes), starts, _bucket(each, seed=seed)) for each, seed in grams]


def _rolled(first: Codes, second: Codes) -> Codes:
    return first * np.uint32(0x9E3779B1) + second


def _placed(length: int, starts: Positions, buckets: Buckets) -> Buckets:
    row = np.full(length, BUCKETS, dtype=np.int32)
    row[starts[: len(buckets)]] = buckets
    return row


def _words(codes: Codes) -> tuple[Positions, Codes]:
    """Return the start and the hash of each word."""
    inside, alone = _inside(codes)
    before = np.concatenate((np.zeros(1, dtype=np.bool_), (inside & ~alone)[:-1]))
    begins = inside & (alone | ~before)
    starts = np.flatnonzero(begins)
    if not len(starts):
        return starts, np.zeros(0, dtype=np.uint32)
    owners = np.cumsum(begins) - 1
    within = np.clip(np.arange(len(codes)) - starts[np.maximum(owners, 0)], 0, _LONGEST_WORD - 1)
    values = np.where(inside, _mixed(codes) * _powers()[within], np.uint32(0))
    return starts, np.add.reduceat(values, starts, dtype=np.uint32)


@cache
def _powers() -> Codes:
    powers = [pow(_MULTIPLIER, place, 1 << 32) for place in range(_LONGEST_WORD)]
    return np.array(powers, dtype=np.uint32)


def _inside(codes: Codes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return True for each character of a word, and for each one that is a word by itself."""
    _, table = _tables()
    high = codes >= _TABLE
    alone = (codes >= _IDEOGRAPHS[0]) & (codes < _IDEOGRAPHS[1])
    return np.where(high, codes >= _IDEOGRAPHS[0], table[np.where(high, 0, codes)]), alone


def _bucket(hashes: Codes, seed: int) -> Buckets:
    return (_mixed(hashes + np.uint32(seed * 0x85EBCA6B & 0xFFFFFFFF)) >> np.uint32(32 - BITS)).astype(np.int32)


def _mixed(hashes: Codes) -> Codes:
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
