"""``headrace bench inflight``: measure how long many one-second model calls take when all start at once."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import SecretStr

from ops.connection import connection_of
from ops.lab.bench import samples
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.lab.bench.journey import ProvisionedCluster, RunningStage, provisioned, running
from ops.lab.bench.model import LATENCY_S, SlowModel, slow_model
from ops.lab.bench.platform import alone, brokers, filled, until
from ops.settings import Settings

GOALS = {64: 1.05}
"""Goals by number of runs: the ratio of the wall clock to the second that each call takes."""

LOOK_S = 0.001


@dataclass(frozen=True, slots=True)
class InflightPlan:
    """The size of the measurement."""

    sizes: tuple[int, ...] = (64, 1_000, 5_000)
    """Numbers of runs at once."""

    rounds: int = 1


async def run(plan: InflightPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure agent runs of one model call each, for requests sent at once to a running compact journey."""
    async with brokers(alone(settings), folder / "inflight") as found:
        return await on(found, plan, tell)


async def on(found: Settings, plan: InflightPlan, tell: Tell) -> list[Comparison]:
    """Measure the same on an existing cluster."""
    async with slow_model() as model:
        platform = await provisioned(found, "compact")
        slots = 2 * max(plan.sizes)  # one tenant leaves a ninth of the slots free for later tenants
        changes = {"model_base_url": model.base_url, "model_api_key": SecretStr("none"), "max_running": slots}
        product = Product(platform, found.model_copy(update=changes), model, tell)
        return [each for size in plan.sizes for each in await _compared(plan, product, model, size, tell)]


async def _compared(plan: InflightPlan, product: Product, model: SlowModel, size: int, tell: Tell) -> list[Comparison]:
    ours, bare, ideal = f"{size} runs at once", f"{size} bare calls at once", "ideal"
    rounds = Rounds(plan.rounds, tell, "s")
    await rounds.measure({bare: partial(model.bare_s, size), ours: partial(product.wall_s, size)})
    for _ in range(plan.rounds):
        rounds.add(ideal, LATENCY_S)
    return [rounds.compare(ours, ideal, GOALS.get(size)), rounds.compare(ours, bare)]


@dataclass(frozen=True, slots=True)
class Product:
    """A journey whose agent calls the model."""

    platform: ProvisionedCluster
    settings: Settings
    model: SlowModel
    tell: Tell

    async def wall_s(self, size: int) -> float:
        """Return the seconds from the first run's start to the last visible result, and report the memory growth."""
        async with running(self.settings, self.platform.stages) as (*_, agent):
            await self._answered(agent, len(self.platform.tenants))  # the first call imports a client and connects
            await self.model.expect(size)
            async with asyncio.TaskGroup() as tasks:
                before = resident_mb()
                tasks.create_task(self._answered(agent, size))
                await until(lambda: agent.running > 0, look_s=LOOK_S)
                began = time.perf_counter()
            took = time.perf_counter() - began
        grown = resident_mb() - before
        self.tell(
            {"what": f"{size} runs at once", "mb": round(grown, 1), "mb_per_1000": round(grown * 1_000 / size, 1)}
        )
        return took

    async def _answered(self, agent: RunningStage, size: int) -> None:
        """Send *size* requests at once, and wait for all of their results."""
        already = agent.done
        requests = samples.requests(self.platform.tenants, "assistant")
        await filled(connection_of(self.settings), islice(requests, size), "inflight")
        await until(lambda: agent.done >= already + size, look_s=LOOK_S)


def resident_mb() -> float:
    """Return the peak memory of this process, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1_000_000 if sys.platform == "darwin" else 1_000)
