"""Bounds on fetched record batches, applied before the client decodes them.

A client writes what it likes to its tenant's topics: a batch that unpacks to gigabytes, or a record of half a million
empty headers. A batch is unpacked up to a limit, in pieces of about a megabyte, and each record is cut to what a dead
letter may keep. The bytes cut are noted, so that the record is answered as too large. No record is skipped.
The layout follows Kafka's protocol guide, "Record Batch".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.records import COMPLETE, Missing
from schemas.topics import EDGE_HEADER_COUNT, EDGE_HEADERS_LIMIT, EDGE_RECORD_LIMIT, EDGE_VALUE_LIMIT
from streams.transport.aiokafka_types import decode_varint
from streams.transport.fetched_batches import Fault, base_of, batches, crc_of, range_of, sized, varint
from streams.transport.unpacking import unpacked

_MAGIC_AT, _CRC_AT, _ATTRIBUTES_AT, _LAST_AT, _COUNT_AT, _HEAD = 16, 17, 21, 23, 57, 61
_LENGTH_AT, _AFTER_LENGTH = 8, 12
_CODEC, _CONTROL, _MAGIC = 0x07, 0x20, 2
_CONTINUED, _LONGEST = 0x80, 35

BATCH_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of records that one batch may unpack to. The records after them are too large."""

PIECE: Final = 1024 * 1024
"""Bytes of rewritten records in one fetch of one partition, plus one record. The rest is fetched again."""

PIECE_RECORDS: Final = 2_000
"""Rewritten records in one fetch of one partition."""

KEPT_HEADERS: Final = EDGE_HEADER_COUNT + 1
"""Headers of a record that are kept: one more than is allowed, so that the record is refused for its headers."""

SMALL: Final = 512
"""Bytes of a record that is not looked into. Its headers are few enough to be decoded first and counted then."""

HEADERS_KEPT: Final = 2 * EDGE_HEADERS_LIMIT
"""Bytes of a record's headers that are kept, with their lengths."""

_TIME_AND_DELTA: Final = (0, 1)
_KEY_AND_VALUE: Final = (0, 1)
_UNREAD: Final = Missing(0, 1)


class Bounded(NamedTuple):
    """The fetched batches of one partition, within bounds."""

    data: bytes
    missing: dict[int, Missing]
    """The bytes cut off each record, by its offset."""

    fault: Fault | None = None
    """The first batch that cannot be unpacked. The data end before it."""


def is_packed(data: bytes) -> bool:
    """Return True if a batch of *data* is compressed."""
    start = 0
    while start + _HEAD <= len(data):
        if data[start + _ATTRIBUTES_AT + 1] & _CODEC:
            return True
        start += _AFTER_LENGTH + int.from_bytes(data[start + _LENGTH_AT : start + _AFTER_LENGTH], "big")
    return False


def bounded(data: bytes, position: int) -> Bounded:
    """Return the batches of *data* with the records from *position* on, unpacked and cut to the bounds.

    A batch within the bounds is returned as it is.
    """
    kept, missing, room = list[bytes](), dict[int, Missing](), PIECE
    for batch in batches(data):
        if not _concerns(batch):
            kept.append(batch)
            continue
        if room <= 0:
            break
        try:
            piece = _rewritten(batch, position, room)
        except Exception as error:  # noqa: BLE001 - what is inside may break any decoder in any way
            return Bounded(b"".join(kept), missing, Fault(base_of(batch), repr(error)))
        kept.append(piece.data)
        missing |= piece.missing
        room -= len(piece.data)
        if not piece.whole:
            break
    return Bounded(data if len(kept) == 1 and kept[0] is data else b"".join(kept), missing)


def _concerns(batch: bytes) -> bool:
    """Return True if the batch is compressed, or if one of its records exceeds a bound."""
    if len(batch) < _HEAD or batch[_MAGIC_AT] != _MAGIC or batch[_ATTRIBUTES_AT + 1] & _CONTROL:
        return False
    if len(batch) < _AFTER_LENGTH + int.from_bytes(batch[_LENGTH_AT:_AFTER_LENGTH], "big"):
        return False  # truncated: the client fetches it again
    return bool(batch[_ATTRIBUTES_AT + 1] & _CODEC) or _has_excess(batch)


def _has_excess(batch: bytes) -> bool:
    """Return True if a record of an uncompressed batch exceeds a bound. Damaged records are left to the client.

    It runs for every record of every tenant, so it reads single bytes and calls nothing for a small record.
    """
    at, size = _HEAD, len(batch)
    try:
        while at < size:
            length, at = batch[at], at + 1
            if length & _CONTINUED:
                byte, at = batch[at], at + 1
                length, shift = length & 0x7F | (byte & 0x7F) << 7, 14
                while byte & _CONTINUED:
                    byte, at = batch[at], at + 1
                    length |= (byte & 0x7F) << shift
                    shift += 7
                if length > 2 * SMALL and _exceeds(batch, at, at + (length >> 1)):
                    return True
            at += length >> 1
    except (IndexError, ValueError):
        return False
    return False


