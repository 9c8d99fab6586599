"""F20: retry tiers on a real broker keep their delay through a restart of the mover and steps of its clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumers.resilience.cancel import Cancels
from ops.embedded.kafka import Kafka, embedded_kafka
from producers.stage_records import screened_record
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.topics import RETRIES_10S, RETRY_TIERS, SCREENED, SHARDS
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.journey import RETRIES_GROUP
from streams.stages.retries import RetryMover
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter, Writer
from tests.integration.engine_setup import eventually
from tests.unit.producers import samples
from tests.unit.streams.engine.shard_setup import SEALS, builder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

DELAY_MS = 10_000
LATEST_MS = 2 * DELAY_MS
"""What has waited while no mover ran waits once more, at most, if the clock of the next one cannot be believed."""


class Stepped(SystemClock):
    """The machine's clock, until it is set."""

    step_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return super().now_ms() + self.step_ms


@asynccontextmanager
async def mover(connection: Connection) -> AsyncGenerator[Stepped]:
    """A mover for as long as the block, and its clock."""
    clock = Stepped()
    config = EngineConfig(connection, shard_topic=SHARDS.name)
    worker = Worker(config, RetryMover.of(builder(clock, "retries"), Cancels(clock)).handler(), clock)
    await worker.start()
    try:
        await eventually(lambda: worker.ready)
        yield clock
        assert worker.fatal is None
    finally:
        await worker.stop(5.0)


@pytest.fixture
async def tiers(embedded_cache: Path, tmp_path: Path) -> AsyncGenerator[Connection]:
    """A broker of its own with the topics of the retries, one shard."""
    async with embedded_kafka(tmp_path / "kafka", embedded_cache) as broker:
        yield await laid_out(broker)


async def laid_out(broker: Kafka) -> Connection:
    """Topics and first offsets."""
    connection = Connection(broker.bootstrap)
    names = [tier.name for _, tier in RETRY_TIERS]
    async with await Admin.open(connection) as admin:
        stamped = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopicSpec(name, 1, configs=stamped) for name in (*names, SCREENED.name)])
        await admin.create_topics([NewTopicSpec(SHARDS.name, 1)])
    async with await TransactionalWriter.open(connection, "provision") as writer:
        await writer.transact([], {Partition(name, 0): 0 for name in names}, RETRIES_GROUP)
    return connection


@pytest.mark.parametrize("step_ms", [-300_000, 300_000])
async def test_f20_a_record_comes_back_after_its_delay_whatever_happens_to_its_mover(
    tiers: Connection, step_ms: int
) -> None:
    """Its clock is set by five minutes, it is stopped, another goes on, and that one's clock is set too."""
    admission = samples.ADMISSION.model_copy(update={"deadline_ms": SystemClock().now_ms() + 3_600_000})
    hop = samples.SCREENED.model_copy(
        update={"authorized": samples.AUTHORIZED.model_copy(update={"admission": admission})}
    )
    async with (
        await Writer.open(tiers) as writer,
        await Reader.open(tiers, SCREENED.name) as reader,
        await Reader.open(tiers, RETRIES_10S.name) as sent,
    ):
        async with mover(tiers) as clock:
            await writer.send(screened_record(hop, SEALS, samples.TRACE, topic=RETRIES_10S, partition=0))
            await asyncio.sleep(1.0)
            clock.step_ms = step_ms
            await asyncio.sleep(1.5)
        async with mover(tiers) as clock:
            clock.step_ms = step_ms
            async with asyncio.timeout(DELAY_MS / 1_000 + 10):
                while not (back := await reader.poll(0.2)):
                    pass
        waiting = [record async for record in sent.until(await sent.high_watermarks())]
    assert [record.key for record in back] == [waiting[0].key]
    assert DELAY_MS <= back[0].timestamp - waiting[0].timestamp < LATEST_MS
