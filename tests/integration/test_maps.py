"""Hundreds of full completion maps in one shard: they are spread over transactions, and nobody waits long for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
import structlog

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.handler import StageHandler
from streams.offsets.offset_map import LIMIT, encode
from streams.telemetry.metric_definitions import LOOP_BLOCKED_SECONDS, REOPENS, TRANSACTIONS
from streams.transport.admin import NewTopicSpec
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = pytest.mark.anyio

log = structlog.get_logger()

MAPS = 400
"""Partitions whose first record runs and runs, while half of what came after it is done."""

WIDTH = 19_000

GENEROUS_S = 10.0
"""What the innocent may wait where several others use the machine too. With maps of milliseconds each it was expelled
from its group instead, and waited for minutes."""


@dataclass
class Crowd:
    """A topic of that many partitions, and of one more for an innocent."""

    setup: EngineSetup
    over: asyncio.Event = field(default_factory=asyncio.Event)
    running: Counter[int] = field(default_factory=Counter[int])

    @property
    def topic(self) -> str:
        return f"crowd-{self.setup.tag}"

    def handler(self) -> StageHandler:
        async def answer(record: Record) -> None:
            if record.value == b"long":
                self.running[record.partition] += 1
                await self.over.wait()

        places = {Partition(self.topic, number) for number in range(MAPS + 1)}
        return replace(self.setup.handler(answer), route=lambda _: places, max_running=2 * MAPS)

    async def prepare(self) -> None:
        """Half of what lies beyond each first record is done, as a predecessor has committed it."""
        await self.setup.admin.create_topics([NewTopicSpec(self.topic, MAPS + 1)])
        chance = random.Random(1)
        text = encode(0, (offset for offset in range(1_000, WIDTH) if chance.random() < 0.5))
        assert len(text) > LIMIT * 0.7
        maps = {Partition(self.topic, number): (0, text if number < MAPS else "") for number in range(MAPS + 1)}
        producer = TransactionalProducer(
            self.setup.connection,
            f"before-{self.setup.tag}",
            SystemClock(),
            name="before",
            timeout_ms=8_000,
            request_timeout_ms=5_000,
        )
        await producer.fence()
        for start in range(0, MAPS + 1, 100):
            await producer.transact([], dict(list(maps.items())[start : start + 100]), self.setup.group)
        await producer.kill()

    async def send(self, writer: Writer, value: bytes) -> None:
        """One record for each partition of the crowd."""
        async with asyncio.TaskGroup() as group:
            for number in range(MAPS):
                group.create_task(
                    writer.send(ProducerRecord(self.topic, b"%d-%s" % (number, value), value, partition=number))
                )


@pytest.mark.slow
async def test_f26_400_full_maps_are_spread_over_transactions_beside_an_innocent(kafka: Kafka) -> None:
    """Each is near what a broker takes (I3), and all together are more than one transaction holds."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        crowd = Crowd(setup)
        await crowd.prepare()
        async with (
            setup.worker(crowd.handler()) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            await crowd.send(writer, b"long")
            await eventually(lambda: len(crowd.running) == MAPS)
            before = worker.metrics.total(TRANSACTIONS)
            waits: list[float] = []
            async with asyncio.TaskGroup() as group:
                crowding = group.create_task(crowd_on(crowd, writer))
                while not crowding.done():
                    waits.append(await visit(crowd, writer, reader, len(waits)))
            written = worker.metrics.total(TRANSACTIONS) - before
            log.info(
                "waits", waits=sorted(waits), transactions=written, blocks=worker.metrics.total(LOOP_BLOCKED_SECONDS)
            )
            assert (worker.metrics.total(REOPENS), worker.fatal) == (0, None)
            assert written >= 3
            assert sorted(waits)[len(waits) * 99 // 100] < GENEROUS_S
            crowd.over.set()
        assert set(crowd.running.values()) == {1}


async def crowd_on(crowd: Crowd, writer: Writer) -> None:
    """Every map is written anew, again and again."""
    for turn in range(6):
        await crowd.send(writer, b"fast-%d" % turn)
        await asyncio.sleep(0.3)


async def visit(crowd: Crowd, writer: Writer, reader: Reader, number: int) -> float:
    """Seconds that one record of the innocent waits for its answer."""
    value, began = b"innocent-%d" % number, time.monotonic()
    await writer.send(ProducerRecord(crowd.topic, b"innocent", value, partition=MAPS))
    async with asyncio.timeout(30):
        while not any(record.value == value for record in await reader.poll(0.02)):
            pass
    return time.monotonic() - began
