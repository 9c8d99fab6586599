"""One long run stops nobody: it is carried to the end of its partition, goes on, and is answered once."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
import structlog

from ops.embedded.kafka import Kafka
from schemas.headers import INPUT
from schemas.headers import RELOCATED as HEADER
from schemas.records import Partition, ProducerRecord, Record
from schemas.relocation import original_of
from schemas.topics import INNER_LIMIT, SCREENED
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.offsets import tracker as tracking
from streams.telemetry.metric_definitions import RECORDS, RELOCATIONS, REOPENS
from streams.transport.admin import NewTopicSpec
from streams.transport.errors import BrokerError
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer
from streams.transport.writer import Writer
from tests.integration.engine_setup import PATIENCE_S, EngineSetup, engine_setup, eventually
from tests.integration.relocation_failpoints import Point, transact_until

pytestmark = pytest.mark.anyio

log = structlog.get_logger()

LONG = b"0"
"""The value of the first record that is fed."""


@dataclass
class Road:
    """One partition with a long run, and fast ones that pass it."""

    setup: EngineSetup
    over: asyncio.Event = field(default_factory=asyncio.Event)
    copies: list[Record] = field(default_factory=list[Record])
    """Of the long run's record, that were started as records of their own."""

    async def answer(self, record: Record) -> None:
        """The long run lasts until it may end."""
        if record.value != LONG:
            return
        if any(name == HEADER for name, _ in record.headers):
            self.copies.append(record)
        await self.over.wait()

    def handler(self) -> StageHandler:
        return replace(self.setup.handler(self.answer), relocates=True)

    @asynccontextmanager
    async def worker(self, behind: int) -> AsyncGenerator[Worker]:
        async with self.setup.worker(
            self.handler(), replace(self.setup.config(), relocation_distance=behind)
        ) as worker:
            yield worker

    async def watermark(self) -> int:
        """The committed offset."""
        [offset] = (await self.setup.admin.committed(self.setup.group)).values()
        return offset

    async def once(self) -> None:
        """Every record has one outcome, and the long run was started once."""
        await self.setup.judge()
        await self.setup.committed_to_the_end()
        assert set(self.setup.runs.values()) == {1}


