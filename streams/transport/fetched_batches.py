"""Repair of fetched record batches that aiokafka cannot read.

Kafka specifies UTF-8 header names but does not check them. It does not check the offset deltas in a batch either.
aiokafka fails on the whole batch for a bad name, and skips records for bad deltas. A broker that rewrites a batch
(``compression.type``) replaces such names and renumbers the records. This module does the same.
The layout follows Kafka's protocol guide, "Record Batch".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from streams.transport.aiokafka_types import MemoryRecords, calc_crc32c, codecs, decode_varint, encode_varint

_START = struct.Struct(">qi")  # the first offset, and the length of what follows
_LENGTH_AT, _MAGIC_AT, _CRC_AT, _ATTRIBUTES_AT, _LAST_AT, _COUNT_AT, _HEAD = 8, 16, 17, 21, 23, 57, 61
_CODEC = 0x07
_MAGIC = 2

BUDGET = 256 * 1024
"""Bytes to rewrite in one call, because the event loop is blocked meanwhile. The rest is fetched again."""


class Fault(NamedTuple):
    """A batch that cannot be repaired."""

    offset: int
    """The offset of the batch's first record."""
    reason: str


class Readable(NamedTuple):
    """The readable batches up to the first one that cannot be repaired."""

    data: bytes
    changed: bool
    """True if a batch was rewritten, or left for the next fetch."""
    fault: Fault | None = None


def readable(data: bytes) -> Readable:
    r"""Return *data* with unreadable batches rewritten. Bytes of header names that are not UTF-8 become ``\xNN``."""
    kept, spent = list[bytes](), 0
    for batch in batches(data):
        if spent > BUDGET:
            return Readable(b"".join(kept), changed=True)
        plain = batch
        if _fault(batch) is not None:
            spent += len(batch)
            try:
                plain = _anew(batch)
            except Exception as error:  # noqa: BLE001 - what is inside may break any decoder in any way
                return Readable(b"".join(kept), changed=True, fault=Fault(base_of(batch), repr(error)))
        kept.append(plain)
    return Readable(b"".join(kept), changed=spent > 0)


def batches(data: bytes) -> Iterator[bytes]:
    """Yield each batch. The last one may be truncated, which the client expects."""
    start = 0
    while start < len(data):
        end = len(data)
        if end - start >= _START.size:
            end = min(end, start + _START.size + max(1, _START.unpack_from(data, start)[1]))
        yield data[start:end]
        start = end


def base_of(batch: bytes) -> int:
    """Return the offset of the batch's first record."""
    offset: int = _START.unpack_from(batch)[0]
    return offset


def _fault(batch: bytes) -> Exception | None:
    """Return the reason why the client cannot read *batch*, or None if it can."""
    try:
        one = MemoryRecords(batch).next_batch()
        if one is None:  # a truncated batch
            return None
        if not one.validate_crc():
            return ValueError("the checksum is wrong")
        offsets = [record.offset for record in one]
        if batch[_MAGIC_AT] == _MAGIC and not _in_order(offsets, *range_of(batch)):
            return ValueError("the records are numbered wrongly")
    except Exception as error:  # noqa: BLE001 - as above
        return error
    return None


def range_of(batch: bytes) -> tuple[int, int]:
    """Return the first offset of the batch and the offset after its last."""
    first, (last,) = base_of(batch), struct.unpack_from(">i", batch, _LAST_AT)
    return first, first + int(last) + 1


def _in_order(offsets: list[int], first: int, end: int) -> bool:
    """Return True if *offsets* rise strictly and lie in the range from *first* to below *end*."""
    edges = [first - 1, *offsets, end]
    return all(low < high for low, high in pairwise(edges))


def _anew(batch: bytes) -> bytes:
    """Return the batch with the same records, uncompressed and repaired. Raises any exception if decoding fails."""
    if batch[_MAGIC_AT] != _MAGIC:
        raise ValueError(f"format {batch[_MAGIC_AT]}")
    if crc_of(batch) != struct.unpack_from(">I", batch, _CRC_AT)[0]:
        raise ValueError("the checksum is wrong")
    (attributes,), (count,) = (
        struct.unpack_from(">h", batch, _ATTRIBUTES_AT),
        struct.unpack_from(">i", batch, _COUNT_AT),
    )
    first, end = range_of(batch)
    records = list(_records(_unpacked(batch[_HEAD:], attributes & _CODEC), count))
    if count == end - first and not _in_order([record.delta for record in records], 0, count):
        records = [record._replace(delta=number) for number, record in enumerate(records)]
    new = bytearray(batch[:_HEAD])
    for record in records:
        new += sized(record.start + varint(record.delta) + record.rest)
    struct.pack_into(">h", new, _ATTRIBUTES_AT, attributes & ~_CODEC)
    struct.pack_into(">i", new, _LENGTH_AT, len(new) - _START.size)
    struct.pack_into(">I", new, _CRC_AT, crc_of(new))
    plain = bytes(new)
    if (fault := _fault(plain)) is not None:
        raise fault
    return plain


def crc_of(batch: bytes | bytearray) -> int:
    """Return the checksum that the batch should have."""
    crc: int = calc_crc32c(bytes(batch[_ATTRIBUTES_AT:]))
    return crc


def _unpacked(body: bytes, codec: int) -> bytes:
    decoders = {1: codecs.gzip_decode, 2: codecs.snappy_decode, 3: codecs.lz4_decode, 4: codecs.zstd_decode}
    plain: bytes = decoders[codec](body) if codec else body
    return plain


class _Record(NamedTuple):
    """A record: the bytes before its offset delta, the delta, and the bytes after it."""

    start: bytes
    delta: int
    rest: bytes


def _records(body: bytes, count: int) -> Iterator[_Record]:
    at = 0
    for _ in range(count):
        length, at = decode_varint(body, at)
        yield _record(body[at : at + length])
        at += length
    if at != len(body):
        raise ValueError("the records do not fill their batch")


def _record(body: bytes) -> _Record:
    _, delta_at = decode_varint(body, 1)  # after the attributes byte, which has no meaning and may be any
    delta, key_at = decode_varint(body, delta_at)
    count_at = _past(body, _past(body, key_at))
    count, at = decode_varint(body, count_at)
    headers = bytearray(varint(count))
    for _ in range(count):
        size, at = decode_varint(body, at)
        name, value_at = body[at : at + size], at + size
        at = _past(body, value_at)
        headers += sized(name.decode(errors="backslashreplace").encode()) + body[value_at:at]
    return _Record(b"\0" + body[1:delta_at], delta, body[key_at:count_at] + bytes(headers))


def _past(body: bytes, at: int) -> int:
    """Return the end position of the length-prefixed field at *at*."""
    size, start = decode_varint(body, at)
    end: int = start + max(0, size)
    return end


def varint(number: int) -> bytes:
    """Return *number* in Kafka's zigzag varint encoding."""
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def sized(data: bytes) -> bytes:
    """Return *data* after their length."""
    return varint(len(data)) + data
