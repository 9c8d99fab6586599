"""What one tenant or one key does, its neighbours hardly notice (I13); and what a worker holds is bounded (I12)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from ops.embedded.kafka import Kafka
from ops.lab.neighbours.victim import percentile
from schemas.records import ProducerRecord, Record
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter, Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = pytest.mark.anyio

SLACK_S = 0.25
"""What a busy machine adds to a wait now and then, whatever the engine does."""


@dataclass
class Street:
    """One partition, shared by an innocent tenant whose runs take a moment, and others whose runs take as they say."""

    setup: EngineSetup
    seen: set[bytes] = field(default_factory=set[bytes])
    visits: int = 0

    def handler(self) -> StageHandler:
        async def run(record: Record) -> Outputs:
            self.setup.runs[record.value or b""] += 1
            await asyncio.sleep(float((record.value or b"").split(b"|")[1]))
            return [ProducerRecord(self.setup.output, record.key, record.value)]

        def prepare(_: int, record: Record) -> Job:
            tenant = (record.key or b"").partition(b"|")[0].decode()
            return Job(record.key, lambda: run(record), tenant=tenant)

        return replace(self.setup.handler(_never), prepare=prepare)

    async def burden(self, tenant: str, count: int, seconds: float, lanes: int) -> None:
        """*count* records of one tenant at once."""
        records = [
            ProducerRecord(
                self.setup.source, b"%s|%d" % (tenant.encode(), n % lanes), b"%s-%d|%g" % (tenant.encode(), n, seconds)
            )
            for n in range(count)
        ]
        async with await TransactionalWriter.open(self.setup.connection, f"burden-{self.setup.tag}") as writer:
            await writer.transact(records)

    async def visit(self, writer: Writer, reader: Reader, count: int) -> list[float]:
        """Innocents one after another, each from its sending to its visible answer."""
        waits = list[float]()
        for _ in range(count):
            self.visits += 1
            value, began = b"visit-%d|0.01" % self.visits, time.monotonic()
            await writer.send(ProducerRecord(self.setup.source, b"innocent|%d" % self.visits, value))
            async with asyncio.timeout(20):
                while value not in self.seen:
                    self.seen.update(record.value or b"" for record in await reader.poll(0.02))
            waits.append(time.monotonic() - began)
        return waits


async def _never(_: Record) -> None:
    raise AssertionError


@asynccontextmanager
async def street(kafka: Kafka, max_running: int = 500) -> AsyncGenerator[tuple[Street, Worker, Writer, Reader]]:
    """A worker on one partition, and what is needed to visit it."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        here = Street(setup)
        async with (
            setup.worker(replace(here.handler(), max_running=max_running)) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            await eventually(lambda: worker.ready)
            yield here, worker, writer, reader
            await worker.stop(0)


async def test_f12_a_tenant_whose_long_runs_fill_a_worker_keeps_nobody_from_starting(kafka: Kafka) -> None:
    """Others wait neither for its runs nor behind what it has queued: it came first, with ten times what fits."""
    async with street(kafka, max_running=40) as (here, worker, writer, reader):
        alone = await here.visit(writer, reader, 30)
        await here.burden("hot", 400, 60.0, lanes=400)
        await eventually(lambda: worker.running == 36 and worker.in_flight == 400)
        beside = await here.visit(writer, reader, 30)

        assert percentile(beside, 0.95) < 2 * percentile(alone, 0.95) + SLACK_S
        assert worker.running == 36


async def test_f12_a_full_worker_gives_each_free_slot_to_whose_turn_it_is(kafka: Kafka) -> None:
    """Two hundred queued runs of one tenant come before one of another tenant only if they may."""
    async with street(kafka, max_running=4) as (here, _, writer, reader):
        await here.burden("hot", 200, 0.1, lanes=200)
        await here.visit(writer, reader, 1)
        done = sum(value.startswith(b"hot") for value in here.seen)

        assert done < 60


async def test_f10_a_key_whose_runs_take_long_leaves_the_others_as_they_were(kafka: Kafka) -> None:
    """Its own requests wait for each other, and nobody else does."""
    async with street(kafka) as (here, worker, writer, reader):
        alone = await here.visit(writer, reader, 40)
        await here.burden("innocent", 50, 60.0, lanes=1)
        await eventually(lambda: worker.running == 1 and worker.in_flight == 50)
        beside = await here.visit(writer, reader, 40)

        assert percentile(beside, 0.95) < 2 * percentile(alone, 0.95) + SLACK_S
        assert here.setup.runs[b"innocent-1|60"] == 0


async def test_what_a_worker_holds_is_bounded_in_bytes(kafka: Kafka) -> None:
    """I12: a hundred records of 1 MB wait; a worker that may hold 16 MiB takes in no more than one fetch over it."""
    limit, size = 16 * 1024 * 1024, 1_000_000
    async with engine_setup(kafka.bootstrap, partitions=4, shards=2) as setup:
        await setup.provision()
        await _feed_large(setup, 100, size)
        release, most = asyncio.Event(), 0

        async def wait(_: Record) -> None:
            nonlocal most
            most = max(most, worker.in_flight_bytes)
            await release.wait()

        handler = replace(setup.handler(wait), max_in_flight_bytes=limit)
        async with setup.worker(handler) as worker:
            await eventually(lambda: worker.in_flight_bytes >= limit // 2)
            await asyncio.sleep(1)
            assert limit // 2 < worker.in_flight_bytes <= limit + 2 * 1024 * 1024

            release.set()
            await setup.collect(100, patience_s=60)
            await setup.committed_to_the_end()
        assert most <= limit + 2 * 1024 * 1024
        assert worker.in_flight == worker.in_flight_bytes == 0
        assert set(setup.runs.values()) == {1}


async def _feed_large(setup: EngineSetup, count: int, size: int) -> None:
    async with await Writer.open(setup.connection) as writer, asyncio.TaskGroup() as tasks:
        for number in range(count):
            key = b"key-%d" % number
            tasks.create_task(writer.send(ProducerRecord(setup.source, key, key.ljust(size), partition=number % 4)))
