"""A worker process whose agent may kill it: ``python -m tests.integration.suspect_worker JSON``.

The stage is a small one: the engine, its suspicion and the processes of the suspects are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from consumers.agent.blocked_agent import blamed_agent
from consumers.agent.executor import Executor
from consumers.agent.services import AgentServices
from consumers.context import StepContext
from consumers.resilience.cancel import Cancels
from ops.agents import agents_of
from ops.isolation.step import isolated
from ops.settings import Settings
from schemas.clock import SystemClock
from schemas.errors import HeadraceError
from schemas.records import Partition, ProducerRecord, Record
from schemas.results import Result
from schemas.stage_records import Screened
from schemas.tenants import Tenant
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_store import MetricStore
from streams.transport.connection import Connection
from tests.integration.test_suspects import SETTINGS, screened

TENANT = Tenant(id="acme", agents=("deadly",))


async def main(given: dict[str, str], settings: Settings) -> None:
    """Run until killed; what happens to its shards is in the lines that it logs."""
    metrics, clock = MetricStore("agent"), SystemClock()
    async with isolated(settings, Cancels(clock), metrics) as apart:
        answer = partial(_answer, given["output"])
        execute = Executor(AgentServices(agents=agents_of(settings), models={}))
        handler = StageHandler(
            group=given["group"],
            route=lambda shard: {Partition(given["source"], shard)},
            prepare=lambda _, record: Job(record.key, partial(answer, execute, record)),
            blame=blamed_agent,
            prepare_isolated=lambda _, record: Job(record.key, partial(answer, apart, record)),
        )
        config = EngineConfig(
            Connection(given["bootstrap"]),
            shard_topic=given["shard_topic"],
            rebalance_ms=int(given["rebalance_ms"]),
            ends_blocked=True,
            watchdog_s=float(given.get("watchdog_s", 30)),
        )
        worker = Worker(config, handler, clock, metrics)
        await worker.start()
        await worker.failed.wait()
        raise SystemExit(worker.fatal)


async def _answer(output: str, step: Callable[[Screened, StepContext], Awaitable[Result]], record: Record) -> Outputs:
    text, _, sleep = (record.value or b"").decode().partition("|")
    request = screened(text, sleep=sleep or "0.1")
    try:
        said = str((await step(request, StepContext(tenant=TENANT, clock=SystemClock()))).output)
    except HeadraceError as error:
        said = f"{error.code} {text}"
    return [ProducerRecord(output, record.key, said.encode())]


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), SETTINGS))
