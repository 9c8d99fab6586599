"""The reference measurements: plain aiokafka, at least once, without Headrace code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ops.lab.bench.platform import until
from ops.lab.bench.window import Window
from schemas.topics import partition_of
from streams.transport.aiokafka_types import Consumer, Producer, Untyped
from streams.transport.connection import Connection

WAIT_MS = 100
RECORDS = 1_000
"""The most records of one poll."""

BATCH_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class RawHop:
    """One hop of a raw chain: read, write, await, commit. It runs until it is cancelled."""

    connection: Connection
    source: str
    target: str
    window: Window = field(default_factory=Window)

    async def run(self, producer: Untyped, partitions: int | None = None) -> None:
        """Copy records with one ``send`` each; with *partitions*, in batches that are encoded here."""
        async with consumer(self.connection, self.source, f"raw-{self.target}") as source:
            while True:
                found = await source.getmany(timeout_ms=WAIT_MS, max_records=RECORDS)
                records = [record for batch in found.values() for record in batch]
                if records:
                    self.window.begin()
                    sent = await (
                        self._each(producer, records)
                        if partitions is None
                        else self._whole(producer, records, partitions)
                    )
                    await asyncio.wait(sent)
                    await source.commit()
                    self.window.done += len(records)

    async def _each(self, producer: Untyped, records: Sequence[Untyped]) -> list[Untyped]:
        return [
            await producer.send(self.target, record.value, key=record.key, headers=list(record.headers))
            for record in records
        ]

    async def _whole(self, producer: Untyped, records: Sequence[Untyped], partitions: int) -> list[Untyped]:
        batches = self._encoded(producer, records, partitions)
        return [await producer.send_batch(each, self.target, partition=place) for place, each in batches]

    def _encoded(self, producer: Untyped, records: Sequence[Untyped], partitions: int) -> list[tuple[int, Untyped]]:
        batches: list[tuple[int, Untyped]] = []
        current: dict[int, Untyped] = {}
        for record in records:
            place, headers = partition_of(record.key, partitions), list(record.headers)
            batch = current.get(place)
            if batch is None or not _added(batch, record, headers):
                batch = current[place] = producer.create_batch()
                batches.append((place, batch))
                _added(batch, record, headers)
        return batches


def _added(batch: Untyped, record: Untyped, headers: list[tuple[str, bytes]]) -> bool:
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


@asynccontextmanager
async def consumer(connection: Connection, topic: str, group: str) -> AsyncGenerator[Untyped]:
    """Yield a consumer that starts at the earliest offset and commits only on request."""
    source = Consumer(
        topic,
        **connection.options(),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=WAIT_MS,
    )
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


@asynccontextmanager
async def producer(connection: Connection, linger_ms: int = 5) -> AsyncGenerator[Untyped]:
    """Yield a producer with large batches and ``acks="all"``."""
    target = Producer(**connection.options(), acks="all", linger_ms=linger_ms, max_batch_size=BATCH_BYTES)
    await target.start()
    try:
        yield target
    finally:
        await target.stop()


async def cost_us(hops: Sequence[RawHop], count: int, partitions: int | None = None) -> float:
    """Return the CPU microseconds per record through all *hops*, which share a producer.

    *count* records are already written.
    """
    async with producer(hops[0].connection) as shared, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(hop.run(shared, partitions)) for hop in hops]
        await until(lambda: hops[-1].window.done >= count)
        cost = hops[0].window.cost_us(count)
        for task in running:
            task.cancel()
    return cost
