"""Run the platform's own stages in this process, to measure their CPU time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from ops.connection import connection_of
from ops.lab.bench import samples
from ops.lab.bench.hop import committed
from ops.lab.bench.platform import filled, until
from ops.lab.bench.window import Window
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.stages import StageCallbacks, run_stage
from ops.tenancy import Tenancy
from schemas.clock import SystemClock
from schemas.tenants import Limits, Tenant
from streams.engine.worker import Worker
from streams.journey import DEPLOYED, RETRIES, JourneyName

SHARDS = 8
TENANTS = 8
CONCURRENCY = 10_000
"""The limit of a tenant's admitted requests, high enough that it never applies to a measurement."""

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class ProvisionedCluster:
    """A cluster that is provisioned for one journey."""

    journey: JourneyName
    tenants: list[str]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that a request passes."""
        return tuple(stage for stage in DEPLOYED[self.journey] if stage != RETRIES)


async def provisioned(settings: Settings, journey: JourneyName, tenants: int = TENANTS) -> ProvisionedCluster:
    """Provision the cluster with *tenants* tenants. Raise LayoutDiffersError if it already serves another journey."""
    connection = connection_of(settings)
    await Provision(connection, settings, Wish(SHARDS, journey)).apply()
    limits = Limits(concurrency=CONCURRENCY, default_deadline=3_600)
    known = [Tenant(id=f"bench-{number}", agents=("echo", "assistant"), limits=limits) for number in range(tenants)]
    await Tenancy(connection, settings).put(*known)
    return ProvisionedCluster(journey, [tenant.id for tenant in known])


@dataclass(slots=True)
class RunningStage:
    """A stage that runs in this process."""

    name: str
    worker: Worker | None = None
    ready_s: float | None = None
    """Seconds until the stage was ready."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def done(self) -> float:
        """The number of records whose outcome is visible."""
        return 0 if self.worker is None else committed(self.worker.metrics)

    @property
    def running(self) -> int:
        """The number of records admitted and not finished."""
        return 0 if self.worker is None else self.worker.running

    async def run(self, settings: Settings) -> None:
        """Run the stage until ``stop`` is set."""
        began = time.perf_counter()

        def took(worker: Worker) -> None:
            self.worker = worker

        def ready() -> None:
            self.ready_s = self.ready_s or time.perf_counter() - began

        await run_stage(settings, self.name, StageCallbacks(ready=ready, worker=took), SystemClock(), self.stop)


@asynccontextmanager
async def running(settings: Settings, names: tuple[str, ...]) -> AsyncGenerator[list[RunningStage]]:
    """Run the stages, yield them when all are ready, and stop them at the end of the block."""
    stages = [RunningStage(name) for name in names]
    async with asyncio.TaskGroup() as tasks:
        for stage in stages:
            tasks.create_task(stage.run(settings))
        try:
            await until(lambda: all(stage.ready_s is not None for stage in stages))
            yield stages
        finally:
            for stage in stages:
                stage.stop.set()


async def cost_us(platform: ProvisionedCluster, settings: Settings, count: int) -> float:
    """Return the CPU microseconds per request in all stages together, from the tenant's topic to the result."""
    await filled(connection_of(settings), islice(samples.requests(platform.tenants), count), "journey")
    window = Window()
    async with asyncio.TaskGroup() as tasks:
        stages = [RunningStage(name) for name in platform.stages]
        for stage in stages:
            tasks.create_task(stage.run(settings))
        await until(lambda: _has_begun(stages[0], window) and stages[-1].done >= count)
        cost = window.cost_us(count)
        for stage in stages:
            stage.stop.set()
    return cost


def _has_begun(first: RunningStage, window: Window) -> bool:
    """Return True once the first stage has taken a record, and begin the window then.

    A few requests may finish before the first check.
    """
    if first.running or first.done:
        window.begin()
    return window.has_begun
