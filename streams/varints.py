"""Varints: numbers in as few bytes as possible, seven bits a byte, the lowest first, as in protobuf and Kafka."""

from __future__ import annotations

_MORE = 0x80
"""The flag that is set in each byte but the last."""


def uvarint(number: int) -> bytes:
    """Return the varint of a number that is not negative."""
    if number < _MORE * _MORE:  # true for nearly every number: the length of a text, of a span, of a small batch
        return b"%c" % number if number < _MORE else b"%c%c" % (number & 0x7F | _MORE, number >> 7)
    made = bytearray()
    while number >= _MORE:
        made.append(number & 0x7F | _MORE)
        number >>= 7
    made.append(number)
    return bytes(made)
