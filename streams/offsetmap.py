"""Which offsets beyond the committed one are done, as text that fits the metadata of a commit.

The text is ``1``, the kind (``b`` plain, ``z`` deflated), the base offset in hex, a dot, and a bitmap in base85.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import NamedTuple

AHEAD = 24_000
"""Offsets that a map covers: 3,000 bytes, 3,750 characters in base85."""

LIMIT = 4_096
"""Characters that a broker takes as metadata (``offset.metadata.max.bytes``)."""

_VERSION = "1"
_BITMAP_LIMIT = 8_192  # bytes that a map may unfold to: hostile metadata must not fill the memory


class MapTooLongError(Exception):
    """The map does not fit: a broker would refuse the whole transaction, and its producer with it (I3)."""


class Committed(NamedTuple):
    """What a group has committed for one partition: everything below ``offset``, and ``done`` beyond it."""

    offset: int
    done: set[int]

    def holds(self, offset: int) -> bool:
        """Whether the outcome of *offset* is visible."""
        return offset < self.offset or offset in self.done


def encode(base: int, done: Iterable[int]) -> str:
    """The text for *done*, all of them at or above *base*; empty if there are none."""
    positions = [offset - base for offset in done]
    if not positions:
        return ""
    bits = bytearray((max(positions) >> 3) + 1)
    for position in positions:
        bits[position >> 3] |= 1 << (position & 7)
    packed = zlib.compress(bits, 6)
    kind, payload = ("z", packed) if len(packed) < len(bits) else ("b", bytes(bits))
    text = f"{_VERSION}{kind}{base:x}.{base64.b85encode(payload).decode()}"
    if len(text) > LIMIT:
        raise MapTooLongError(f"{len(text)} characters for {len(positions)} offsets")
    return text


def decode(base: int, text: str | None) -> set[int]:
    """The offsets that *text* holds. Of another base (I16), or unreadable: none, so work is repeated, never skipped."""
    bits = _bitmap(base, text)
    return {base + 8 * place + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1}


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
