"""``headrace bench inflight --starts``: measure long runs through Kafka that start at a fixed rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from ops.connection import connection_of
from ops.lab.bench import samples
from ops.lab.bench.figures import Comparison, Rounds, Tell, quantile
from ops.lab.bench.journey import ProvisionedCluster, RunningStage, provisioned, running
from ops.lab.bench.latency import LatencyMeter, LatencyPlan
from ops.lab.bench.memory import resident
from ops.lab.bench.model import SlowModel, slow_model
from ops.lab.bench.platform import BenchTopics, alone, bench_topics, brokers, filled, until
from ops.settings import Settings
from schemas.records import Partition
from schemas.results import Result
from schemas.topics import RESULTS
from streams.telemetry.metric_definitions import MEMBERSHIP_ERRORS, REBALANCES, Metric
from streams.transport.reader import Reader

GOAL = 1.05
"""The ratio of the 99th percentile to the time that the model takes."""

IDEAL = "the model's own time"
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class LongRunsPlan:
    """The size of the measurement."""

    runs: int = 5_000
    seconds: float = 20.0
    """Seconds that the model takes for each run."""

    starts: float = 250.0
    """Runs that start a second."""

    client: Literal["openai", "thin"] = "thin"


async def run(plan: LongRunsPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure runs of one model call each, from the client's write to the committed result."""
    async with (
        brokers(alone(settings), folder / "inflight") as found,
        slow_model() as model,
        bench_topics(found) as place,
    ):
        changes = {
            "model_base_url": model.base_url,
            "model_api_key": SecretStr("none"),
            "model_client": plan.client,
            "max_running": plan.runs,
        }
        platform = await provisioned(found, "compact")
        subject = LongRuns(plan, platform, found.model_copy(update=changes), model, place, tell)
        rounds, what = Rounds(1, tell, "s"), f"{plan.runs} runs"
        await rounds.measure({what: subject.late_s})
        rounds.add(IDEAL, plan.seconds)
        return [rounds.compare(what, IDEAL, GOAL)]


@dataclass(frozen=True, slots=True)
class LongRuns:
    """A journey whose agent calls a slow model."""

    plan: LongRunsPlan
    platform: ProvisionedCluster
    settings: Settings
    model: SlowModel
    place: BenchTopics
    tell: Tell

    async def late_s(self) -> float:
        """Return the 99th percentile of the seconds to a result; report memory, and what the group lost."""
        async with running(self.settings, self.platform.stages) as stages:
            await self._warm(stages[-1])
            await self.model.expect(self.plan.runs, self.plan.seconds)
            before = resident(), _total(stages, MEMBERSHIP_ERRORS), _total(stages, REBALANCES)
            cpu, began = time.process_time(), time.perf_counter()
            async with _watched(stages[-1]) as peaks:
                took = await self._measure()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - began
            agent = await self._agent_s()
            self.tell(
                {
                    "what": f"{self.plan.runs} runs",
                    "answered": len(took),
                    "peak": peaks.running,
                    "p50_s": round(quantile(took, 0.5), 3),
                    "p99_s": round(quantile(took, 0.99), 3),
                    "max_s": round(max(took), 3),
                    "agent_p50_s": round(quantile(agent, 0.5), 3),
                    "agent_p99_s": round(quantile(agent, 0.99), 3),
                    "cpu_share": round(cpu / wall, 2),
                    "kb_a_run": round((peaks.memory - before[0]) / 1_000 / max(1, peaks.running), 1),
                    "membership_errors": _total(stages, MEMBERSHIP_ERRORS) - before[1],
                    "rebalances": _total(stages, REBALANCES) - before[2],
                }
            )
        return quantile(took, 0.99)

    async def _warm(self, agent: RunningStage) -> None:
        """Run one request of each tenant: the first call imports a client and connects."""
        already, count = agent.done, len(self.platform.tenants)
        requests = samples.requests(self.platform.tenants, "assistant")
        await filled(connection_of(self.settings), [next(requests) for _ in range(count)], "warm")
        await until(lambda: agent.done >= already + count)

    async def _measure(self) -> list[float]:
        """Return the seconds from each request's write to its committed result."""
        ways = {"runs": samples.requests(self.platform.tenants, "assistant")}
        ends = [Partition(RESULTS.of(tenant), 0) for tenant in self.platform.tenants]
        plan = LatencyPlan(seconds=self.plan.runs / self.plan.starts, rate=self.plan.starts)
        (took,) = (await LatencyMeter(ways).measure(self.place, ends, plan)).values()
        return [each / 1_000 for each in took]

    async def _agent_s(self) -> list[float]:
        """Return the seconds that each long run took within the agent stage, as its result states."""
        found: list[float] = []
        ends = [Partition(RESULTS.of(tenant), 0) for tenant in self.platform.tenants]
        async with await Reader.open(self.place.connection, ends, "earliest", name="headrace-bench") as reader:
            async for record in reader:
                seconds = Result.model_validate_json(record.value or b"").timing.agent_ms / 1_000
                found += [seconds] if seconds >= self.plan.seconds else []
                if len(found) >= self.plan.runs:
                    break
        return found[-self.plan.runs :]


@dataclass(slots=True)
class Peaks:
    """The most runs at once, and the most bytes of memory."""

    running: int = 0
    memory: int = 0


@asynccontextmanager
async def _watched(agent: RunningStage) -> AsyncGenerator[Peaks]:
    """Yield the peaks of the block, as far as they are known."""
    peaks = Peaks()

    async def look() -> None:
        while True:  # ends with the block
            peaks.running, peaks.memory = max(peaks.running, agent.running), max(peaks.memory, resident())
            await asyncio.sleep(LOOK_S)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(look())
        yield peaks
        task.cancel()


def _total(stages: Sequence[RunningStage], metric: Metric) -> int:
    return int(sum(stage.worker.metrics.total(metric) for stage in stages if stage.worker is not None))
