"""What a shard's next owner learns of the last one's end, with real workers on a real broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import ProducerRecord, Record
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_definitions import SHARDS_SUSPECTED, UNEXPLAINED_ENDS
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = pytest.mark.anyio


@dataclass
class Two:
    """A stage whose records wait until they are let go, and which counts those that run apart."""

    setup: EngineSetup
    release: asyncio.Event = field(default_factory=asyncio.Event)
    prepare_isolated: Counter[bytes] = field(default_factory=Counter[bytes])

    def handler(self) -> StageHandler:
        async def wait(_: Record) -> None:
            await self.release.wait()

        async def run_apart(record: Record) -> Outputs:
            self.prepare_isolated[record.value or b""] += 1
            await self.release.wait()
            return [ProducerRecord(self.setup.output, record.key, record.value)]

        return replace(
            self.setup.handler(wait),
            prepare_isolated=lambda _, record: Job(record.key, lambda: run_apart(record)),
            drains=False,
        )

    @asynccontextmanager
    async def doomed(self, records: int) -> AsyncGenerator[Worker]:
        """A worker that has *records* in its hands and ends without a word, as the kernel would end it."""
        worker = Worker(self.setup.config(), self.handler(), SystemClock())
        await worker.start()
        try:
            await eventually(partial(has_in_hand, worker, records))
            yield worker
        finally:
            await die(worker)


def has_in_hand(worker: Worker, records: int) -> bool:
    """Whether it has admitted as many."""
    return worker.running == records


async def die(worker: Worker) -> None:
    """No drain and no commit; only the group is told, so that nobody has to wait for the session to end."""
    inside: Any = worker
    await inside._runtime.tasks.end(3.0)  # noqa: SLF001 - nothing public ends it so rudely
    await inside._runtime.membership.leave()  # noqa: SLF001 - as above
    for shard in inside._shards.values():  # noqa: SLF001 - as above
        shard.alive = False
        shard.lanes.cancel()
        await shard.producer.kill()
    await inside._disconnect()  # noqa: SLF001 - as above


async def test_the_records_that_were_open_at_two_unexplained_ends_run_apart_and_no_others(kafka: Kafka) -> None:
    """Then all is as before: a further end is the first again."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(30, keys=30)
        stage = Two(setup)
        for strikes in (0, 1):
            async with stage.doomed(30) as worker:
                assert worker.metrics.total(UNEXPLAINED_ENDS) == strikes
        assert not stage.prepare_isolated

        async with setup.worker(stage.handler()) as worker:
            await eventually(lambda: len(stage.prepare_isolated) == 30)
            assert worker.metrics.total(SHARDS_SUSPECTED) == 1
            await setup.feed(10, keys=10)
            stage.release.set()
            await setup.collect(40)
            await setup.committed_to_the_end()
            await asyncio.sleep(0.2)
        assert len(stage.prepare_isolated) == 30
        assert set(stage.prepare_isolated.values()) == {1}

        stage.release.clear()
        await setup.feed(5, keys=5)
        async with stage.doomed(5):
            pass
        async with stage.doomed(5) as worker:
            assert worker.metrics.total(UNEXPLAINED_ENDS) == 1
        stage.release.set()
        async with setup.worker(stage.handler()) as worker:
            await setup.collect(45)
            assert worker.metrics.total(SHARDS_SUSPECTED) == 1
        await setup.judge()


async def test_a_rolling_deploy_raises_no_suspicion(kafka: Kafka) -> None:
    """Not even one that leaves everything undone, again and again."""
    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(20, keys=20)
        stage = Two(setup)
        for _ in range(4):
            async with setup.worker(stage.handler()) as worker:
                await eventually(partial(has_in_hand, worker, 20))
                assert worker.metrics.total(UNEXPLAINED_ENDS) == 0
        stage.release.set()
        async with setup.worker(stage.handler()):
            await setup.collect(20)
        await setup.judge()
        assert not stage.prepare_isolated
