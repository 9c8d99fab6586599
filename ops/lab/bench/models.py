"""``headrace bench models``: measure the clients of a model, by CPU time a call and by many long calls in flight."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ops.lab.bench.figures import Comparison, Rounds, Tell, quantile
from ops.lab.bench.memory import resident
from ops.lab.bench.model import SlowModel, slow_model
from ops.lab.bench.model_clients import BARE, CLIENTS, Ask
from ops.settings import Settings

GOALS = {"thin": 1.5, "openai": 5.0}
"""Goals by client: the ratio of its CPU time a call to that of bare aiohttp."""

LATE_GOAL = 1.05
"""The ratio of the 99th percentile to the time that the model takes."""

AT_ONCE = 50
IDEAL = "the model's own time"
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class ModelsPlan:
    """The size of the measurement."""

    calls: int = 2_000
    """Calls of each client a round, ``AT_ONCE`` at a time."""

    rounds: int = 3
    in_flight: int = 0
    """Long calls at once. Above 0, these are measured instead."""

    seconds: float = 20.0
    """Seconds that the model takes for a long call."""

    starts: float = 250.0
    """Long calls that start a second."""

    clients: tuple[str, ...] = ("thin", "openai")


async def run(plan: ModelsPlan, _settings: Settings, _folder: Path, tell: Tell) -> list[Comparison]:
    """Measure the clients in this process, against a model in a child process."""
    async with slow_model() as model:
        if plan.in_flight:
            return await _long_calls(plan, model, tell)
        return await _cpu(plan, model, tell)


async def _cpu(plan: ModelsPlan, model: SlowModel, tell: Tell) -> list[Comparison]:
    rounds = Rounds(plan.rounds, tell, "ms")
    async with AsyncExitStack() as stack:
        asks = {
            name: await stack.enter_async_context(CLIENTS[name](model.base_url, AT_ONCE))
            for name in (BARE, *plan.clients)
        }
        for ask in asks.values():
            await cpu_ms(ask, AT_ONCE)  # connections open, and modules are imported
        await rounds.measure({name: partial(cpu_ms, ask, plan.calls) for name, ask in asks.items()})
    return [rounds.compare(name, BARE, GOALS[name]) for name in plan.clients]


async def cpu_ms(ask: Ask, calls: int) -> float:
    """Return the CPU milliseconds of this process for each of *calls* calls."""
    left = iter(range(calls))
    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, calls)):
            group.create_task(_each(ask, left))
    return (time.process_time() - began) / calls * 1_000


async def _each(ask: Ask, left: Any) -> None:  # noqa: ANN401 - an iterator that the tasks share
    for _ in left:
        await ask()


# --- long calls -------------------------------------------------------------------------------------------------------


async def _long_calls(plan: ModelsPlan, model: SlowModel, tell: Tell) -> list[Comparison]:
    rounds = Rounds(plan.rounds, tell, "s")
    await rounds.measure({name: partial(_late_s, plan, model, name, tell) for name in plan.clients})
    for _ in range(plan.rounds):
        rounds.add(IDEAL, plan.seconds)
    return [rounds.compare(name, IDEAL, LATE_GOAL) for name in plan.clients]


async def _late_s(plan: ModelsPlan, model: SlowModel, name: str, tell: Tell) -> float:
    """Return the 99th percentile of the calls' seconds, and report memory and CPU time a call."""
    async with CLIENTS[name](model.base_url, plan.in_flight) as ask:
        await ask()
        await model.expect(plan.in_flight, plan.seconds)
        wave = Wave(ask)
        before, cpu = resident(), time.process_time()
        await wave.run(plan.in_flight, plan.starts)
    tell(
        {
            "what": name,
            "calls": len(wave.took),
            "peak": wave.peak,
            "p50_s": round(quantile(wave.took, 0.5), 3),
            "p99_s": round(quantile(wave.took, 0.99), 3),
            "max_s": round(max(wave.took), 3),
            "kb_a_call": round((wave.most - before) / 1_000 / wave.peak, 1),
            "cpu_ms_a_call": round((time.process_time() - cpu) * 1_000 / plan.in_flight, 3),
        }
    )
    return quantile(wave.took, 0.99)


class Wave:
    """Calls that start at a fixed rate, each timed."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.took: list[float] = []
        """Seconds of each answered call."""

        self.flying = 0
        self.peak = 0
        """The most calls at once."""

        self.most = 0
        """The most bytes of memory of this process."""

    async def run(self, calls: int, starts: float) -> None:
        """Start *calls* calls, *starts* a second, and wait for all. A failed call ends the wave with its error."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            callers = [
                group.create_task(self._call(began + number / starts - time.perf_counter())) for number in range(calls)
            ]
            await _all(callers)
            watch.cancel()

    async def _call(self, wait: float) -> None:
        await asyncio.sleep(max(0.0, wait))
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        began = time.perf_counter()
        await self._ask()
        self.took.append(time.perf_counter() - began)
        self.flying -= 1

    async def _watch(self) -> None:
        while True:  # ends with the wave
            self.most = max(self.most, resident())
            await asyncio.sleep(LOOK_S)


async def _all(callers: list[asyncio.Task[None]]) -> None:
    for caller in callers:
        await caller
