"""What is changed of aiokafka's clients."""

# ruff: noqa: SLF001 - what is private to them is what is changed
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest_v5

from schemas.clock import SystemClock
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import Client, ConnectionGroup, KafkaError, Untyped
from streams.transport.connection import Connection
from streams.transport.data_consumer import DataConsumer
from streams.transport.errors import KafkaUnreachableError
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer

pytestmark = pytest.mark.anyio

NOWHERE = Connection("nowhere:1")


async def may_create(client: Untyped) -> bool:
    """Whether a broker may make the topics that *client* asks about."""
    asked: list[Any] = []

    async def send(request: Untyped) -> None:
        asked.append(request.build(MetadataRequest_v5))
        raise KafkaError

    async def connected(_node: object) -> object:
        return SimpleNamespace(send=send)

    client._get_conn = connected
    client._conns = {("bootstrap", ConnectionGroup.DEFAULT): None}
    await client._metadata_update(client.cluster, ["gone"])
    client._conns = {}
    (request,) = asked
    assert request.to_object()["topics"] == ["gone"]
    return bool(request.to_object()["allow_auto_topic_creation"])


async def test_a_question_about_topics_makes_none() -> None:
    """A deleted topic that is still asked about would come back empty, where brokers make topics by themselves."""
    client: Untyped = Client(bootstrap_servers="nowhere:1")
    assert await may_create(client), "aiokafka has learnt it: do without create_nothing"

    aiokafka_private.create_nothing(client)

    assert not await may_create(client)


async def test_what_workers_read_and_write_by_makes_no_topics() -> None:
    """They go on asking about a tenant's topics, whoever deletes them."""
    consumer = DataConsumer(NOWHERE, SystemClock(), name="test", fetch_wait_ms=100, request_timeout_ms=1_000)
    producer = TransactionalProducer(
        NOWHERE, "id", SystemClock(), name="test", timeout_ms=1_000, request_timeout_ms=1_000
    )

    assert not await may_create(aiokafka_private.client_of(consumer._consumer))
    assert not await may_create(producer._brokers.client)
    await consumer.close()
    await producer.kill()


@pytest.mark.parametrize("size", [2**31 - 1, -1, aiokafka_private.FRAME_LIMIT + 1])
async def test_a_frame_larger_than_any_response_is_not_read(size: int) -> None:
    """C.5: a broker that answers with two gigabytes would fill the memory of its client."""
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readexactly(4)
        writer.write(size.to_bytes(4, "big", signed=True))
        try:
            while sent < 256 * 1024 * 1024:
                writer.write(bytes(1024 * 1024))
                await writer.drain()
                sent += 1024 * 1024
        except OSError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(KafkaUnreachableError):
            await Reader.open(Connection(f"127.0.0.1:{port}"), "topic", deadline_s=1.0)
    assert sent < 64 * 1024 * 1024
