"""What a broker hands out and the client would not read."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import pytest
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.transport import fetched_batches
from streams.transport.fetched_batches import readable
from tests.integration.raw import Raw, batch, record, sealed

BAD = b"\xff\xfe"
PLAIN = batch([Raw(b"k", b"v", [(b"name", b"x")])])


def contents(data: bytes) -> list[tuple[int, Any, Any, Any]]:
    """What the client makes of *data*: offset, key, value and headers of each record."""
    found: list[tuple[int, Any, Any, Any]] = []
    records: Any = MemoryRecords(data)
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(each.offset, each.key, each.value, each.headers) for each in one]
    return found


def at(offset: int, data: bytes) -> bytes:
    """As the broker numbers a batch; its checksum does not cover that."""
    return struct.pack(">q", offset) + data[8:]


def test_what_the_client_can_read_is_not_touched() -> None:
    """Byte for byte, compressed or not."""
    packed = batch([Raw()], attributes=1, body=gzip.compress(record(Raw(b"k", b"v"), 0)))
    for data in (PLAIN, packed, PLAIN + at(1, packed), b""):
        assert readable(data) == (data, False, None)


def test_a_name_that_is_no_text_is_spelled_out_and_all_else_is_kept() -> None:
    """Its bytes can still be told from the text; nulls, empty values and other names stay."""
    raw = Raw(None, b"", [(BAD + b"x", None), (b"", BAD), ("é".encode(), b"")])
    found = readable(at(7, batch([Raw(b"a", None), raw])))

    assert contents(found.data) == [(7, b"a", None, []), (8, None, b"", [("\\xff\\xfex", None), ("", BAD), ("é", b"")])]
    assert found.changed
    assert found.fault is None


@pytest.mark.parametrize(("codec", "pack"), [(1, gzip.compress), (2, snappy_encode), (3, lz4_encode), (4, zstd_encode)])
def test_a_compressed_batch_is_unpacked_for_it(codec: int, pack: Any) -> None:  # noqa: ANN401 - theirs
    """Whatever it was compressed with."""
    body = record(Raw(b"k", b"v" * 500, [(BAD, b"x")]), 0)
    found = readable(batch([Raw()], attributes=codec, body=bytes(pack(body))))
    assert contents(found.data) == [(0, b"k", b"v" * 500, [("\\xff\\xfe", b"x")])]


@pytest.mark.parametrize("deltas", [(0, 0, 0), (0, 1000, 1001), (-3, -2, -1), (2, 1, 0), (0, 2, 1), (0, 1, 3)])
def test_records_that_are_numbered_wrongly_are_numbered_anew(deltas: tuple[int, ...]) -> None:
    """As a broker does that writes the batch anew: else all but one of an offset would be skipped."""
    found = readable(at(50, batch([Raw(b"k", b"%d" % number, delta=delta) for number, delta in enumerate(deltas)])))
    assert [(offset, value) for offset, _, value, _ in contents(found.data)] == [(50, b"0"), (51, b"1"), (52, b"2")]


def test_gaps_that_compaction_has_left_are_kept() -> None:
    """Fewer records than offsets: the others have been removed, and the rest keep theirs."""
    data = bytearray(batch([Raw(b"a", b"", [(BAD, b"")], delta=1), Raw(b"b", b"", delta=4)]))
    struct.pack_into(">i", data, 23, 6)
    found = readable(sealed(data))
    assert [offset for offset, *_ in contents(found.data)] == [1, 4]


@pytest.mark.parametrize(
    "broken",
    [
        PLAIN[:-1] + b"?",
        batch([Raw()], body=b"\x7f" * 40),
        batch([Raw()], body=record(Raw(b"k"), 0) + b"more"),
        batch([Raw()], attributes=1, body=b"not gzip"),
        batch([Raw()], attributes=5),
        batch([Raw(b"", b"", [(BAD, b"")])])[:-1] + b"?",
        PLAIN[:16] + b"\x01" + PLAIN[17:],
    ],
    ids=["checksum", "nonsense", "trailing", "not packed", "codec", "checksum and name", "format"],
)
def test_what_nobody_can_read_is_named_and_what_stands_before_it_is_kept(broken: bytes) -> None:
    """Nothing behind it is handed out: that would be a silent jump."""
    found = readable(PLAIN + at(1, broken) + at(2, PLAIN))

    assert found.data == PLAIN
    assert found.changed
    assert found.fault is not None
    assert found.fault.offset == 1


def test_what_was_cut_off_is_left_to_the_client() -> None:
    """A broker fills its answer to the last byte."""
    for size in (1, 11, 12, 30, len(PLAIN) - 1):
        assert readable(PLAIN + PLAIN[:size]) == (PLAIN + PLAIN[:size], False, None)


def test_no_more_is_written_anew_at_once_than_the_loop_can_wait_for() -> None:
    """The rest is left for the next fetch, and that it was is said."""
    big = batch([Raw(b"k", b"x" * (fetched_batches.BUDGET // 2), [(BAD, b"")])])
    found = readable(big * 5)

    assert len(contents(found.data)) == 2
    assert found.changed


@given(st.binary(max_size=300), st.integers(0, len(PLAIN) - 1), st.binary(min_size=1, max_size=4))
def test_no_bytes_at_all_make_it_raise_or_hang(tail: bytes, at_byte: int, other: bytes) -> None:
    """F8: damage looks like anything."""
    readable(PLAIN + tail)
    readable(PLAIN[:at_byte] + other + PLAIN[at_byte + len(other) :] + PLAIN)
