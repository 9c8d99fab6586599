"""A worker process that is meant to be killed: ``python -m tests.integration.engine_worker JSON``."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, RunScope, StageHandler
from streams.transport.connection import Connection
from tests.integration import failpoints


async def main(settings: dict[str, str], partitions: int, shards: int) -> None:
    """Run until killed, or told to stop by SIGTERM. SIGUSR1 holds the event loop for ``block_s``."""

    async def run(record: Record) -> Outputs:
        _leave(settings.get("runs"), record.value or b"")
        await asyncio.sleep(random.uniform(0.01, float(settings.get("longest_s", "0.2"))))
        return [ProducerRecord(settings["output"], record.key, record.value)]

    def owned(record: Record, scope: RunScope) -> Awaitable[Outputs]:
        _leave(settings["tokens"], "{} {}".format(*scope.token()).encode())
        return run(record)

    def prepare(_: int, record: Record) -> Job:
        return Job(record.key, lambda: run(record), run_owned=(lambda scope: owned(record, scope)) if tokens else None)

    tokens = "tokens" in settings
    handler = StageHandler(
        group=settings["group"],
        route=lambda shard: {Partition(settings["source"], n) for n in range(partitions) if n % shards == shard},
        prepare=prepare,
        prepare_isolated=prepare if tokens else None,
    )
    config = EngineConfig(Connection(settings["bootstrap"]), shard_topic=settings["shard_topic"])
    if "session_ms" in settings:
        config = replace(config, session_ms=int(settings["session_ms"]))
    worker, stop, loop = Worker(config, handler, SystemClock()), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, float(settings.get("block_s", "0")))
    await worker.start()
    async with asyncio.TaskGroup() as tasks:
        ends = [tasks.create_task(event.wait()) for event in (worker.failed, stop)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    await worker.stop()
    if "report" in settings:
        Path(settings["report"]).write_text(json.dumps(worker.metrics.totals()))
    if worker.fatal is not None:
        raise SystemExit(worker.fatal)


def _leave(path: str | None, value: bytes) -> None:
    """One line a run: what Kafka does not show."""
    if path is not None:
        with Path(path).open("ab", buffering=0) as runs:
            runs.write(value + b"\n")


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if "point" in given:
        failpoints.plant(given["point"], int(given["nth"]))
    asyncio.run(main(given, int(given["partitions"]), int(given["shards"])))
