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
from streams.transport.fetched_batches import Fault, base_of, batches, crc_of, range_of
from streams.transport.record_bounds import SMALL, UNREAD, cut, empty, exceeds
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
                if length > 2 * SMALL and exceeds(batch, at, at + (length >> 1)):
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
        delta, record, lost = cut(body, start, end, number if dense else None)
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
        out += empty(delta)
        missing[first + delta] = UNREAD
    return _Piece(_batch(batch, out, written + max(0, end - begin), end - 1), missing, whole=end == count)


def _batch(batch: bytes, records: bytearray, count: int, last: int) -> bytes:
    """Return an uncompressed batch of *records* with the head of *batch*."""
    new = bytearray(batch[:_HEAD]) + records
    new[_ATTRIBUTES_AT + 1] &= ~_CODEC & 0xFF
    struct.pack_into(">i", new, _LAST_AT, last)
    struct.pack_into(">i", new, _COUNT_AT, count)
    struct.pack_into(">i", new, _LENGTH_AT, len(new) - _AFTER_LENGTH)
    struct.pack_into(">I", new, _CRC_AT, crc_of(new))
    return bytes(new)
