"""Measure the waits of a tenant with and without a disturbing tenant, on a running platform."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from ops.lab.neighbours.disturbances import Disturbance, Neighbour
from ops.lab.neighbours.victim import Victim, percentile
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.tenants import Tenant
from schemas.topics import CONTROL, REQUESTS, shard_of
from streams.journey import INGRESS_GROUP
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer

NAME = "headrace-neighbours"
SETTLE_S = 180.0
LOOK_S = 0.2


WindowCallback: TypeAlias = "Callable[[bool, list[float]], None]"
"""A callback for each window: True if the disturbing tenant was quiet, and the measured waits in seconds."""


def no_callback(_quiet: bool, _waits: list[float]) -> None:  # noqa: FBT001 - it takes what it is told
    """Ignore the window."""


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """The duration, the number of rounds and the rates of an experiment."""

    rounds: int = 5
    seconds: float = 6.0
    """Seconds of each half of a round: one with the disturbance, one without."""

    rate: float = 5.0
    """Requests a second of the measured tenant."""

    share: float = 0.5
    """Requests a second from which the disturbing tenant's limits are computed."""

    times: float = 100.0
    """The disturbing tenant's rate, as a multiple of ``share``."""


@dataclass(frozen=True, slots=True)
class WindowComparison:
    """Waits in seconds, from alternating windows without and with the disturbance."""

    disturbance: str
    alone: list[float] = field(default_factory=list[float])
    disturbed: list[float] = field(default_factory=list[float])

    def ratio(self, part: float) -> float:
        """Return the ratio of a percentile with the disturbance to the one without."""
        return percentile(self.disturbed, part) / percentile(self.alone, part)

    def line(self) -> str:
        """Return the comparison as one line of text."""
        figures = (
            f"p{part * 100:g} {percentile(self.alone, part) * 1e3:.1f}"
            f" -> {percentile(self.disturbed, part) * 1e3:.1f} ms ({self.ratio(part):.2f})"
            for part in (0.5, 0.95, 0.99)
        )
        return f"{self.disturbance}: {', '.join(figures)} of {len(self.alone)} and {len(self.disturbed)}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Both tenants, served by the platform."""

    admin: Admin
    victim: Victim
    neighbour: Neighbour
    sink: str

    async def compare(self, window_plan: ExperimentPlan, told: WindowCallback = no_callback) -> WindowComparison:
        """Measure rounds of two windows. In the quiet window the other tenant writes as much, to an unread topic."""
        compared = WindowComparison(self.neighbour.disturbance.name)
        await self._window(window_plan, self.sink)  # warms all parts up
        for number in range(2 * window_plan.rounds):
            quiet = number % 2 == 0
            waits = await self._window(window_plan, self.sink if quiet else None)
            (compared.alone if quiet else compared.disturbed).extend(waits)
            told(quiet, waits)
        return compared

    async def _window(self, window_plan: ExperimentPlan, sink: str | None) -> list[float]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.neighbour.bother(window_plan.seconds, sink))
            asking = tasks.create_task(self.victim.ask(window_plan.seconds))
        await self._settled()
        return asking.result()

    async def _settled(self) -> None:
        """Wait until the other tenant's records are committed, so that windows do not overlap."""
        tenant = self.neighbour.tenant
        edges = (REQUESTS, CONTROL) if tenant.interactive else (REQUESTS,)
        places = [Partition(edge.of(tenant.id), number) for edge in edges for number in range(tenant.partitions)]
        async with asyncio.timeout(SETTLE_S):
            ends = await self.victim.reader.high_watermarks(places)
            while await self.admin.committed(INGRESS_GROUP, places) != ends:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def experiment(
    connection: Connection, settings: Settings, disturbance: Disturbance, window_plan: ExperimentPlan, shards: int
) -> AsyncGenerator[Experiment]:
    """Create two tenants of one shard, so that they also share its transactions."""
    tag, clock = uuid.uuid4().hex[:8], SystemClock()
    noisy = disturbance.tenant(f"noisy-{tag}")
    calm = Tenant(id=_beside(noisy.id, f"calm-{tag}", shards), agents=("echo",))
    sink = REQUESTS.of(f"sink-{tag}")  # its tenant is not in the registry
    tenancy = Tenancy(connection, settings)
    await tenancy.put(noisy, calm)
    async with await Admin.open(connection, name=NAME) as admin:
        await admin.create_topics([NewTopicSpec(sink, 1)])
        await tenancy.served(noisy, calm)
        async with await Writer.open(connection, name=NAME) as writer, await _reader(connection, calm) as reader:
            victim = Victim(calm, writer, reader, clock, window_plan.rate)
            async with await Writer.open(connection, name=NAME) as bulk:
                neighbour = Neighbour(
                    noisy, disturbance, bulk, clock, disturbance.rate or window_plan.share * window_plan.times
                )
                yield Experiment(admin, victim, neighbour, sink)


def _beside(other: str, name: str, shards: int) -> str:
    """Return a tenant id whose admission controller is on the same shard as that of *other*."""
    wanted = shard_of(other, shards)
    return next(each for number in range(10_000) if shard_of(each := f"{name}-{number}", shards) == wanted)


async def _reader(connection: Connection, tenant: Tenant) -> Reader:
    return await Reader.open(connection, Victim.places(tenant), "latest", name=NAME)


async def measure(
    connection: Connection,
    settings: Settings,
    disturbance: Disturbance,
    window_plan: ExperimentPlan,
    shards: int,
    told: WindowCallback = no_callback,
) -> WindowComparison:
    """Measure one disturbance, from creating its tenants to the comparison."""
    async with experiment(connection, settings, disturbance, window_plan, shards) as both:
        return await both.compare(window_plan, told)