@asynccontextmanager
async def road(kafka: Kafka) -> AsyncGenerator[Road]:
    """A partition of one's own."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        yield Road(setup)


async def test_f7_a_long_run_holds_up_no_watermark_and_is_answered_once(kafka: Kafka) -> None:
    """Carried again and again, it goes on; what came after it is not kept waiting, nor in the map (I2, I3)."""
    async with road(kafka) as way, way.worker(behind=200) as worker:
        await way.setup.feed(1, keys=10_000)
        await eventually(lambda: way.setup.runs[LONG] == 1)
        for _ in range(4):
            await way.setup.feed(500, keys=10_000)
            await way.setup.collect(len(way.setup.seen) + 500)
        await eventually(lambda: worker.metrics.total(RELOCATIONS) >= 4)
        assert await way.watermark() > 1_500
        assert LONG not in {record.value for record in way.setup.seen}

        way.over.set()
        await way.setup.collect(2_001)
        await way.once()
        assert worker.metrics.total(RECORDS) == 2_001


async def test_a_run_with_another_of_its_lane_behind_it_stays(kafka: Kafka) -> None:
    """It would be overtaken (I7)."""
    async with road(kafka) as way, way.worker(behind=100) as worker:
        await way.setup.feed(400, keys=399)  # the last has the key of the first
        await eventually(lambda: sum(way.setup.runs.values()) == 399)
        await way.setup.collect(398)
        assert worker.metrics.total(RELOCATIONS) == 0

        way.over.set()
        await way.setup.collect(400)
        await way.once()


async def test_several_long_runs_of_a_partition_are_carried(kafka: Kafka) -> None:
    """Each has its own copy, and its own outcome."""
    async with road(kafka) as way:

        async def answer(record: Record) -> None:
            if int(record.value or b"0") % 100 == 0:
                await way.over.wait()

        handler = replace(way.setup.handler(answer), relocates=True)
        async with way.setup.worker(handler, replace(way.setup.config(), relocation_distance=150)) as worker:
            await way.setup.feed(1_000, keys=10_000)
            await way.setup.collect(990)
            await eventually(lambda: worker.metrics.total(RELOCATIONS) >= 8)

            way.over.set()
            await way.setup.collect(1_000)
            await way.once()


# --- what the others wait ---------------------------------------------------------------------------------------------


@dataclass
class Traffic:
    """Fast records at a steady pace beside a run of some seconds, in one partition."""

    long_s: float
    rate: int
    count: int
    behind: int

    async def waits(self, kafka: Kafka) -> list[float]:
        """Seconds from the sending of each fast record until it is visible, sorted."""
        async with road(kafka) as way, way.worker(self.behind) as worker:
            await way.setup.feed(1, keys=10_000)
            await eventually(lambda: way.setup.runs[LONG] == 1)
            asyncio.get_running_loop().call_later(self.long_s, way.over.set)
            sent, seen = dict[bytes, float](), dict[bytes, float]()
            async with asyncio.TaskGroup() as group, await Writer.open(way.setup.connection) as writer:
                reading = group.create_task(self._read(way, seen))
                await self._send(way, writer, sent)
                await reading
            assert way.setup.runs[LONG] == 1
            assert worker.metrics.total(RELOCATIONS) >= (self.long_s > 1) * self.count // self.behind // 3
        return sorted(seen[value] - at for value, at in sent.items())

    async def _send(self, way: Road, writer: Writer, sent: dict[bytes, float]) -> None:
        """In bursts of a fiftieth of a second."""
        began, loop_budget = time.monotonic(), max(1, self.rate // 50)
        async with asyncio.TaskGroup() as group:
            for first in range(0, self.count, loop_budget):
                await asyncio.sleep(max(0.0, began + first / self.rate - time.monotonic()))
                for number in range(first, first + loop_budget):
                    value = b"fast-%d" % number
                    sent[value] = time.monotonic()
                    group.create_task(writer.send(ProducerRecord(way.setup.source, value, value, partition=0)))

    async def _read(self, way: Road, seen: dict[bytes, float]) -> None:
        """Until all are visible, the long one too."""
        async with asyncio.timeout(self.count / self.rate + 60):
            while len(seen) < self.count + 1:
                found = await way.setup.reader.poll(0.02)
                seen.update({record.value or b"": time.monotonic() for record in found})


def p99(waits: list[float]) -> float:
    """Of sorted ones."""
    return waits[len(waits) * 99 // 100]


async def test_f27_a_long_run_does_not_change_what_the_others_wait(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake would have stopped at a span beyond it; the load without it is the measure, in the same minute."""
    monkeypatch.setattr(tracking, "SPAN", 250)
    without = await Traffic(0.0, rate=400, count=600, behind=80).waits(kafka)
    beside = await Traffic(1.4, rate=400, count=600, behind=80).waits(kafka)

    assert p99(beside) < 2 * p99(without) + 0.3


@pytest.mark.slow
async def test_f27_a_run_of_45_seconds_beside_30_000_fast_ones(kafka: Kafka) -> None:
    """The same at full size, with the numbers that are deployed."""
    without = await Traffic(0.0, rate=600, count=30_000, behind=10_000).waits(kafka)
    beside = await Traffic(45.0, rate=600, count=30_000, behind=10_000).waits(kafka)
    log.info("waits", p99_without=p99(without), p99_beside=p99(beside), max_without=without[-1], max_beside=beside[-1])

    assert p99(beside) < 1.5 * p99(without) + 0.1


@pytest.mark.slow
async def test_f7_100_000_fast_records_beside_one_that_outlasts_them(kafka: Kafka) -> None:
    """As ten minutes are to a second: it is carried every ten thousand, and its own outcome comes in the end."""
    async with road(kafka) as way, way.worker(behind=10_000) as worker:
        await way.setup.feed(1, keys=1_000_000)
        await eventually(lambda: way.setup.runs[LONG] == 1)
        for _ in range(20):
            await way.setup.feed(5_000, keys=1_000_000)
            await way.setup.collect(len(way.setup.seen) + 5_000, patience_s=60)
        await eventually(lambda: worker.metrics.total(RELOCATIONS) >= 9)
        assert await way.watermark() > 85_000

        way.over.set()
        await way.setup.collect(100_001)
        await way.once()


