"""The environment of a benchmark: a broker, and topics that only this benchmark uses."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops.connection import connection_of
from ops.embedded.kafka import embedded_kafka
from ops.settings import Settings, cache_folder, maven_folder, without_cluster
from schemas.records import Partition, ProducerRecord
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.writer import TransactionalWriter

BATCH = 500
"""Records per transaction that fills a topic."""

PATIENCE_S = 120.0
"""Seconds to wait for a started operation to finish, even on a busy machine."""


@asynccontextmanager
async def brokers(settings: Settings, folder: Path) -> AsyncGenerator[Settings]:
    """Yield settings with the configured brokers, or with an embedded broker that runs for the block."""
    if settings.kafka_bootstrap:
        yield settings
        return
    async with embedded_kafka(
        folder, cache_folder(), repository=settings.maven_repository, neighbour=maven_folder()
    ) as kafka:
        yield settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})


def alone(settings: Settings) -> Settings:
    """Return settings without a cluster, so that a benchmark never provisions a platform on a cluster in use."""
    return without_cluster(settings)


@dataclass(frozen=True, slots=True)
class BenchTopics:
    """Topics with a unique tag, on a cluster that may have others."""

    connection: Connection
    admin: Admin
    tag: str
    made: list[str] = field(default_factory=list[str])
    """Topics to delete at the end."""

    def name(self, what: str) -> str:
        """Return the name of a topic or group of this benchmark."""
        return f"bench-{what}-{self.tag}"

    async def topic(self, what: str, partitions: int) -> str:
        """Create a topic, and return its name."""
        name = self.name(what)
        self.made.append(name)
        await self.admin.create_topics([NewTopicSpec(name, partitions)])
        return name

    async def fresh(self, what: str, partitions: int) -> str:
        """Create a topic for one measurement, and return its name."""
        return await self.topic(f"{what}-{uuid.uuid4().hex[:6]}", partitions)

    async def fill(self, records: Iterable[ProducerRecord]) -> None:
        """Write *records*, in transactions of ``BATCH`` records."""
        await filled(self.connection, records, self.tag)

    async def begin(self, group: str, partitions: Sequence[Partition]) -> None:
        """Commit the first offsets of a group that has no members yet."""
        async with await TransactionalWriter.open(self.connection, f"bench-{self.tag}") as writer:
            await writer.transact([], dict.fromkeys(partitions, 0), group)


async def filled(connection: Connection, records: Iterable[ProducerRecord], tag: str) -> None:
    """Write *records*, in transactions of ``BATCH`` records."""
    async with await TransactionalWriter.open(connection, f"bench-fill-{tag}") as writer:
        batch: list[ProducerRecord] = []
        for record in records:
            batch.append(record)
            if len(batch) == BATCH:
                await writer.transact(batch)
                batch = []
        if batch:
            await writer.transact(batch)


@asynccontextmanager
async def bench_topics(settings: Settings) -> AsyncGenerator[BenchTopics]:
    """Yield a ``EngineSetup`` on the brokers in *settings*, and delete its topics at the end."""
    connection, tag = connection_of(settings), uuid.uuid4().hex[:8]
    async with await Admin.open(connection, name="headrace-bench") as admin:
        place = BenchTopics(connection, admin, tag)
        try:
            yield place
        finally:
            await admin.delete_topics(place.made)


async def until(fact: Callable[[], bool], patience_s: float = PATIENCE_S, look_s: float = 0.005) -> None:
    """Wait until *fact* holds. Raise TimeoutError after *patience_s* seconds."""
    async with asyncio.timeout(patience_s):
        while not fact():  # noqa: ASYNC110 - any fact
            await asyncio.sleep(look_s)
