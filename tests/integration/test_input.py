"""Trouble with one input stops nothing but that input: what cannot be read, what is gone, what nobody may see."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Outgoing, Partition, Record
from streams import revival
from streams.metrics import PARTITION_STOPS, REOPENS
from streams.parameters import Parameters
from streams.runtime import Runtime
from streams.transport import internals
from streams.transport.admin import NewTopicSpec
from streams.transport.writer import TransactionalWriter, Writer
from streams.worker import Worker
from tests.integration.ground import Ground, eventually, ground, of_two_topics
from tests.integration.raw import Raw, batch, raw_client, record

pytestmark = pytest.mark.anyio


async def a_moment(_: Record) -> None:
    """Almost at once."""
    await asyncio.sleep(0)


async def answered(place: Ground, count: int) -> list[bytes]:
    """The values of the answers, once there are *count*."""
    await place.collect(count)
    return sorted(each.value or b"" for each in place.seen)


async def answered_value(place: Ground, value: bytes) -> None:
    """Wait for one answer."""
    async with asyncio.timeout(20):
        while value not in {each.value for each in place.seen}:
            place.seen += await place.reader.poll(0.05)


def inside(worker: Worker) -> Runtime:
    """What the worker's parts share."""
    private: Any = worker
    runtime: Runtime = private._runtime  # noqa: SLF001 - what is told to nobody outside
    return runtime


def asked_for_metadata(worker: Worker) -> list[float]:
    """Grows whenever the data consumer updates its metadata."""
    fetcher: Any = inside(worker).fetcher
    client: Any = internals.client_of(fetcher._consumer)  # noqa: SLF001 - there is no other way in
    asked, update = list[float](), client._metadata_update  # noqa: SLF001 - as above

    async def counted(cluster: object, topics: object) -> object:
        asked.append(time.monotonic())
        updated: object = await update(cluster, topics)
        return updated

    client._metadata_update = counted  # noqa: SLF001 - as above
    return asked


async def send(place: Ground, number: int, *values: bytes) -> None:
    """Plain records, one after another."""
    async with await Writer.open(place.connection) as writer:
        for value in values:
            await writer.send(Outgoing(place.source, b"key", value, partition=number))


def stops(worker: Worker, reason: str) -> float:
    """How often a partition has come to stand still."""
    return worker.metrics.total(PARTITION_STOPS, reason)


BAD_NAMES = [(b"\xff\xfe", b"x"), (b"ok", b"y"), (b"caf\xc3\xa9", None)]
HARD = {
    "a name that is no text": batch([Raw(b"k", b"1", BAD_NAMES), Raw(b"k", b"2")]),
    "the same, compressed": batch(
        [Raw(), Raw()],
        attributes=1,
        body=gzip.compress(record(Raw(b"k", b"1", BAD_NAMES), 0) + record(Raw(b"k", b"2"), 1)),
    ),
    "offsets far apart": batch([Raw(b"k", b"1"), Raw(b"k", b"2", delta=1000)]),
    "one offset for all": batch([Raw(b"k", b"1", BAD_NAMES, delta=0), Raw(b"k", b"2", delta=0)]),
}


@pytest.mark.parametrize("what", HARD)
async def test_what_only_this_client_cannot_read_is_an_ordinary_record(kafka: Kafka, what: str) -> None:
    """I10: nothing is skipped for its headers or encoding. Kafka does not look at them, and takes it."""
    async with ground(kafka.bootstrap, partitions=2, shards=1) as place, raw_client(kafka.bootstrap) as raw:
        await place.provision()
        await send(place, 0, b"0")
        assert await raw.write(Partition(place.source, 0), HARD[what]) == 0
        await send(place, 0, b"3")
        async with place.worker(place.work(a_moment)) as worker:
            assert await answered(place, 4) == [b"0", b"1", b"2", b"3"]
            await place.committed_to_the_end()
            assert worker.metrics.total(PARTITION_STOPS) == 0
        assert set(place.runs.values()) == {1}


def segment(kafka: Kafka, place: Partition) -> Path:
    """The file that holds a young partition."""
    return kafka.folder / "data" / f"{place.topic}-{place.number}" / f"{0:020}.log"