def _count(batch: bytes) -> int:
    return int.from_bytes(batch[_COUNT_AT:_HEAD], "big", signed=True)


def _spans(body: bytes, at: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each record. The last end may lie beyond *body*."""
    size = len(body)
    for _ in range(count):
        if at >= size:
            return
        length, shift, byte = body[at] & 0x7F, 7, body[at]
        at += 1
        while byte & _CONTINUED:
            if shift > _LONGEST:
                raise ValueError("a length has too many bytes")
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
        length >>= 1  # a length is never negative, so zigzag is twice its value
        yield at, at + length
        at += length


def _exceeds(body: bytes, start: int, end: int) -> bool:
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


class _Piece(NamedTuple):
    """A part of one batch, rewritten."""

    data: bytes
    missing: dict[int, Missing]
    whole: bool
    """False if the batch has further records."""


def _rewritten(batch: bytes, position: int, room: int) -> _Piece:
    """Return the records of *batch* from *position* on, uncompressed, until they fill *room*."""
    if crc_of(batch) != int.from_bytes(batch[_CRC_AT:_ATTRIBUTES_AT], "big"):
        raise ValueError("the checksum is wrong")
    codec, count, (first, after) = batch[_ATTRIBUTES_AT + 1] & _CODEC, _count(batch), range_of(batch)
    body = unpacked(batch[_HEAD:], codec, BATCH_LIMIT)
    dense, out, written, missing = count == after - first, bytearray(), 0, dict[int, Missing]()
    number, last = -1, after - first - 1
    for number, (start, end) in enumerate(_spans(body, 0, count)):
        if dense and first + number < position:
            continue
        delta, record, lost = _cut(body, start, end, number if dense else None)
        if first + delta < position:
            continue
        if lost != COMPLETE:
            missing[first + delta] = lost
        out += record
        written, last = written + 1, delta
        if len(out) >= room or written >= PIECE_RECORDS:
            break
    else:
        if number + 1 < count:
            return _unread(batch, _Unread(out, written, missing, number + 1, count), position)
    whole = number + 1 >= count
    return _Piece(_batch(batch, out, written, after - first - 1 if whole else last), missing, whole)


class _Unread(NamedTuple):
    """The records of a batch so far, and the numbers of those after the limit."""

    out: bytearray
    written: int
    missing: dict[int, Missing]
    number: int
    end: int


def _unread(batch: bytes, so_far: _Unread, position: int) -> _Piece:
    """Add an empty record for each record that was not unpacked, because each offset needs an answer."""
    first, _ = range_of(batch)
    out, written, missing, number, count = so_far
    begin = max(number, position - first)
    end = min(count, begin + PIECE_RECORDS - written)
    for delta in range(begin, end):
        out += _empty(delta)
        missing[first + delta] = _UNREAD
    return _Piece(_batch(batch, out, written + max(0, end - begin), end - 1), missing, whole=end == count)


def _empty(delta: int) -> bytes:
    """Return a record without key, value and headers."""
    return sized(b"\0\0" + varint(delta) + b"\x01\x01\0")


def _cut(body: bytes, start: int, end: int, number: int | None) -> tuple[int, bytes, Missing]:
    """Return the offset delta of a record, the record within the bounds, and what was cut off."""
    try:
        parts = _parts(body, start, end)
        excess = end > len(body) or _exceeds(body, start, end)
    except (IndexError, ValueError):  # cut off by the limit, or damaged
        return number or 0, _empty(number or 0), _UNREAD
    delta = parts.delta if number is None else number
    head = b"\0" + body[start + 1 : parts.delta_at] + varint(delta)
    if not excess:
        return delta, sized(head + body[parts.key_at : end]), COMPLETE
    value, lost_value = _value(body, parts)
    headers, lost_headers = _headers(body, parts, end)
    key = body[parts.key_at : parts.value_at] if parts.value_at - parts.key_at <= EDGE_HEADERS_LIMIT else b"\x01"
    return delta, sized(head + key + value + headers), Missing(lost_headers, lost_value)


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
    at, kept, limit = parts.headers_at, 0, parts.headers_at + HEADERS_KEPT
    while kept < min(parts.headers, KEPT_HEADERS):
        size, name_at = decode_varint(body, at)
        size, value_at = decode_varint(body, name_at + size)
        after = value_at + max(0, size)
        if after > limit:
            break
        at, kept = after, kept + 1
    return varint(kept) + body[parts.headers_at : at], end - at


def _batch(batch: bytes, records: bytearray, count: int, last: int) -> bytes:
    """Return an uncompressed batch of *records* with the head of *batch*."""
    new = bytearray(batch[:_HEAD]) + records
    new[_ATTRIBUTES_AT + 1] &= ~_CODEC & 0xFF
    struct.pack_into(">i", new, _LAST_AT, last)
    struct.pack_into(">i", new, _COUNT_AT, count)
    struct.pack_into(">i", new, _LENGTH_AT, len(new) - _AFTER_LENGTH)
    struct.pack_into(">I", new, _CRC_AT, crc_of(new))
    return bytes(new)
