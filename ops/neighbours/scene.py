"""An innocent tenant beside one that makes trouble, on a platform that runs: what the one waits for the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from ops.neighbours.innocent import Innocent, percentile
from ops.neighbours.troubles import Neighbour, Trouble
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.tenants import Tenant
from schemas.topics import CONTROL, REQUESTS, shard_of
from streams.journey import ENTRY_GROUP
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer

NAME = "headrace-neighbours"
SETTLE_S = 60.0
LOOK_S = 0.2


Told: TypeAlias = "Callable[[bool, list[float]], None]"
"""Hears of each window: whether the neighbour was quiet, and what the innocent waited, in seconds."""


def nobody_told(_quiet: bool, _waits: list[float]) -> None:  # noqa: FBT001 - it takes what it is told
    """Nobody wants to hear of windows."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long, how often, and how much."""

    rounds: int = 5
    seconds: float = 6.0
    """Of each half of a round: one with trouble, one without."""

    rate: float = 5.0
    """Requests a second of the innocent."""

    share: float = 0.5
    """Requests a second of which the other's limits are made."""

    times: float = 100.0
    """As many times its share is what the other sends."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Waits in seconds, of windows that took turns."""

    trouble: str
    alone: list[float] = field(default_factory=list[float])
    beside: list[float] = field(default_factory=list[float])

    def ratio(self, part: float) -> float:
        """By how much a percentile is longer beside the trouble."""
        return percentile(self.beside, part) / percentile(self.alone, part)

    def line(self) -> str:
        """For people."""
        figures = (
            f"p{part * 100:g} {percentile(self.alone, part) * 1e3:.1f} -> {percentile(self.beside, part) * 1e3:.1f} ms"
            f" ({self.ratio(part):.2f})"
            for part in (0.5, 0.95, 0.99)
        )
        return f"{self.trouble}: {', '.join(figures)} of {len(self.alone)} and {len(self.beside)}"


@dataclass(frozen=True, slots=True)
class Scene:
    """Both tenants, served."""

    admin: Admin
    innocent: Innocent
    neighbour: Neighbour
    sink: str

    async def compare(self, pace: Pace, told: Told = nobody_told) -> Compared:
        """Rounds of two windows. In the quiet one the neighbour writes as much, to where nobody reads it."""
        compared = Compared(self.neighbour.trouble.name)
        await self._window(pace, self.sink)  # warms everything up
        for number in range(2 * pace.rounds):
            quiet = number % 2 == 0
            waits = await self._window(pace, self.sink if quiet else None)
            (compared.alone if quiet else compared.beside).extend(waits)
            told(quiet, waits)
        return compared

    async def _window(self, pace: Pace, sink: str | None) -> list[float]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.neighbour.bother(pace.seconds, sink))
            asking = tasks.create_task(self.innocent.ask(pace.seconds))
        await self._settled()
        return asking.result()

    async def _settled(self) -> None:
        """Nothing of a window is left when the next begins."""
        tenant = self.neighbour.tenant
        edges = (REQUESTS, CONTROL) if tenant.interactive else (REQUESTS,)
        places = [Partition(edge.of(tenant.id), number) for edge in edges for number in range(tenant.partitions)]
        async with asyncio.timeout(SETTLE_S):
            ends = await self.innocent.reader.high_watermarks(places)
            while await self.admin.committed(ENTRY_GROUP, places) != ends:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def scene(
    connection: Connection, settings: Settings, trouble: Trouble, pace: Pace, shards: int
) -> AsyncGenerator[Scene]:
    """Two tenants of one shard, so that they share its transactions, too."""
    tag, clock = uuid.uuid4().hex[:8], SystemClock()
    noisy = trouble.tenant(f"noisy-{tag}")
    calm = Tenant(id=_beside(noisy.id, f"calm-{tag}", shards), agents=("echo",))
    sink = REQUESTS.of(f"sink-{tag}")  # of a tenant that is not in the registry
    tenancy = Tenancy(connection, settings)
    await tenancy.put(noisy, calm)
    async with await Admin.open(connection, name=NAME) as admin:
        await admin.create_topics([NewTopicSpec(sink, 1)])
        await tenancy.served(noisy, calm)
        async with await Writer.open(connection, name=NAME) as writer, await _reader(connection, calm) as reader:
            innocent = Innocent(calm, writer, reader, clock, pace.rate)
            async with await Writer.open(connection, name=NAME) as bulk:
                neighbour = Neighbour(noisy, trouble, bulk, clock, trouble.rate or pace.share * pace.times)
                yield Scene(admin, innocent, neighbour, sink)


def _beside(other: str, name: str, shards: int) -> str:
    """A name whose door is on the same shard as the *other*'s."""
    wanted = shard_of(other, shards)
    return next(each for number in range(10_000) if shard_of(each := f"{name}-{number}", shards) == wanted)


async def _reader(connection: Connection, tenant: Tenant) -> Reader:
    return await Reader.open(connection, Innocent.places(tenant), "latest", name=NAME)


async def measure(
    connection: Connection, settings: Settings, trouble: Trouble, pace: Pace, shards: int, told: Told = nobody_told
) -> Compared:
    """One trouble, from its tenants to its figures."""
    async with scene(connection, settings, trouble, pace, shards) as both:
        return await both.compare(pace, told)
