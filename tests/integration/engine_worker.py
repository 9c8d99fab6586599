"""A worker process that is meant to be killed: ``python -m tests.integration.engine_worker JSON``."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from dataclasses import replace

from schemas.clock import SystemClock
from schemas.records import Outgoing, Partition, Record
from streams.parameters import Parameters
from streams.transport.connection import Connection
from streams.work import Job, Outputs, Work
from streams.worker import Worker
from tests.integration import failpoints


async def main(settings: dict[str, str], partitions: int, shards: int) -> None:
    """Run until killed."""

    async def run(record: Record) -> Outputs:
        await asyncio.sleep(random.uniform(0.01, 0.2))
        return [Outgoing(settings["output"], record.key, record.value)]

    work = Work(
        group=settings["group"],
        route=lambda shard: {Partition(settings["source"], n) for n in range(partitions) if n % shards == shard},
        prepare=lambda _, record: Job(record.key, lambda: run(record)),
    )
    parameters = Parameters(Connection(settings["bootstrap"]), shard_topic=settings["shard_topic"])
    if "session_ms" in settings:
        parameters = replace(parameters, session_ms=int(settings["session_ms"]))
    worker = Worker(parameters, work, SystemClock())
    await worker.start()
    await worker.failed.wait()
    raise SystemExit(worker.fatal)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if "point" in given:
        failpoints.plant(given["point"], int(given["nth"]))
    asyncio.run(main(given, int(given["partitions"]), int(given["shards"])))
