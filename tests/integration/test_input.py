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
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine import lag, partition_recovery, watchdog
from streams.engine.config import EngineConfig
from streams.engine.runtime import Runtime
from streams.engine.worker import Worker
from streams.offsets.offset_map import encode
from streams.telemetry.metric_definitions import PARTITION_PAUSES, REOPENS
from streams.transport import aiokafka_private
from streams.transport.admin import NewTopicSpec
from streams.transport.transactional_producer import TransactionalProducer
from streams.transport.writer import TransactionalWriter, Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually, of_two_topics
from tests.integration.raw import Raw, batch, raw_client, record

pytestmark = pytest.mark.anyio


async def a_moment(_: Record) -> None:
    """Almost at once."""
    await asyncio.sleep(0)


async def answered(setup: EngineSetup, count: int) -> list[bytes]:
    """The values of the answers, once there are *count*."""
    await setup.collect(count)
    return sorted(each.value or b"" for each in setup.seen)


async def answered_value(setup: EngineSetup, value: bytes) -> None:
    """Wait for one answer."""
    async with asyncio.timeout(20):
        while value not in {each.value for each in setup.seen}:
            setup.seen += await setup.reader.poll(0.05)


def inside(worker: Worker) -> Runtime:
    """What the worker's parts share."""
    private: Any = worker
    runtime: Runtime = private._runtime  # noqa: SLF001 - what is told to nobody outside
    return runtime


def asked_for_metadata(worker: Worker) -> list[float]:
    """Grows whenever the data consumer updates its metadata."""
    consumer: Any = inside(worker).consumer
    client: Any = aiokafka_private.client_of(consumer._consumer)  # noqa: SLF001 - there is no other way in
    asked, update = list[float](), client._metadata_update  # noqa: SLF001 - as above

    async def counted(cluster: object, topics: object) -> object:
        asked.append(time.monotonic())
        updated: object = await update(cluster, topics)
        return updated

    client._metadata_update = counted  # noqa: SLF001 - as above
    return asked


def look_often(patch: pytest.MonkeyPatch) -> None:
    """The watchdog sees five times a second what is behind."""
    patch.setattr(watchdog, "LOOK_S", 0.2)
    patch.setattr(lag, "LOOK_S", 0.2)


async def send(setup: EngineSetup, number: int, *values: bytes) -> None:
    """Plain records, one after another."""
    async with await Writer.open(setup.connection) as writer:
        for value in values:
            await writer.send(ProducerRecord(setup.source, b"key", value, partition=number))


def paused(worker: Worker, reason: str) -> float:
    """How often a partition has come to stand still."""
    return worker.metrics.total(PARTITION_PAUSES, reason)


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
    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup, raw_client(kafka.bootstrap) as raw:
        await setup.provision()
        await send(setup, 0, b"0")
        assert await raw.write(Partition(setup.source, 0), HARD[what]) == 0
        await send(setup, 0, b"3")
        async with setup.worker(setup.handler(a_moment)) as worker:
            assert await answered(setup, 4) == [b"0", b"1", b"2", b"3"]
            await setup.committed_to_the_end()
            assert worker.metrics.total(PARTITION_PAUSES) == 0
        assert set(setup.runs.values()) == {1}


def segment(kafka: Kafka, setup: Partition) -> Path:
    """The file that holds a young partition."""
    return kafka.folder / "data" / f"{setup.topic}-{setup.number}" / f"{0:020}.log"


def flip(path: Path, what: bytes, other: bytes) -> None:
    """Change bytes where the broker has them."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(data.index(what))
        file.write(other)


async def test_a_damaged_batch_stops_its_partition_and_no_other(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands before it is answered, what stands behind it waits, nothing is skipped; a repair ends the stop."""
    monkeypatch.setattr(partition_recovery, "RETRY_S", 1.0)
    look_often(monkeypatch)
    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        await send(setup, 0, b"before", b"damaged", b"behind")
        flip(segment(kafka, Partition(setup.source, 0)), b"damaged", b"DAMAGED")
        config = replace(setup.config(), watchdog_s=1.0)
        async with running(setup, config) as worker:
            assert await answered(setup, 1) == [b"before"]
            await eventually(lambda: paused(worker, "unreadable") >= 1)
            for number in range(15):  # beyond the watchdog's patience
                await send(setup, 1, b"%d" % number)
                assert len(await answered(setup, number + 2)) == number + 2
                await asyncio.sleep(0.1)
            assert worker.fatal is None

            flip(segment(kafka, Partition(setup.source, 0)), b"DAMAGED", b"damaged")
            assert {b"damaged", b"behind"} < set(await answered(setup, 18))
            await setup.committed_to_the_end()
        assert set(setup.runs.values()) == {1}


@asynccontextmanager
async def running(setup: EngineSetup, config: EngineConfig) -> AsyncGenerator[Worker]:
    """A worker with *config*, stopped at the end."""
    worker = Worker(config, setup.handler(a_moment), SystemClock())
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(grace=5.0)


