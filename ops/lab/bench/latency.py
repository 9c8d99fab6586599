"""``headrace bench latency``: measure the time from a client's write until a committed reader has the result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path

from ops.background import background
from ops.lab.bench import hop, raw, samples
from ops.lab.bench.figures import Comparison, Rounds, Tell, quantile
from ops.lab.bench.journey import provisioned, running
from ops.lab.bench.platform import BenchTopics, alone, bench_topics, brokers, until
from ops.lab.bench.window import Window
from ops.settings import Settings
from schemas.headers import CORRELATION_ID, Headers
from schemas.records import Partition, ProducerRecord
from schemas.topics import RESULTS
from streams.journey import JourneyName
from streams.transport.aiokafka_types import Untyped
from streams.transport.reader import Reader

SHARDS = 8
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
HOP, RAW, RAW_HOPS = "one hop", "raw loop", "raw loop, three hops"
GOAL = 2.0
"""The goal for the ratio of the medians of one hop."""

JOINED_S = 1.0
"""Seconds for raw consumers to join their groups. A record before that is late; it is a warm-up record."""

WARM = 20
"""Warm-up records of each path, sent before the records that count."""


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """The size of the measurement."""

    seconds: float = 4
    """Seconds of sending in each round."""

    rate: float = 100
    """Records a second on each path."""

    rounds: int = 3
    journeys: tuple[JourneyName, ...] = ("compact",)
    handler: hop.Handler = hop.coroutine

    @property
    def count(self) -> int:
        """The number of records of one path in a round."""
        return max(1, int(self.seconds * self.rate))


async def run(plan: LatencyPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure the hop on the configured brokers, and each journey on a cluster of its own."""
    async with brokers(settings, folder / "hop") as found, bench_topics(found) as place:
        comparisons = await _hop(plan, place, tell)
    for journey in plan.journeys:
        async with brokers(alone(settings), folder / journey) as found, bench_topics(found) as place:
            comparisons += await _journey(plan, journey, found, place, tell)
    return comparisons


async def _hop(plan: LatencyPlan, place: BenchTopics, tell: Tell) -> list[Comparison]:
    source, target = await place.topic("source", SHARDS), await place.topic("target", SHARDS)
    ours = hop.EngineHop(place, source, SHARDS, SHARDS)
    async with ours.worker(target, plan.handler, Window()) as worker, _raw_chain(place, 1) as (first, last):
        await until(lambda: worker.ready)
        ways = {HOP: samples.asked(source), RAW: samples.asked(first)}
        return await _measured(plan, place, ways, _partitions(target, last), tell, GOAL)


async def _journey(
    plan: LatencyPlan, journey: JourneyName, settings: Settings, place: BenchTopics, tell: Tell
) -> list[Comparison]:
    platform = await provisioned(settings, journey)
    async with running(settings, platform.stages), _raw_chain(place, 3) as (first, last):
        ways = {journey: samples.requests(platform.tenants), RAW_HOPS: samples.asked(first)}
        ends = [Partition(RESULTS.of(tenant), 0) for tenant in platform.tenants]
        return await _measured(plan, place, ways, [*ends, *_partitions(last)], tell)


def _partitions(*topics: str) -> list[Partition]:
    return [Partition(topic, number) for topic in topics for number in range(SHARDS)]


@asynccontextmanager
async def _raw_chain(place: BenchTopics, hops: int) -> AsyncGenerator[tuple[str, str]]:
    """Run raw hops for the block, and yield their first and last topic."""
    topics = [await place.fresh("raw", SHARDS) for _ in range(hops + 1)]
    async with raw.producer(place.connection, linger_ms=0) as shared, asyncio.TaskGroup() as tasks:
        chain = [raw.RawHop(place.connection, *ends) for ends in pairwise(topics)]
        running = [tasks.create_task(each.run(shared)) for each in chain]
        await asyncio.sleep(JOINED_S)
        try:
            yield topics[0], topics[-1]
        finally:
            for task in running:
                task.cancel()


async def _measured(
    plan: LatencyPlan,
    place: BenchTopics,
    ways: Mapping[str, Iterator[ProducerRecord]],
    ends: Sequence[Partition],
    tell: Tell,
    goal: float | None = None,
) -> list[Comparison]:
    """Measure both paths in turn, record by record, for all rounds."""
    product, reference = ways
    rounds = Rounds(plan.rounds, tell, "ms")
    for number in range(plan.rounds):
        took = await LatencyMeter(ways).measure(place, ends, plan)
        for name, times in took.items():
            shares = {share: quantile(times, part) for share, part in QUANTILES.items()}
            tell({"round": number + 1, "what": name, **{share: round(value, 2) for share, value in shares.items()}})
            for share, value in shares.items():
                rounds.add(f"{name}, {share}", value)
    return [
        rounds.compare(f"{product}, {share}", f"{reference}, {share}", goal if share == "p50" else None)
        for share in QUANTILES
    ]


@dataclass(slots=True)
class LatencyMeter:
    """Write records along several paths by turns, and measure their times."""

    ways: Mapping[str, Iterator[ProducerRecord]]
    _sent: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    _took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def measure(self, place: BenchTopics, ends: Sequence[Partition], plan: LatencyPlan) -> dict[str, list[float]]:
        """Return the milliseconds until each record could be read, by path."""
        self._took = {name: [] for name in self.ways}
        async with (
            await Reader.open(place.connection, ends, "latest", name="headrace-bench") as reader,
            raw.producer(place.connection, linger_ms=0) as client,
            background(self._read(reader)),
        ):
            await self._write(client, plan)
            await until(lambda: not self._sent)
        return {name: times[WARM:] if len(times) > 2 * WARM else times for name, times in self._took.items()}

    async def _write(self, client: Untyped, plan: LatencyPlan) -> None:
        began, pause = time.perf_counter(), 1 / plan.rate / len(self.ways)
        for number, name in enumerate(islice(cycle(self.ways), plan.count * len(self.ways))):
            await asyncio.sleep(max(0.0, began + number * pause - time.perf_counter()))
            record = next(self.ways[name])
            self._sent[Headers(record.headers).text(CORRELATION_ID) or ""] = name, time.perf_counter()
            await client.send(record.topic, record.value, key=record.key, headers=list(record.headers))

    async def _read(self, reader: Reader) -> None:
        async for record in reader:
            now, mark = time.perf_counter(), Headers(record.headers).text(CORRELATION_ID) or ""
            if (sent := self._sent.pop(mark, None)) is not None:
                self._took[sent[0]].append((now - sent[1]) * 1_000)