# --- doubt ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["meanwhile", "later"])
@pytest.mark.parametrize("point", ["unsent", "placed", "committed"])
async def test_a_carry_whose_transaction_is_in_doubt_starts_no_second_run(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, point: Point, ends: str
) -> None:
    """The re-open reads what became of it: whichever it was, the run goes on, and is answered once (I15)."""
    async with road(kafka) as way:

        def lose() -> None:
            if ends == "meanwhile":
                way.over.set()
            raise BrokerError("the answer was lost")

        monkeypatch.setattr(TransactionalProducer, "transact", transact_until(point, lose))
        async with way.worker(behind=100) as worker:
            await way.setup.feed(400, keys=10_000)
            await eventually(lambda: worker.metrics.total(REOPENS) == 1)
            await way.setup.collect(399)
            way.over.set()
            await way.setup.collect(400)
            await way.once()


# --- death ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("point", get_args(Point))
async def test_f1_a_worker_killed_around_a_carry_loses_nothing_and_repeats_nothing(kafka: Kafka, point: Point) -> None:
    """To whoever takes over, a copy is a record like any other; the old offset is done exactly if the copy stands."""
    async with road(kafka) as way:
        way.over.set()
        await way.setup.feed(400, keys=10_000)
        settings = {
            "bootstrap": kafka.bootstrap,
            "group": way.setup.group,
            "source": way.setup.source,
            "output": way.setup.output,
            "shard_topic": f"shards-{way.setup.tag}",
            "behind": "100",
            "point": point,
        }
        command = [sys.executable, "-m", "tests.integration.relocation_worker", json.dumps(settings)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == -signal.SIGKILL

        async with way.worker(behind=10_000):
            await way.setup.collect(400)
            await way.setup.committed_to_the_end()
        await way.setup.judge()
        assert way.setup.runs[LONG] == (point != "ended")
        carried = point in {"committed", "fetched", "ending"}
        assert [original_of(copy).offset for copy in way.copies] == [0] * carried


# --- size -------------------------------------------------------------------------------------------------------------


async def test_the_largest_record_that_a_topic_takes_can_be_carried(kafka: Kafka) -> None:
    """As large as check_sizes lets it be, on a topic made as ours are; often, for it must not grow."""
    async with road(kafka) as way:
        topic = f"inner-{way.setup.tag}"
        await way.setup.admin.create_topics([NewTopicSpec(topic, 1, configs=dict(SCREENED.config))])
        setup = Partition(topic, 0)
        await way.setup.provision([setup])

        async def answer(record: Record) -> None:
            if len(record.value or b"") > 100:
                await way.over.wait()

        async def run(record: Record) -> Outputs:
            await answer(record)
            return [ProducerRecord(way.setup.output, record.key, b"done")]

        handler = replace(
            way.setup.handler(answer),
            relocates=True,
            route=lambda _: {setup},
            prepare=lambda _, record: Job(record.key, lambda: run(record)),
        )
        async with (
            way.setup.worker(handler, replace(way.setup.config(), relocation_distance=20)) as worker,
            await Writer.open(way.setup.connection) as writer,
            await Reader.open(way.setup.connection, topic) as reader,
        ):
            largest = full(topic)
            await writer.send(largest)
            sent = 1
            async with asyncio.timeout(PATIENCE_S):
                while (
                    worker.metrics.total(RELOCATIONS) < 3
                ):  # how many pass between two carries is the machine's affair
                    await writer.send(ProducerRecord(topic, b"%d" % sent, b"fast"))
                    sent += 1
            way.over.set()
            await eventually(lambda: worker.metrics.total(RECORDS) == sent)
            copies = [r async for r in reader.until(await reader.high_watermarks()) if r.value == largest.value]

        assert len(copies) == worker.metrics.total(RELOCATIONS) + 1
        own = {tuple(pair for pair in original_of(copy).headers if pair[0] != INPUT) for copy in copies}
        assert own == {largest.headers}
        assert {sum(name == INPUT for name, _ in copy.headers) for copy in copies[1:]} == {1}
        assert {sum(name == HEADER for name, _ in copy.headers) for copy in copies[1:]} == {1}


def full(topic: str) -> ProducerRecord:
    """A record of which not one byte more would be let out."""
    record = ProducerRecord(topic, b"key", b"", (("a", b"1"), ("b", None)))
    return record._replace(value=bytes(INNER_LIMIT - record.size))
