"""What a model call costs, and that thousands fit: ``python -m tests.benchmarks.model_calls --in-flight 5000``.

The scripted server runs in a process of its own, and answers each call after ``--latency`` seconds; this process keeps
``--in-flight`` calls open for ``--rounds`` rounds. Printed as one JSON line: CPU microseconds a call (process time, all
threads), the peak that the server saw, and what failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import uvloop

from consumers.agent.models.openai_model import OpenAISettings, openai_model
from consumers.agent.models.port import Model, ModelRequest, SystemMessage, UserMessage
from schemas.clock import SystemClock
from schemas.errors import ModelError

REQUEST = ModelRequest((SystemMessage("s" * 200), UserMessage("x" * 600)))


@asynccontextmanager
async def served(calls: int, latency: float) -> AsyncGenerator[str]:
    """The base URL of a server that gives so many slow answers."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.embedded.scripted", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        base: str = json.loads(await child.stdout.readline())["base_url"]
        answer = {"text": "answer " * 20, "delay": latency, "times": calls}
        async with aiohttp.ClientSession() as http, http.post(f"{base.removesuffix('/v1')}/script", json=answer):
            yield base
    finally:
        child.terminate()
        await child.wait()


async def measure(in_flight: int, rounds: int, latency: float) -> dict[str, object]:
    """Every caller asks ``rounds`` times, one call after the other."""
    outcomes: Counter[str] = Counter()

    async def caller(model: Model) -> None:
        for _ in range(rounds):
            try:
                await model.complete(REQUEST)
                outcomes["answered"] += 1
            except ModelError as error:
                outcomes[f"{error.code} {error.detail}"] += 1

    async with served((rounds + 1) * in_flight, latency) as base:
        settings = OpenAISettings(base_url=base, name="m", connect_timeout=60)
        async with openai_model(settings, SystemClock()) as model:
            await model.complete(REQUEST)
            wall, cpu = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for _ in range(in_flight):
                    group.create_task(caller(model))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        async with aiohttp.ClientSession() as http, http.get(f"{base.removesuffix('/v1')}/calls") as response:
            peak = (await response.json())["peak"]
    cost = round(cpu / (in_flight * rounds) * 1e6)
    return {"in_flight": in_flight, "peak": peak, "cpu_us": cost, "wall_s": round(wall, 2), "outcomes": dict(outcomes)}


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=5.0)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(uvloop.run(measure(given.in_flight, given.rounds, given.latency))))


if __name__ == "__main__":
    main()
