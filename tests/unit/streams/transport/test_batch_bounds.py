"""What a tenant packed into a batch, and what of it reaches the client."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import EDGE_VALUE_LIMIT
from streams.transport.batch_bounds import BATCH_LIMIT, PIECE, PIECE_RECORDS, Bounded, bounded, is_packed
from streams.transport.record_bounds import KEPT_HEADERS
from tests.integration.raw import Raw, batch, record, sealed, varint

CODECS: dict[str, tuple[int, Callable[[bytes], Any]]] = {
    "gzip": (1, gzip.compress),
    "snappy": (2, snappy_encode),
    "raw snappy": (2, lambda data: snappy_encode(data, xerial_compatible=False)),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}
MIB = 1024 * 1024


def packed(codec: str, records: list[Raw], body: bytes | None = None) -> bytes:
    """A compressed batch."""
    number, pack = CODECS[codec]
    inside = b"".join(record(raw, at) for at, raw in enumerate(records)) if body is None else body
    return batch(records, attributes=number, body=bytes(pack(inside)))


def offsets(found: Bounded) -> list[int]:
    """The offsets that the client finds."""
    return [each.offset for each in contents(found.data)]


def contents(data: bytes) -> list[Any]:
    """The records that the client finds."""
    found: list[Any] = []
    records: Any = MemoryRecords(data)
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += list(one)
    return found


def all_of(data: bytes) -> list[Any]:
    """The records of all pieces, as a client fetches them one after another."""
    found: list[Any] = []
    end = struct.unpack_from(">i", data, 23)[0] + 1
    position = 0
    while position < end:
        piece = bounded(data, position)
        assert piece.fault is None
        found += [(each.offset, each.key, each.value, piece.missing.get(each.offset)) for each in contents(piece.data)]
        first: Any = MemoryRecords(piece.data).next_batch()
        position = first.next_offset
    return found


def test_batches_within_the_bounds_are_not_touched() -> None:
    """Byte for byte, the same object where there is one batch."""
    plain = batch([Raw(b"k", b"v" * 2_000, [(b"name", b"x")] * 64), Raw()])
    assert bounded(plain, 0).data is plain
    for data in (plain + plain, plain + plain[:70], plain[:40], b"", plain[:16] + b"\x01" + plain[17:]):
        assert bounded(data, 0) == Bounded(data, {})


@pytest.mark.parametrize("codec", CODECS)
def test_compressed_records_are_all_returned(codec: str) -> None:
    """Whatever they were compressed with, in pieces."""
    records = [Raw(b"%d" % number, b"v" * 300_000) for number in range(10)]
    found = all_of(packed(codec, records))
    assert [(offset, key, missing) for offset, key, _, missing in found] == [(n, b"%d" % n, None) for n in range(10)]
    assert {value for _, _, value, _ in found} == {b"v" * 300_000}


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_unpacked_to_the_limit_only(codec: str) -> None:
    """C.1: 200 MB in one record of one batch. It is answered as too large, and memory stays small."""
    number, pack = CODECS[codec]
    size = (200 if codec in {"gzip", "zstd"} else 20) * MIB
    data = batch([Raw()], attributes=number, body=bytes(pack(record(Raw(b"key", bytes(size)), 0))))
    tracemalloc.start()
    began = time.perf_counter()
    found = bounded(data, 0)
    took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()

    (one,) = contents(found.data)
    assert len(found.data) <= EDGE_VALUE_LIMIT + 1_000
    assert one.offset == 0
    assert found.missing[0].value > 0
    assert peak < 4 * BATCH_LIMIT
    assert took < 2.0


def test_a_claim_of_two_gigabytes_costs_nothing() -> None:
    """C.1: 97 bytes whose one record claims to be 2 GB."""
    claim = varint(2**31 - 101) + b"\0\0\0" + varint(-1) + varint(2**31 - 200) + b"x" * 10
    for data in (
        batch([Raw()], attributes=1, body=gzip.compress(claim)),
        batch([Raw()], attributes=2, body=b"\xff\xff\xff\xff\x0f" + b"x" * 20),
    ):
        found = bounded(data, 0)
        assert offsets(found) == [0]
        assert found.missing[0].value > 0


def test_records_behind_the_limit_are_each_too_large() -> None:
    """No offset is skipped, and the records before the limit are ordinary."""
    records = [Raw(None, b"v" * (BATCH_LIMIT // 4)) if number % 2 else Raw(b"k", b"small") for number in range(12)]
    found = all_of(packed("gzip", records))

    assert [offset for offset, *_ in found] == list(range(12))
    assert [value for _, _, value, missing in found if missing is None] == [b"small"] * 4
    assert all(missing for _, _, value, missing in found if value != b"small")


def test_a_batch_of_millions_of_records_comes_in_pieces() -> None:
    """A record takes seven bytes, and 8 MiB of them a few kilobytes."""
    body = record(Raw(), 0) * 3_000_000
    data = bytearray(batch([Raw()], attributes=1, body=gzip.compress(body)))
    struct.pack_into(">i", data, 23, 2_999_999)
    struct.pack_into(">i", data, 57, 3_000_000)
    data = bytearray(sealed(data))

    assert offsets(bounded(bytes(data), 0)) == list(range(PIECE_RECORDS))
    assert offsets(bounded(bytes(data), 5_000)) == list(range(5_000, 5_000 + PIECE_RECORDS))
    last = bounded(bytes(data), 2_999_000)
    assert offsets(last) == list(range(2_999_000, 3_000_000))
    assert set(last.missing) == set(range(2_999_000, 3_000_000))


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_half_a_million_headers_are_counted_and_not_read(codec: str | None) -> None:
    """C.2: two bytes each, in one record. More than are allowed are kept, so that the record is refused for them."""
    many = Raw(b"k", b"x", [(b"", None)] * 520_000)
    records = [Raw(b"a", b"1"), many, Raw(b"b", b"2", [(b"n", b"v")])]
    data = batch(records) if codec is None else packed(codec, records)
    began = time.perf_counter()
    found = bounded(data, 0)
    took = time.perf_counter() - began

    assert [(each.key, each.value, len(each.headers)) for each in contents(found.data)] == [
        (b"a", b"1", 0),
        (b"k", b"x", KEPT_HEADERS),
        (b"b", b"2", 1),
    ]
    assert found.missing[1].headers == 2 * (520_000 - KEPT_HEADERS)
    assert set(found.missing) == {1}
    assert took < 0.5


def test_the_bytes_of_headers_are_bounded_too() -> None:
    """Two headers of half a megabyte are few, and more than a dead letter keeps."""
    headers = [(b"a", b"1"), (b"b", bytes(500_000)), (b"c", bytes(500_000)), (b"correlation_id", b"2")]
    found = bounded(batch([Raw(b"k", b"x", headers)]), 0)
    (one,) = contents(found.data)
    assert one.headers == [("a", b"1"), ("correlation_id", b"2")]
    assert found.missing[0].headers > 1_000_000


def test_a_key_that_is_cut_off_is_missing() -> None:
    """Without it, the record would be another request."""
    found = bounded(batch([Raw(b"k" * 250_000, b"v" * 1_000_000)]), 0)
    (one,) = contents(found.data)
    assert (one.key, len(one.value)) == (None, 1_000_000)
    assert found.missing[0].value > 250_000


def test_wrong_deltas_and_attributes_in_a_compressed_batch_are_put_right() -> None:
    """D.1: attributes have no meaning, and Kafka's own client ignores them."""
    body = record(Raw(b"a", b"1", delta=9), 0) + record(Raw(b"b", b"2", delta=9), 1)
    body = body[:1] + b"\xff" + body[2:]
    found = bounded(packed("gzip", [Raw(), Raw()], body), 0)
    assert [(each.offset, each.value) for each in contents(found.data)] == [(0, b"1"), (1, b"2")]