async def delete_records(setup: EngineSetup, partition: Partition, before: int) -> None:
    """As retention does, only now."""
    theirs: Any = AIOKafkaAdminClient(bootstrap_servers=setup.connection.bootstrap)
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
    monkeypatch.setattr(partition_recovery, "RETRY_S", 0.5)
    look_often(monkeypatch)
    async with engine_setup(kafka.bootstrap, partitions=3, shards=1) as setup:
        await setup.provision([Partition(setup.source, 0), Partition(setup.source, 1)])
        await send(setup, 0, *(b"lost-%d" % number for number in range(5)))
        await delete_records(setup, Partition(setup.source, 0), 3)
        async with await TransactionalWriter.open(setup.connection, f"ahead-{setup.tag}") as writer:
            await writer.transact([], {Partition(setup.source, 2): 7}, setup.group)
        async with running(setup, replace(setup.config(), watchdog_s=1.0)) as worker:
            await eventually(lambda: paused(worker, "offset_lost") == 2)
            await send(setup, 2, *(b"late-%d" % number for number in range(10)))
            for number in range(15):  # beyond the watchdog's patience
                await send(setup, 1, b"%d" % number)
                assert len(await answered(setup, number + 1)) == number + 1
                await asyncio.sleep(0.15)
            assert worker.fatal is None
            assert len(setup.seen) == 15
            committed = await setup.admin.committed(setup.group)
            assert committed[Partition(setup.source, 0)] == 0
            assert committed[Partition(setup.source, 2)] == 7
            assert b'headrace_paused_partitions{reason="offset_lost",stage="' in worker.metrics.text()


async def test_a_topic_that_goes_and_comes_back_disturbs_nobody(kafka: Kafka) -> None:
    """Its tenant has been deleted, with records that run and records that wait to be committed."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        doomed = f"doomed-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(doomed, 1)])
        deleted = asyncio.Event()

        async def answer(record: Record) -> None:
            if record.value == b"lost":
                await deleted.wait()

        handler = replace(of_two_topics(setup.handler(answer), setup, doomed), first=lambda _: [])
        async with setup.worker(handler) as worker, await Writer.open(setup.connection) as writer:
            await writer.send(ProducerRecord(doomed, b"key", b"first", partition=0))
            await answered(setup, 1)
            asked = asked_for_metadata(worker)
            await writer.send(ProducerRecord(doomed, b"key", b"lost", partition=0))
            await eventually(lambda: worker.running == 1)
            await setup.admin.delete_topics([doomed])
            deleted.set()
            waits = list[float]()
            for number in range(25):
                began = time.monotonic()
                await send(setup, 0, b"%d" % number)
                await answered_value(setup, b"%d" % number)
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
            assert max(waits) < 3.0
            assert sorted(waits)[-3] < 1.0
            assert Partition(doomed, 0) in inside(worker).paused.withdrawn
            assert len(asked) < 60
            assert worker.metrics.total(REOPENS) <= 1

            await setup.admin.create_topics([NewTopicSpec(doomed, 1)])
            await writer.send(ProducerRecord(doomed, b"key", b"again", partition=0))
            await answered_value(setup, b"again")
            assert worker.fatal is None


async def commit(setup: EngineSetup, offset: int, text: str) -> None:
    """As an operator's tool would, while nobody runs: the first partition is at *offset*, with *text* beside it."""
    transactional_producer = TransactionalProducer(
        setup.connection, f"operator-{setup.tag}", SystemClock(), name="o", timeout_ms=8_000, request_timeout_ms=5_000
    )
    await transactional_producer.fence()
    await transactional_producer.transact([], {Partition(setup.source, 0): (offset, text)}, setup.group)
    await transactional_producer.kill()


async def test_f13_what_an_operator_sets_is_where_it_goes_on_and_no_map_of_another_offset_counts(kafka: Kafka) -> None:
    """I16 and I2: a map is believed only beside the offset that it was made for, and only if it can be read whole."""
    texts = {
        "": range(5, 20),
        encode(5, {6, 8}): (5, 7, *range(9, 20)),
        encode(7, {8, 9}): range(5, 20),
        "1b5.\x00nonsense": range(5, 20),
        encode(5, range(5, 2_000, 3))[:-7]: range(5, 20),
        "2b5.00": range(5, 20),
    }
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await send(setup, 0, *(b"%d" % number for number in range(20)))
        for offset, text, expected in [*((5, *each) for each in texts.items()), (17, "", range(17, 20))]:
            setup.runs.clear()
            await commit(setup, offset, text)
            async with setup.worker(setup.handler(a_moment)) as worker:
                await setup.committed_to_the_end()
                assert worker.fatal is None
            assert setup.runs == {b"%d" % number: 1 for number in expected}, text


async def test_f14_a_log_that_ends_in_aborted_records_is_committed_to_its_end(kafka: Kafka) -> None:
    """I2 and I8: nothing of them is run, and the lag reaches zero; so it goes on where they end."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        async with setup.worker(setup.handler(a_moment)) as worker:
            await send(setup, 0, b"before")
            await abort(setup, b"aborted", 30)
            await setup.committed_to_the_end()
            await send(setup, 0, b"between")
            await abort(setup, b"aborted again", 3)
            await setup.committed_to_the_end()
            assert await answered(setup, 2) == [b"before", b"between"]
            assert worker.metrics.total(PARTITION_PAUSES) == 0
        assert setup.runs == {b"before": 1, b"between": 1}


async def abort(setup: EngineSetup, value: bytes, count: int) -> None:
    """Records of a transaction that comes to nothing. Waits for its marker, which is written after the answer."""
    source = {Partition(setup.source, 0)}
    before = sum((await setup.reader.high_watermarks(source)).values())
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=setup.connection.bootstrap, transactional_id=f"aborting-{setup.tag}"
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        for _ in range(count):
            await producer.send_and_wait(setup.source, value, partition=0)
        await producer.abort_transaction()
        while sum((await setup.reader.high_watermarks(source)).values()) < before + count + 1:  # noqa: ASYNC110 - as it is
            await asyncio.sleep(0.02)
    finally:
        await producer.stop()
