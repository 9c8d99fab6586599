"""What a tenant packs into a batch ends neither the broker nor the reader, and the next record is read."""

from __future__ import annotations

import gzip
import uuid
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import COMPLETE, Partition, Record
from schemas.topics import CONTROL, EDGE_VALUE_LIMIT, REQUESTS
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.data_consumer import DataConsumer
from streams.transport.reader import Reader
from streams.transport.record_bounds import KEPT_HEADERS
from tests.integration.raw import Raw, batch, raw_client, record, varint

pytestmark = pytest.mark.anyio

NEXT = batch([Raw(b"k", b"next")])


def packed(*pieces: bytes) -> bytes:
    """Gzip, of more than one would hold in memory."""
    stream = zlib.compressobj(9, wbits=31)
    return b"".join([stream.compress(piece) for piece in pieces]) + stream.flush()


def bomb(size: int) -> bytes:
    """One record of *size* megabytes in a kilobyte each."""
    value = size * 1024 * 1024
    head = b"\0\0\0" + varint(-1) + varint(value)
    start = varint(len(head) + value + 1) + head
    return batch([Raw()], attributes=1, body=packed(start, *[bytes(1024 * 1024)] * size, b"\0"))


def many_headers(count: int) -> bytes:
    """One record of empty headers."""
    head = b"\0\0\0" + varint(-1) + varint(-1) + varint(count)
    hundred = b"\0\1" * 100_000
    return batch(
        [Raw()],
        attributes=1,
        body=packed(varint(len(head) + 2 * count) + head, *[hundred] * (count // 100_000)),
    )


@asynccontextmanager
async def consumer_of(partition: Partition, connection: Connection) -> AsyncGenerator[DataConsumer]:
    """A worker's consumer at the beginning of one partition."""
    consumer = DataConsumer(connection, SystemClock(), name="bounds", fetch_wait_ms=50, request_timeout_ms=9_000)
    try:
        await consumer.start(20.0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        yield consumer
    finally:
        await consumer.close()


async def taken(consumer: DataConsumer, partition: Partition, count: int) -> list[Record]:
    """The first *count* records."""
    found: list[Record] = []
    while len(found) < count:
        assert not consumer.faults
        found += (await consumer.take({partition: 100}, 100, 10**9)).get(partition, [])
    return found


@pytest.mark.parametrize("topic", [REQUESTS, CONTROL])
async def test_bombs_are_cut_and_the_next_record_is_read(kafka: Kafka, topic: object) -> None:
    """C.1 and C.2: with ``compression.type=uncompressed``, the broker would have ended."""
    edge = REQUESTS if topic is REQUESTS else CONTROL
    connection, partition = Connection(kafka.bootstrap), Partition(edge.of(f"t{uuid.uuid4().hex}"), 0)
    claim = varint(2**31 - 101) + b"\0\0\0" + varint(-1) + varint(2**31 - 200) + b"x" * 10
    small = 40 if edge is CONTROL else 200
    async with await Admin.open(connection) as admin, raw_client(kafka.bootstrap) as raw:
        await admin.create_topics([NewTopicSpec(partition.topic, 1, 1, edge.config)])
        assert await raw.write(partition, batch([Raw()], attributes=1, body=gzip.compress(claim))) != 0
        for data in (bomb(small), many_headers(20_000_000), batch([Raw(None, b"x", [(b"", None)] * 60_000)]), NEXT):
            assert await raw.write(partition, data) == 0
    async with consumer_of(partition, connection) as consumer:
        big, packed_headers, plain_headers, after = await taken(consumer, partition, 4)
        assert len(big.value or b"") == EDGE_VALUE_LIMIT
        assert big.missing.value > (small - 2) * 1024 * 1024
        assert packed_headers.missing.headers > 1_000_000
        assert len(plain_headers.headers) == KEPT_HEADERS
        assert (after.value, after.missing) == (b"next", COMPLETE)
    async with await Reader.open(connection, partition.topic) as reader:
        found = [each async for each in reader.until(await reader.high_watermarks())]
        assert [len(each.value or b"") for each in found] == [EDGE_VALUE_LIMIT, 0, 1, 4]


async def test_a_packed_batch_is_read_in_pieces_from_any_position(kafka: Kafka) -> None:
    """The records of one batch come in several fetches, each once and in order."""
    connection, partition = Connection(kafka.bootstrap), Partition(REQUESTS.of(f"t{uuid.uuid4().hex}"), 0)
    records = [Raw(None, b"%d" % number + bytes(100_000)) for number in range(60)]
    body = b"".join(record(raw, number) for number, raw in enumerate(records))
    async with await Admin.open(connection) as admin, raw_client(kafka.bootstrap) as raw:
        await admin.create_topics([NewTopicSpec(partition.topic, 1, 1, REQUESTS.config)])
        assert await raw.write(partition, batch(records, attributes=1, body=gzip.compress(body))) == 0
        assert await raw.write(partition, NEXT) == 0
    async with consumer_of(partition, connection) as consumer:
        found = await taken(consumer, partition, 61)
        assert [each.offset for each in found] == list(range(61))
        assert all(each.missing == COMPLETE for each in found)
        consumer.seek(partition, 57)
        assert [each.offset for each in await taken(consumer, partition, 4)] == [57, 58, 59, 60]


async def test_a_record_with_any_attributes_is_an_ordinary_record(kafka: Kafka) -> None:
    """D.1: attributes have no meaning. 0xff stopped its partition for good."""
    connection, partition = Connection(kafka.bootstrap), Partition(REQUESTS.of(f"t{uuid.uuid4().hex}"), 0)
    odd = record(Raw(b"k", b"odd"), 0)
    odd = odd[:1] + b"\xff" + odd[2:]
    async with await Admin.open(connection) as admin, raw_client(kafka.bootstrap) as raw:
        await admin.create_topics([NewTopicSpec(partition.topic, 1, 1, REQUESTS.config)])
        assert await raw.write(partition, batch([Raw()], body=odd)) == 0
        assert await raw.write(partition, batch([Raw()], attributes=1, body=gzip.compress(odd))) == 0
        assert await raw.write(partition, NEXT) == 0
    async with consumer_of(partition, connection) as consumer:
        assert [each.value for each in await taken(consumer, partition, 3)] == [b"odd", b"odd", b"next"]
