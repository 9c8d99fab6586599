"""Numbers in as few bytes as they take: seven bits a byte, the lowest first, as protobuf and Kafka write them."""

from __future__ import annotations

_MORE = 0x80
"""Set in each byte but the last."""


def uvarint(number: int) -> bytes:
    """A number that is not negative."""
    if number < _MORE * _MORE:  # nearly every one: the length of a text, of a span, of a small batch
        return b"%c" % number if number < _MORE else b"%c%c" % (number & 0x7F | _MORE, number >> 7)
    made = bytearray()
    while number >= _MORE:
        made.append(number & 0x7F | _MORE)
        number >>= 7
    made.append(number)
    return bytes(made)
