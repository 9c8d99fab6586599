"""Workers come and go all the time, while runs take seconds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import pytest
import structlog

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import ProducerRecord, Record
from streams.engine.worker import Worker
from streams.telemetry.metric_definitions import REBALANCES
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually
from tests.integration.pauses import AROUND_S, Pauses, part

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(400)]

log = structlog.get_logger()

SHARDS = 8
ROUNDS, STORM_S, CALM_S = 3, 25, 9
"""Calm and storm take turns, so that both meet the same machine."""

PAUSE_S = 0.2
"""What a rebalance may add to the pauses of shards that it leaves where they are."""

RARELY_S = 1.0
"""What one in twenty of them may be longer, here where others work too."""

EVERY_S = 0.04
"""Between two quick records of one shard."""

LONG_SHARE = 0.008
"""Of the records: those whose runs take seconds."""


async def takes_its_time(record: Record) -> None:
    """From 1 to 9 s, which fits into the drain, or no time at all."""
    if (record.key or b"").startswith(b"long"):
        await asyncio.sleep(random.uniform(1, 9))


@dataclass
class Watched:
    """The worker that stays, seen from outside."""

    setup: EngineSetup
    worker: Worker
    pauses: Pauses = field(default_factory=lambda: Pauses(SHARDS))
    rebalances: list[float] = field(default_factory=list[float])

    async def results(self, over: asyncio.Event) -> None:
        """When results of quick records become visible."""
        while not over.is_set():
            seen = await self.setup.reader.poll(0.05)
            self.setup.seen += seen
            for key in {record.key or b"" for record in seen}:
                if key.startswith(b"quick"):
                    self.pauses.results[int(key.removeprefix(b"quick-"))].append(now())

    async def ownership(self) -> None:
        """Every hundredth of a second: what it owns, and whether that is news."""
        while True:
            for shard in set(range(SHARDS)) - self.worker.owned:
                self.pauses.absent[shard].append(now())
            if self.worker.metrics.total(REBALANCES) > len(self.rebalances):
                self.rebalances.append(now())
            await asyncio.sleep(0.01)


async def test_f4_a_storm_of_rebalances_loses_nothing_and_pauses_nobody_else(kafka: Kafka) -> None:
    """Somebody joins or leaves every few seconds (I6, I14): lost 0, twice 0, in order, and no run repeated, for all of
    them fit into the drain. Results of a shard that is kept come as if nothing had happened.
    """
    async with engine_setup(kafka.bootstrap, partitions=SHARDS, shards=SHARDS) as setup:
        await setup.provision()
        over = asyncio.Event()
        async with setup.worker(setup.handler(takes_its_time)) as worker:
            watched, calms = Watched(setup, worker), list[list[float]]()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_feed(setup, over))
                tasks.create_task(watched.results(over))
                watching = tasks.create_task(watched.ownership())
                await eventually(lambda: len(watched.pauses.results) == SHARDS)
                for _ in range(ROUNDS):
                    calms.append(await _calm(worker))
                    await _storm(setup)
                calms.append(await _calm(worker))
                over.set()
                watching.cancel()
            await setup.collect(sum(map(len, setup.sent.values())), 120)
            await setup.committed_to_the_end()
        await setup.judge()
        assert [value for value, count in setup.runs.items() if count > 1] == []
        assert len(watched.rebalances) > 20
        _compare(watched, calms)


def _compare(watched: Watched, calms: list[list[float]]) -> None:
    """The bound is on what a rebalance adds to the pauses that there are without one; each storm is held against the
    calms before and after it, for a busy machine may be busier a minute later.
    """
    added = list[float]()
    for before, after in pairwise(calms):
        calm = watched.pauses.around([*before, *after])
        stormy = watched.pauses.around(at for at in watched.rebalances if before[-1] < at < after[0])
        for name, pauses in (("calm", calm), ("storm", stormy)):
            figures = {f"p{p}": round(part(pauses, p / 100), 3) for p in (50, 95)}
            log.info("pauses", of=name, count=len(pauses), **figures)
        assert part(stormy, 0.95) < part(calm, 0.95) + RARELY_S
        added.append(part(stormy, 0.5) - part(calm, 0.5))
    assert median(added) < PAUSE_S


async def _calm(worker: Worker) -> list[float]:
    """Moments at which nothing happens, once the worker has everything."""
    await eventually(lambda: len(worker.owned) == SHARDS and worker.ready)
    await asyncio.sleep(AROUND_S)
    began = now()
    await asyncio.sleep(CALM_S)
    return [began + AROUND_S * (1 + 2 * number) for number in range(int(CALM_S / AROUND_S / 2))]


async def _storm(setup: EngineSetup) -> None:
    """Somebody comes every few seconds, and nobody stays."""
    end = asyncio.get_running_loop().time() + STORM_S
    async with asyncio.TaskGroup() as tasks:
        while asyncio.get_running_loop().time() < end:
            tasks.create_task(_guest(setup))
            await asyncio.sleep(random.uniform(2, 4))


async def _guest(setup: EngineSetup) -> None:
    worker = Worker(setup.config(), setup.handler(takes_its_time), SystemClock())
    await worker.start()
    await asyncio.sleep(random.uniform(3, 12))
    await worker.stop(grace=15.0)


async def _feed(setup: EngineSetup, over: asyncio.Event) -> None:
    """Quick records for each shard, at an even pace, and now and then a long one."""
    number = 0
    async with await Writer.open(setup.connection) as writer:
        while not over.is_set():
            async with asyncio.TaskGroup() as tasks:
                for shard in range(SHARDS):
                    number += 1
                    long = random.random() < LONG_SHARE
                    key = b"long-%d-%d" % (shard, number % 16) if long else b"quick-%d" % shard
                    value = b"%d" % number
                    setup.sent[key].append(value)
                    tasks.create_task(writer.send(ProducerRecord(setup.source, key, value, partition=shard)))
            await asyncio.sleep(EVERY_S)


def now() -> float:
    """Of the loop's own clock."""
    return asyncio.get_running_loop().time()
