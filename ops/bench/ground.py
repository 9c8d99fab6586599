"""What a benchmark stands on: a broker, and topics that nobody else uses."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops.connection import connection_of
from ops.embedded.kafka import embedded_kafka
from ops.settings import Settings, cache_folder, maven_folder
from schemas.records import Outgoing, Partition
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.writer import TransactionalWriter

BATCH = 500
"""Records of one transaction that fills a topic."""

PATIENCE_S = 120.0
"""For anything that has been started to be done, on however busy a machine."""


@asynccontextmanager
async def brokers(settings: Settings, folder: Path) -> AsyncGenerator[Settings]:
    """Settings with the brokers that they name, else with an embedded one that lives as long as the block."""
    if settings.kafka_bootstrap:
        yield settings
        return
    async with embedded_kafka(
        folder, cache_folder(), repository=settings.maven_repository, neighbour=maven_folder()
    ) as kafka:
        yield settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})


def alone(settings: Settings) -> Settings:
    """For what sets up a platform: never on a cluster that somebody uses."""
    return settings.model_copy(update={"kafka_bootstrap": None})


@dataclass(frozen=True, slots=True)
class Ground:
    """Topics with a tag of their own, on a cluster that may have others."""

    connection: Connection
    admin: Admin
    tag: str
    made: list[str] = field(default_factory=list[str])
    """Topics, which go again."""

    def name(self, what: str) -> str:
        """A topic or a group of this benchmark."""
        return f"bench-{what}-{self.tag}"

    async def topic(self, what: str, partitions: int) -> str:
        """Make a topic; its name."""
        name = self.name(what)
        self.made.append(name)
        await self.admin.create_topics([NewTopicSpec(name, partitions)])
        return name

    async def fresh(self, what: str, partitions: int) -> str:
        """A topic for one measurement."""
        return await self.topic(f"{what}-{uuid.uuid4().hex[:6]}", partitions)

    async def fill(self, records: Iterable[Outgoing]) -> None:
        """Write *records*, a few hundred in a transaction."""
        await filled(self.connection, records, self.tag)

    async def begin(self, group: str, partitions: Sequence[Partition]) -> None:
        """Commit the first offsets of a group that has no members yet."""
        async with await TransactionalWriter.open(self.connection, f"bench-{self.tag}") as writer:
            await writer.transact([], dict.fromkeys(partitions, 0), group)


async def filled(connection: Connection, records: Iterable[Outgoing], tag: str) -> None:
    """Write *records*, a few hundred in a transaction."""
    async with await TransactionalWriter.open(connection, f"bench-fill-{tag}") as writer:
        batch: list[Outgoing] = []
        for record in records:
            batch.append(record)
            if len(batch) == BATCH:
                await writer.transact(batch)
                batch = []
        if batch:
            await writer.transact(batch)


@asynccontextmanager
async def ground(settings: Settings) -> AsyncGenerator[Ground]:
    """A place on the brokers that *settings* name; its topics are removed at the end."""
    connection, tag = connection_of(settings), uuid.uuid4().hex[:8]
    async with await Admin.open(connection, name="headrace-bench") as admin:
        place = Ground(connection, admin, tag)
        try:
            yield place
        finally:
            await admin.delete_topics(place.made)


async def until(fact: Callable[[], bool], patience_s: float = PATIENCE_S, look_s: float = 0.005) -> None:
    """Wait until *fact* holds. TimeoutError after *patience_s* seconds."""
    async with asyncio.timeout(patience_s):
        while not fact():  # noqa: ASYNC110 - any fact
            await asyncio.sleep(look_s)
