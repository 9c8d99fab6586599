"""Bounds on one record of a fetched batch: the parts that are kept, and the bytes that are cut off.

The layout follows Kafka's protocol guide, "Record".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.records import COMPLETE, Missing
from schemas.topics import EDGE_HEADER_COUNT, EDGE_HEADERS_LIMIT, EDGE_RECORD_LIMIT, EDGE_VALUE_LIMIT
from streams.transport.aiokafka_types import decode_varint
from streams.transport.fetched_batches import sized, varint

_CONTINUED: Final = 0x80

KEPT_HEADERS: Final = 4 * EDGE_HEADER_COUNT
"""Headers of a record that are looked at. An id or a correlation id may come after those that are too many."""

HEADERS_KEPT: Final = 2 * EDGE_HEADERS_LIMIT
"""Bytes of a record's headers that are kept, with their lengths. Larger ones are left out."""

SMALL: Final = 512
"""Bytes of a record that is not looked into. Its headers are few enough to be decoded first and counted then."""

UNREAD: Final = Missing(0, 1)
"""The mark of a record that was not unpacked."""

_NONE: Final = b"\x01"
_TIME_AND_DELTA: Final = (0, 1)
_KEY_AND_VALUE: Final = (0, 1)


def exceeds(body: bytes, start: int, end: int) -> bool:
    """Return True if the record from *start* to *end* exceeds a bound. Raise IndexError for a damaged one."""
    if end - start <= SMALL:
        return False
    if end - start > EDGE_RECORD_LIMIT:
        return True
    at = start + 1  # after the attributes
    for _ in _TIME_AND_DELTA:
        while body[at] & _CONTINUED:
            at += 1
        at += 1
    for _ in _KEY_AND_VALUE:
        size, at = _varint(body, at)
        at += max(0, size)
    count, at = _varint(body, at)
    return count > EDGE_HEADER_COUNT or end - at > HEADERS_KEPT


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return a number in zigzag encoding and the position after it. Faster than the client's for small numbers."""
    byte = body[at]
    if byte & _CONTINUED:
        number, after = decode_varint(body, at)
        return int(number), int(after)
    return (byte >> 1) ^ -(byte & 1), at + 1


class _Parts(NamedTuple):
    """The positions of one record's parts in its batch."""

    delta_at: int
    delta: int
    key_at: int
    """The position of the key's length."""

    value_at: int
    """The position of the value's length."""

    value_start: int
    value_end: int
    headers: int
    """The number of headers."""

    headers_at: int


def _parts(body: bytes, start: int, end: int) -> _Parts:
    """Return the parts of the record from *start* to *end*. Raise ValueError or IndexError for a damaged one.

    A record that is not in *body* to its end has no headers here.
    """
    _, delta_at = decode_varint(body, start + 1)
    delta, key_at = decode_varint(body, delta_at)
    size, at = decode_varint(body, key_at)
    value_at = at + max(0, size)
    size, value_start = decode_varint(body, value_at)
    value_end = value_start + max(0, size)
    if value_end >= len(body) or value_end >= end:
        return _Parts(delta_at, delta, key_at, value_at, value_start, value_end, 0, value_end)
    count, headers_at = decode_varint(body, value_end)
    return _Parts(delta_at, delta, key_at, value_at, value_start, value_end, count, headers_at)


def empty(delta: int) -> bytes:
    """Return a record without key, value and headers."""
    return sized(b"\0\0" + varint(delta) + b"\x01\x01\0")


def cut(body: bytes, start: int, end: int, number: int | None) -> tuple[int, bytes, Missing]:
    """Return the offset delta of a record, the record within the bounds, and what was cut off.

    *number* is the delta, unless the batch has gaps. A record that the limit cut off, or that is damaged, is empty.
    """
    try:
        parts = _parts(body, start, end)
        delta = parts.delta if number is None else number
        head = b"\0" + body[start + 1 : parts.delta_at] + varint(delta)
        if end <= len(body) and not exceeds(body, start, end):
            return delta, sized(head + body[parts.key_at : end]), COMPLETE
        key, lost_key = _key(body, parts)
        value, lost_value = _value(body, parts)
        headers, lost_headers = _headers(body, parts, end)
    except (IndexError, ValueError):
        return number or 0, empty(number or 0), UNREAD
    return delta, sized(head + key + value + headers), Missing(lost_headers, lost_key + lost_value)


def _key(body: bytes, parts: _Parts) -> tuple[bytes, int]:
    """Return the key with its length, or none if it is longer than any key, and the number of bytes cut off."""
    size = parts.value_at - parts.key_at
    return (body[parts.key_at : parts.value_at], 0) if size <= EDGE_HEADERS_LIMIT else (_NONE, size)


def _value(body: bytes, parts: _Parts) -> tuple[bytes, int]:
    """Return the value with its length, cut to the limit, and the number of bytes cut off."""
    size = parts.value_end - parts.value_start
    if not size:
        return body[parts.value_at : parts.value_start], 0
    found = body[parts.value_start : min(parts.value_end, parts.value_start + EDGE_VALUE_LIMIT)]
    return sized(found), size - len(found)


def _headers(body: bytes, parts: _Parts, end: int) -> tuple[bytes, int]:
    """Return the first headers with their number, and the number of bytes cut off."""
    if end > len(body):
        return b"\0", max(0, end - parts.headers_at)
    at, kept, count = parts.headers_at, bytearray(), 0
    for _ in range(min(parts.headers, KEPT_HEADERS)):
        size, name_at = decode_varint(body, at)
        size, value_at = decode_varint(body, name_at + size)
        after = value_at + max(0, size)
        if len(kept) + after - at <= HEADERS_KEPT:
            kept += body[at:after]
            count += 1
        at = after
    return varint(count) + kept, end - parts.headers_at - len(kept)