def flip(path: Path, what: bytes, other: bytes) -> None:
    """Change bytes where the broker has them."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(data.index(what))
        file.write(other)


async def test_a_damaged_batch_stops_its_partition_and_no_other(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands before it is answered, what stands behind it waits, nothing is skipped; a repair ends the stop."""
    monkeypatch.setattr(revival, "RETRY_S", 1.0)
    async with ground(kafka.bootstrap, partitions=2, shards=1) as place:
        await place.provision()
        await send(place, 0, b"before", b"damaged", b"behind")
        flip(segment(kafka, Partition(place.source, 0)), b"damaged", b"DAMAGED")
        parameters = replace(place.parameters(), watchdog_s=2.0)
        async with running(place, parameters) as worker:
            assert await answered(place, 1) == [b"before"]
            await eventually(lambda: stops(worker, "unreadable") >= 1)
            for number in range(40):  # beyond the watchdog's patience
                await send(place, 1, b"%d" % number)
                assert len(await answered(place, number + 2)) == number + 2
                await asyncio.sleep(0.1)
            assert worker.fatal is None

            flip(segment(kafka, Partition(place.source, 0)), b"DAMAGED", b"damaged")
            assert {b"damaged", b"behind"} < set(await answered(place, 43))
            await place.committed_to_the_end()
        assert set(place.runs.values()) == {1}


@asynccontextmanager
async def running(place: Ground, parameters: Parameters) -> AsyncGenerator[Worker]:
    """A worker with *parameters*, stopped at the end."""
    worker = Worker(parameters, place.work(a_moment), SystemClock())
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(grace=5.0)


async def delete_records(place: Ground, partition: Partition, before: int) -> None:
    """As retention does, only now."""
    theirs: Any = AIOKafkaAdminClient(bootstrap_servers=place.connection.bootstrap)
    await theirs.start()
    try:
        await theirs.delete_records({TopicPartition(*partition): RecordsToDelete(before)})
    finally:
        await theirs.close()


async def test_f15_a_log_that_has_lost_its_records_stops_its_partition_and_no_other(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No silent jump: what retention took before it was read is an alarm, for that partition alone.

    Nor when a log that ended before the offset has grown beyond it.
    """
    monkeypatch.setattr(revival, "RETRY_S", 0.5)
    async with ground(kafka.bootstrap, partitions=3, shards=1) as place:
        await place.provision([Partition(place.source, 0), Partition(place.source, 1)])
        await send(place, 0, *(b"lost-%d" % number for number in range(5)))
        await delete_records(place, Partition(place.source, 0), 3)
        async with await TransactionalWriter.open(place.connection, f"ahead-{place.tag}") as writer:
            await writer.transact([], {Partition(place.source, 2): 7}, place.group)
        async with running(place, replace(place.parameters(), watchdog_s=2.0)) as worker:
            await eventually(lambda: stops(worker, "offset_lost") == 2)
            await send(place, 2, *(b"late-%d" % number for number in range(10)))
            for number in range(30):  # beyond the watchdog's patience
                await send(place, 1, b"%d" % number)
                assert len(await answered(place, number + 1)) == number + 1
                await asyncio.sleep(0.15)
            assert worker.fatal is None
            assert len(place.seen) == 30
            committed = await place.admin.committed(place.group)
            assert committed[Partition(place.source, 0)] == 0
            assert committed[Partition(place.source, 2)] == 7
            assert b'headrace_stopped_partitions{reason="offset_lost",stage="' in worker.metrics.text()


async def test_a_topic_that_goes_and_comes_back_disturbs_nobody(kafka: Kafka) -> None:
    """Its tenant has been deleted, with records that run and records that wait to be committed."""
    async with ground(kafka.bootstrap, partitions=1, shards=1) as place:
        doomed = f"doomed-{place.tag}"
        await place.admin.create_topics([NewTopicSpec(doomed, 1)])
        deleted = asyncio.Event()

        async def answer(record: Record) -> None:
            if record.value == b"lost":
                await deleted.wait()

        work = replace(of_two_topics(place.work(answer), place, doomed), first=lambda _: [])
        async with place.worker(work) as worker, await Writer.open(place.connection) as writer:
            await writer.send(Outgoing(doomed, b"key", b"first", partition=0))
            await answered(place, 1)
            asked = asked_for_metadata(worker)
            await writer.send(Outgoing(doomed, b"key", b"lost", partition=0))
            await eventually(lambda: worker.running == 1)
            await place.admin.delete_topics([doomed])
            deleted.set()
            waits = list[float]()
            for number in range(40):
                began = time.monotonic()
                await send(place, 0, b"%d" % number)
                await answered_value(place, b"%d" % number)
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
            assert max(waits) < 3.0
            assert sorted(waits)[-3] < 1.0
            assert Partition(doomed, 0) in inside(worker).stops.withdrawn
            assert len(asked) < 60
            assert worker.metrics.total(REOPENS) <= 1

            await place.admin.create_topics([NewTopicSpec(doomed, 1)])
            await writer.send(Outgoing(doomed, b"key", b"again", partition=0))
            await answered_value(place, b"again")
            assert worker.fatal is None
