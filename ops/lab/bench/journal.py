"""``headrace bench journal``: measure the CPU time of a tool step's two journal writes, on an embedded Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from redis.asyncio import Redis

from consumers.agent.journal.port import Journal, RunKey
from consumers.agent.journal.steps import JournaledSteps, NoSteps, RunSteps
from consumers.agent.journal.valkey import valkey_journal
from consumers.context import StepContext
from consumers.resilience.deadline import Deadline
from ops.embedded.valkey import embedded_valkey
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.settings import Settings
from schemas.clock import SystemClock
from schemas.tenants import Tenant

STEP, NO_STEP, RAW = "a tool step", "a step without a journal", "two redis-py commands"
VALUE = b"x" * 1_000
DAY_MS = 86_400_000
CLOCK = SystemClock()
CONTEXT = StepContext(tenant=Tenant(id="bench"), clock=CLOCK)


@dataclass(frozen=True, slots=True)
class JournalPlan:
    """The size of the measurement."""

    runs: int = 100
    """Concurrent runs."""

    steps: int = 20
    """Steps of each run, one after the other."""

    rounds: int = 3


async def run(plan: JournalPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:  # noqa: ARG001 - a benchmark's arguments
    """Measure CPU microseconds of this process a step. Valkey runs in a process of its own."""
    rounds, numbers = Rounds(plan.rounds, tell), count(1)
    async with (
        embedded_valkey(folder / "valkey") as valkey,
        valkey_journal(valkey.url, CLOCK) as journal,
        Redis.from_url(valkey.url) as client,
    ):
        subjects: dict[str, Callable[[], Awaitable[None]]] = {
            STEP: lambda: _steps(plan, partial(_opened, journal, next(numbers))),
            NO_STEP: lambda: _steps(plan, _unrecorded),
            RAW: lambda: _commands(plan, client, next(numbers)),
        }
        await rounds.measure({name: partial(_cost_us, plan, work) for name, work in subjects.items()})
    return [rounds.compare(STEP, RAW), rounds.compare(STEP, NO_STEP)]


async def _cost_us(plan: JournalPlan, work: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    await work()
    return (time.process_time() - began) / (plan.runs * plan.steps) * 1e6


async def _opened(journal: Journal, number: int, run: int) -> JournaledSteps:
    ends_ms = CLOCK.now_ms() + DAY_MS
    key = RunKey("bench", f"{number}-{run}")
    return await RunSteps.open(journal, key, CONTEXT, attempt=1, deadline=Deadline(ends_ms, CLOCK), expires_ms=ends_ms)


async def _unrecorded(_run: int) -> JournaledSteps:
    return NoSteps(CONTEXT)


async def _steps(plan: JournalPlan, open_steps: Callable[[int], Awaitable[JournaledSteps]]) -> None:
    async def one(run: int) -> None:
        steps = await open_steps(run)
        for number in range(plan.steps):
            await steps.start(f"tool-{number}")
            await steps.finish(f"tool-{number}", VALUE)

    async with asyncio.TaskGroup() as tasks:
        for each in range(plan.runs):
            tasks.create_task(one(each))


async def _commands(plan: JournalPlan, client: Redis, number: int) -> None:
    async def one(run: int) -> None:
        for step in range(plan.steps):
            for value in (b"", VALUE):
                await client.set(f"{number}-{run}-tool-{step}", value)

    async with asyncio.TaskGroup() as tasks:
        for each in range(plan.runs):
            tasks.create_task(one(each))
