"""What chaos does to machines, done to real ones."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

import pytest

from ops.embedded.kafka import embedded_kafka
from ops.lab.chaos.machines import limit_files
from schemas.records import ProducerRecord
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.errors import TransportError
from streams.transport.reader import Reader
from streams.transport.writer import Writer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process can be set on Linux only"),
]


async def test_a_broker_without_room_takes_nothing_and_keeps_what_it_took(embedded_cache: Path, tmp_path: Path) -> None:
    """So that a full disk is what it says it is; and the broker comes back once there is room."""
    topic = f"full-{uuid.uuid4().hex[:8]}"
    async with embedded_kafka(tmp_path / "kafka", embedded_cache) as broker:
        connection = Connection(broker.bootstrap)
        async with await Admin.open(connection) as admin:
            await admin.create_topics([NewTopicSpec(topic, 1)])
        async with await Writer.open(connection, deadline_s=2.0) as writer:
            await writer.send(ProducerRecord(topic, b"k", b"before" * 2_000))
            limit_files(broker.pid)
            with pytest.raises(TransportError):
                await writer.send(ProducerRecord(topic, b"k", b"lost"))
        await broker.ended(0.5)
        await broker.start()
        async with await Writer.open(connection) as writer:
            await writer.send(ProducerRecord(topic, b"k", b"after"))
        async with asyncio.timeout(20), await Reader.open(connection, topic) as reader:
            values = [record.value async for record in reader.until(await reader.high_watermarks())]
    assert values[0] == b"before" * 2_000
    assert values[-1] == b"after"
