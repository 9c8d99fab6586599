"""One Headrace hop: a worker that copies each record of one topic to another, in transactions."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from ops.lab.bench.platform import BenchTopics, until
from ops.lab.bench.window import Window
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_definitions import RECORDS
from streams.telemetry.metric_store import MetricStore

RUNNING = 2_000
"""The limit of records that are admitted and not finished."""

Handler: TypeAlias = Callable[[str, Record], Outputs | Awaitable[Outputs]]
"""A function that takes the target topic and a record, and returns the outputs."""


def plain(target: str, record: Record) -> Outputs:
    """Copy the record to *target*, as a plain function."""
    return [ProducerRecord(target, record.key, record.value, record.headers)]


async def coroutine(target: str, record: Record) -> Outputs:
    """Copy the record to *target*, as an ``async def`` like an agent."""
    return [ProducerRecord(target, record.key, record.value, record.headers)]


@dataclass(frozen=True, slots=True)
class EngineHop:
    """A topic of *partitions* partitions, copied by a worker with *shards* shards."""

    place: BenchTopics
    source: str
    partitions: int
    shards: int

    @asynccontextmanager
    async def worker(
        self, target: str, handler: Handler, window: Window, running: int = RUNNING
    ) -> AsyncGenerator[Worker]:
        """Run a worker in a new group, from the beginning of the source, and stop it at the end."""
        group = self.place.name(f"group-{uuid.uuid4().hex[:6]}")
        inputs = [Partition(self.source, number) for number in range(self.partitions)]
        await self.place.begin(group, inputs)
        shard_topic = await self.place.fresh("shards", self.shards)

        def prepare(_: int, record: Record) -> Job:
            window.begin()
            return Job(record.key, lambda: handler(target, record))

        work = StageHandler(
            group=group,
            route=lambda shard: {each for each in inputs if each.number % self.shards == shard},
            prepare=prepare,
            max_running=running,
        )
        parameters = EngineConfig(self.place.connection, name=group, shard_topic=shard_topic)
        worker = Worker(parameters, work, SystemClock())
        await worker.start()
        try:
            yield worker
        finally:
            await worker.stop(grace=5.0)

    async def cost_us(self, target: str, handler: Handler, count: int) -> float:
        """Return the CPU microseconds per record, for *count* records that are already written."""
        window = Window()
        async with self.worker(target, handler, window) as worker:
            await until(lambda: committed(worker.metrics) >= count)
            return window.cost_us(count)


def committed(metrics: MetricStore) -> float:
    """Return the number of records whose outcome is visible."""
    return metrics.total(RECORDS)