def test_a_position_inside_a_batch_is_respected() -> None:
    """A fetch returns the whole batch that contains its position."""
    data = packed("zstd", [Raw(b"%d" % number, b"v") for number in range(5)])
    assert offsets(bounded(data, 3)) == [3, 4]
    assert is_packed(data)
    assert is_packed(batch([Raw()]) + data)
    assert not is_packed(batch([Raw()]))


def test_damage_is_reported_and_the_batches_before_it_are_kept() -> None:
    """As for a batch that cannot be repaired."""
    plain = batch([Raw(b"k", b"v")])
    broken = batch([Raw()], attributes=1, body=b"not gzip")
    found = bounded(plain + broken + plain, 0)
    assert found.data == plain
    assert found.fault is not None


def test_concatenated_gzip_members_are_one_body() -> None:
    """As Java's reader has it."""
    a, b = record(Raw(b"a", b"1"), 0), record(Raw(b"b", b"2"), 1)
    found = bounded(batch([Raw(), Raw()], attributes=1, body=gzip.compress(a) + gzip.compress(b)), 0)
    assert offsets(found) == [0, 1]
    cut = zlib.compress(a, wbits=31)[:-6]
    assert bounded(batch([Raw()], attributes=1, body=cut), 0).fault is not None


@given(st.binary(max_size=200), st.sampled_from([0, 1, 2, 3, 4]), st.integers(-2, 5))
def test_no_bytes_at_all_make_it_raise(body: bytes, codec: int, count: int) -> None:
    """F8: a body looks like anything, and its checksum is right."""
    data = bytearray(batch([Raw()], attributes=codec, body=body or b"\0"))
    struct.pack_into(">i", data, 57, count)
    bounded(sealed(data), 0)


def test_a_piece_is_about_a_megabyte() -> None:
    """So a partition holds no more than it does with uncompressed batches."""
    found = bounded(packed("zstd", [Raw(None, bytes(100_000)) for _ in range(50)]), 0)
    assert len(found.data) < PIECE + 110_000
