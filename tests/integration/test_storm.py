"""Workers come and go all the time, while runs take seconds."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import structlog

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Outgoing, Record
from streams.metrics import REBALANCES
from streams.transport.writer import Writer
from streams.worker import Worker
from tests.integration.ground import Ground, eventually, ground

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(400)]

log = structlog.get_logger()

SHARDS = 8
STORM_S, CALM_S = 75, 15
EVERY_S = 0.04
"""Between two quick records of one shard."""

LONG_SHARE = 0.008
"""Of the records: those whose runs take seconds."""


async def takes_its_time(record: Record) -> None:
    """From 1 to 9 s, which fits into the drain, or no time at all."""
    if (record.key or b"").startswith(b"long"):
        await asyncio.sleep(random.uniform(1, 9))


@dataclass
class Steady:
    """The worker that stays: when it has started quick runs of each shard, and when the shard was not its own."""

    starts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    absent: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def run(self, record: Record) -> None:
        """As all others do, and note when."""
        if (record.key or b"").startswith(b"quick"):
            self.starts[record.partition].append(asyncio.get_running_loop().time())
        await takes_its_time(record)

    async def watch(self, worker: Worker) -> None:
        """Look every hundredth of a second what it owns."""
        while True:
            for shard in set(range(SHARDS)) - worker.owned:
                self.absent[shard].append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)

    def pauses(self, since: float, until: float) -> list[float]:
        """Between two quick runs of a shard that was owned all the while; shortest first."""
        return sorted(self._pauses(since, until))

    def _pauses(self, since: float, until: float) -> Iterator[float]:
        for shard, starts in self.starts.items():
            away = self.absent[shard]
            for sooner, later in pairwise(at for at in starts if since <= at <= until):
                if not any(sooner <= at <= later for at in away):
                    yield later - sooner


async def test_f4_a_storm_of_rebalances_loses_nothing_and_pauses_nobody_else(kafka: Kafka) -> None:
    """Somebody joins or leaves every few seconds (I6, I14): lost 0, twice 0, in order, and no run repeated, for all of
    them fit into the drain. A shard that is kept goes on as if nothing had happened.
    """
    async with ground(kafka.bootstrap, partitions=SHARDS, shards=SHARDS) as place:
        await place.provision()
        steady, over, now = Steady(), asyncio.Event(), asyncio.get_running_loop().time
        async with place.worker(place.work(steady.run)) as worker, asyncio.TaskGroup() as tasks:
            tasks.create_task(_feed(place, over))
            watching = tasks.create_task(steady.watch(worker))
            await eventually(lambda: len(steady.starts) == SHARDS)
            began = now()
            await asyncio.sleep(CALM_S)
            storm = now()
            await _storm(place)
            over.set()
            watching.cancel()
            calm, stormy = steady.pauses(began, storm), steady.pauses(storm, now())
            await eventually(lambda: len(worker.owned) == SHARDS)
            await place.collect(sum(map(len, place.sent.values())), 120)
            await place.committed_to_the_end()
            rebalances = worker.metrics.total(REBALANCES)
        log.info("rebalances", count=rebalances, records=len(place.seen))
        for name, pauses in (("calm", calm), ("storm", stormy)):
            log.info("pauses_of_kept_shards", of=name, count=len(pauses), p99=p99(pauses), longest=pauses[-1])
        await place.judge()
        assert [value for value, count in place.runs.items() if count > 1] == []
        assert rebalances > 20
        assert p99(stormy) < p99(calm) + 0.2


async def _storm(place: Ground) -> None:
    """Somebody comes every few seconds, and nobody stays."""
    end = asyncio.get_running_loop().time() + STORM_S
    async with asyncio.TaskGroup() as tasks:
        while asyncio.get_running_loop().time() < end:
            tasks.create_task(_guest(place))
            await asyncio.sleep(random.uniform(2, 4))


async def _guest(place: Ground) -> None:
    worker = Worker(place.parameters(), place.work(takes_its_time), SystemClock())
    await worker.start()
    await asyncio.sleep(random.uniform(3, 12))
    await worker.stop(grace=15.0)


async def _feed(place: Ground, over: asyncio.Event) -> None:
    """Quick records for each shard, at an even pace, and now and then a long one."""
    number = 0
    async with await Writer.open(place.connection) as writer:
        while not over.is_set():
            async with asyncio.TaskGroup() as tasks:
                for shard in range(SHARDS):
                    number += 1
                    long = random.random() < LONG_SHARE
                    key = b"long-%d-%d" % (shard, number % 16) if long else b"quick-%d" % shard
                    value = b"%d" % number
                    place.sent[key].append(value)
                    tasks.create_task(writer.send(Outgoing(place.source, key, value, partition=shard)))
            await asyncio.sleep(EVERY_S)


def p99(pauses: list[float]) -> float:
    """One in a hundred is longer."""
    return pauses[len(pauses) * 99 // 100]
