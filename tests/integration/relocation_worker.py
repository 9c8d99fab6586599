"""A worker process that carries one long run and dies on the way.

``python -m tests.integration.relocation_worker JSON``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial

from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.offsets.tracker import Tracker
from streams.telemetry.metric_definitions import RELOCATIONS
from streams.transport.connection import Connection
from streams.transport.transactional_producer import TransactionalProducer
from tests.integration.relocation_failpoints import Point, admit_until_kept, transact_until

LONG = b"0"
"""The value of the record whose run lasts until it has been carried."""


async def main(settings: dict[str, str]) -> None:
    """Run until the failpoint."""
    workers: list[Worker] = []

    async def run(record: Record) -> Outputs:
        while record.value == LONG and not workers[0].metrics.total(RELOCATIONS):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2 if record.value == LONG else 0.001)
        return [ProducerRecord(settings["output"], record.key, record.value)]

    handler = StageHandler(
        group=settings["group"],
        route=lambda _: {Partition(settings["source"], 0)},
        prepare=lambda _, record: Job(record.key, lambda: run(record)),
        relocates=True,
    )
    config = EngineConfig(
        Connection(settings["bootstrap"]),
        shard_topic=settings["shard_topic"],
        relocation_distance=int(settings["behind"]),
    )
    workers.append(Worker(config, handler, SystemClock()))
    await workers[0].start()
    await workers[0].failed.wait()
    raise SystemExit(workers[0].fatal)


def fail_at(point: Point) -> None:
    """Die there."""
    die = partial(os.kill, os.getpid(), signal.SIGKILL)
    if point == "fetched":
        Tracker.admit = admit_until_kept(die)  # type: ignore[assignment, method-assign]
    else:
        TransactionalProducer.transact = transact_until(point, die, LONG)  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    fail_at(given["point"])
    asyncio.run(main(given))
