"""The offset map: the completed offsets beyond the committed one, as text for the metadata of a commit.

The text is ``1``, the kind, the base offset in hex, a dot, and a bitmap in base85. The kind is ``b`` (plain) or ``z``
(deflated).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")

AHEAD = 24_000
"""The number of offsets that a map covers: 3,000 bytes, 3,750 characters in base85."""

LIMIT = 4_096
"""The number of characters that a broker accepts as metadata (``offset.metadata.max.bytes``)."""

_VERSION = "1"
_BITMAP_LIMIT = 8_192  # bytes to which a map may inflate: hostile metadata must not fill the memory


class MapTooLongError(Exception):
    """The map does not fit: a broker would refuse the whole transaction, which breaks its producer (I3)."""


class OffsetSet(AbstractSet[int]):
    """A set of offsets that are close to each other, stored as a bitmap.

    A Python set would cost milliseconds for each full map.
    """

    __slots__ = ("_base", "_bits")

    def __init__(self, base: int = 0, bits: int = 0) -> None:
        self._base, self._bits = base, bits

    @classmethod
    def of(cls, offsets: Iterable[int]) -> OffsetSet:
        """Return the set of *offsets*."""
        if isinstance(offsets, OffsetSet):
            return offsets
        known = list(offsets)
        return cls().plus(known, min(known, default=0))

    @classmethod
    def _from_iterable(cls, it: Iterable[_T]) -> AbstractSet[_T]:
        return set(it)

    def __contains__(self, offset: object) -> bool:
        if not self._bits or not isinstance(offset, int):
            return False
        place = offset - self._base
        return place >= 0 and self._bits >> place & 1 == 1

    def __iter__(self) -> Iterator[int]:
        for index, byte in enumerate(self.packed(self._base)):
            if byte:
                yield from (self._base + 8 * index + bit for bit in range(8) if byte >> bit & 1)

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbstractSet) and len(self) == len(other) and all(each in self for each in other)

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"{type(self).__name__}.of({list(self)})"

    def plus(self, offsets: Collection[int], low: int) -> OffsetSet:
        """Return this set with *offsets* added and all offsets below *low* removed."""
        places = [offset - low for offset in offsets if offset >= low]
        added = bytearray((max(places, default=-1) >> 3) + 1)
        for place in places:
            added[place >> 3] |= 1 << (place & 7)
        return OffsetSet(low, self._bits_from(low) | int.from_bytes(added, "little"))

    def packed(self, base: int) -> bytes:
        """Return the bitmap of the offsets at or above *base*. Its first bit is *base*."""
        bits = self._bits_from(base)
        return bits.to_bytes((bits.bit_length() + 7) >> 3, "little")

    def _bits_from(self, base: int) -> int:
        shift = base - self._base
        return self._bits >> shift if shift >= 0 else self._bits << -shift


class Committed(NamedTuple):
    """The committed state of one partition: all offsets below ``offset``, and those in ``done`` beyond it."""

    offset: int
    done: AbstractSet[int]

    def holds(self, offset: int) -> bool:
        """Return True if the outcome of *offset* is visible."""
        return offset < self.offset or offset in self.done


def encode(base: int, done: Iterable[int]) -> str:
    """Return the text for *done*, or an empty string if *done* is empty. All offsets are at or above *base*. Raise
    MapTooLongError if the text is longer than ``LIMIT``.
    """
    bits = OffsetSet.of(done).packed(base)
    if not bits:
        return ""
    packed = zlib.compress(bits, 6)
    kind, payload = ("z", packed) if len(packed) < len(bits) else ("b", bits)
    text = f"{_VERSION}{kind}{base:x}.{base64.b85encode(payload).decode()}"
    if len(text) > LIMIT:
        raise MapTooLongError(f"{len(text)} characters for {len(bits)} bytes of offsets")
    return text


def decode(base: int, text: str | None) -> OffsetSet:
    """Return the offsets that *text* holds.

    The set is empty if *text* has another base (I16) or cannot be read. Work is then repeated, never skipped.
    """
    return OffsetSet(base, int.from_bytes(_bitmap(base, text), "little"))


def _bitmap(base: int, text: str | None) -> bytes:
    if not text or text[0] != _VERSION or text[1:2] not in {"b", "z"}:
        return b""
    head, dot, payload = text[2:].partition(".")
    if not dot or head != f"{base:x}":
        return b""
    try:
        packed = base64.b85decode(payload)
        return _inflated(packed) if text[1] == "z" else packed[:_BITMAP_LIMIT]
    except (ValueError, zlib.error):
        return b""


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    bits = inflater.decompress(packed, _BITMAP_LIMIT)
    if not inflater.eof:
        raise zlib.error("cut short, or longer than any map")
    return bits
