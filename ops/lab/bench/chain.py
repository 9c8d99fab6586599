"""``headrace bench chain``: measure the CPU cost of a record through one hop and through the whole journey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from ops.lab.bench import hop, raw, samples
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.lab.bench.journey import cost_us, provisioned
from ops.lab.bench.platform import BenchTopics, alone, bench_topics, brokers
from ops.lab.bench.sink import sink
from ops.settings import Settings
from streams.journey import JourneyName

PARTITIONS = 8
RAW, BATCHED = "raw loop, a send a record", "raw loop, own batches"
PLAIN, ASYNC = "one hop, plain function", "one hop, async def"
RAW_HOPS = "raw loop, three hops"
HOP_GOAL, BATCHED_GOAL, TELEMETRY_GOAL = 0.8, 3.0, 1.25
JOURNEY_GOALS: dict[JourneyName, float] = {"compact": 1.7, "split": 2.5}


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """The size of the measurement."""

    records: int = 20_000
    """Records per measurement of one hop."""

    requests: int = 2_000
    """Requests per measurement of a journey."""

    rounds: int = 3
    journeys: tuple[JourneyName, ...] = ("compact", "split")
    handler: hop.Handler = hop.coroutine
    """The handler of the hop that is measured as ``async def``."""


async def run(plan: ChainPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure the hop on the configured brokers, and each journey on a cluster of its own."""
    async with brokers(settings, folder / "hop") as found, bench_topics(found) as place:
        comparisons = await _hops(plan, place, tell)
    for journey in plan.journeys:
        async with brokers(alone(settings), folder / journey) as found, bench_topics(found) as place:
            comparisons += await _journeys(plan, journey, found, place, tell)
    return comparisons


async def _hops(plan: ChainPlan, place: BenchTopics, tell: Tell) -> list[Comparison]:
    source = await place.topic("source", PARTITIONS)
    await place.fill(samples.events(source, plan.records))
    ours = hop.EngineHop(place, source, PARTITIONS, PARTITIONS)

    async def product(handler: hop.Handler) -> float:
        return await ours.cost_us(await place.fresh("target", PARTITIONS), handler, plan.records)

    async def reference(partitions: int | None) -> float:
        target = await place.fresh("target", PARTITIONS)
        return await raw.cost_us([raw.RawHop(place.connection, source, target)], plan.records, partitions)

    rounds = Rounds(plan.rounds, tell)
    await rounds.measure(
        {
            RAW: partial(reference, None),
            BATCHED: partial(reference, PARTITIONS),
            ASYNC: partial(product, plan.handler),
            PLAIN: partial(product, hop.plain),
        }
    )
    return [
        rounds.compare(ASYNC, RAW, HOP_GOAL),
        rounds.compare(ASYNC, BATCHED, BATCHED_GOAL),
        rounds.compare(PLAIN, RAW),
    ]


async def _journeys(
    plan: ChainPlan, journey: JourneyName, settings: Settings, place: BenchTopics, tell: Tell
) -> list[Comparison]:
    """Measure the journey with telemetry off, sampled out and on, against a raw chain."""
    platform = await provisioned(settings, journey)
    source = await place.topic("source", PARTITIONS)
    await place.fill(samples.events(source, plan.requests))

    async def reference() -> float:
        topics = [source, *[await place.fresh("hop", PARTITIONS) for _ in range(3)]]
        hops = [raw.RawHop(place.connection, *ends) for ends in pairwise(topics)]
        return await raw.cost_us(hops, plan.requests)

    async with sink() as endpoint:
        off, out, on = (f"{journey}, telemetry {how}" for how in ("off", "sampled out", "on"))
        telling = settings.model_copy(update={"otlp_endpoint": endpoint, "trace_ratio": 1.0})
        sampled = telling.model_copy(update={"trace_ratio": 0.0})
        rounds = Rounds(plan.rounds, tell)
        await rounds.measure(
            {
                RAW_HOPS: reference,
                off: partial(cost_us, platform, settings, plan.requests),
                out: partial(cost_us, platform, sampled, plan.requests),
                on: partial(cost_us, platform, telling, plan.requests),
            }
        )
    return [
        rounds.compare(out, RAW_HOPS, JOURNEY_GOALS[journey]),
        rounds.compare(off, RAW_HOPS),
        rounds.compare(on, off, TELEMETRY_GOAL),
    ]
