"""Readers, writers and the admin client on a real broker."""

# ruff: noqa: SLF001 - what is private to them is what is asked for here
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from schemas.topics import partition_of
from streams.transport import writer as writing
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.aiokafka_private import client_of
from streams.transport.aiokafka_types import MetadataRequest, Producer, Untyped, errors
from streams.transport.connection import Connection
from streams.transport.data_consumer import DataConsumer
from streams.transport.errors import (
    BrokerError,
    FencedError,
    KafkaUnreachableError,
    OffsetLostError,
    OutcomeUnknownError,
    RecordRefusedError,
    UnknownTopicError,
)
from streams.transport.membership import GroupTimes, Membership
from streams.transport.offsets import Offsets
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer
from streams.transport.writer import TransactionalWriter, Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = pytest.mark.anyio


def values(records: list[Record]) -> list[bytes | None]:
    """What they say."""
    return [record.value for record in records]


async def poll(reader: Reader, count: int) -> list[Record]:
    """*count* records."""
    found: list[Record] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await reader.poll(0.1)
    return found


async def test_what_is_written_is_read_as_it_was(kafka: Kafka) -> None:
    """Key, value, headers, and the place the writer was told."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        record = ProducerRecord(setup.output, b"key", b"value", (("a", b"1"), ("a", None), ("é", b"\xff")))
        where, offset = await writer.send(record)
        await writer.send(ProducerRecord(setup.output, b"key", None, partition=2))

        found = await poll(setup.reader, 2)

        assert where == Partition(setup.output, partition_of(b"key", 3))
        assert offset == 0
        read = next(record for record in found if record.value is not None)
        assert (read.key, read.value, read.headers) == (record.key, record.value, record.headers)
        assert {record.partition for record in found} >= {2}


async def test_a_record_that_nobody_leads_the_partition_of_may_or_may_not_be_written(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gives it up after a while; whoever wrote it may write it again, as after a deadline."""
    monkeypatch.setattr(writing, "_REQUEST_MS", 300)
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        record = ProducerRecord(setup.output, b"key", b"value")
        await writer.send(record)
        monkeypatch.setattr(writer._producer.client.cluster, "leader_for_partition", lambda _: -1)

        with pytest.raises(OutcomeUnknownError, match="LeaderNotAvailable"):
            await writer.send(record)

        monkeypatch.undo()
        await writer.send(record)


async def test_many_tasks_share_a_writer(kafka: Kafka) -> None:
    """Each learns where its own record is."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(writer.send(ProducerRecord(setup.output, b"k", b"%d" % n))) for n in range(200)]
        offsets = {b"%d" % n: task.result()[1] for n, task in enumerate(sent)}

        found = await poll(setup.reader, 200)

        assert {record.value: record.offset for record in found} == offsets


async def test_a_topic_that_no_broker_has_heard_of_is_named_long_before_the_deadline(kafka: Kafka) -> None:
    """Whoever mistypes a tenant is told at once, and not when the patience for absent brokers is over."""
    connection, patience_s = Connection(kafka.bootstrap), 100.0
    async with await Writer.open(connection, deadline_s=patience_s) as writer, asyncio.timeout(patience_s / 2):
        with pytest.raises(UnknownTopicError, match="nowhere"):
            await writer.send(ProducerRecord("nowhere", b"k", b"v"))
        with pytest.raises(UnknownTopicError, match="nowhere"):
            await Reader.open(connection, "nowhere", deadline_s=patience_s)


async def test_a_record_that_cannot_be_written_is_refused_with_its_reason(kafka: Kafka) -> None:
    """And the writer goes on."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection, deadline_s=8.0) as writer:
        with pytest.raises(UnknownTopicError):
            await writer.send(ProducerRecord("nowhere", b"k", b"v"))
        with pytest.raises(UnknownTopicError, match=":9"):
            await writer.send(ProducerRecord(setup.output, b"k", b"v", partition=9))
        with pytest.raises(RecordRefusedError):
            await writer.send(ProducerRecord(setup.output, b"k", bytes(3_000_000)))

        await writer.send(ProducerRecord(setup.output, b"k", b"fine"))
        assert values(await poll(setup.reader, 1)) == [b"fine"]


async def test_a_transaction_is_visible_with_its_offsets_or_not_at_all(kafka: Kafka) -> None:
    """And whoever opens its id later ends the former for good."""
    async with (
        engine_setup(kafka.bootstrap) as setup,
        await TransactionalWriter.open(setup.connection, f"t-{setup.tag}") as former,
    ):
        first = Partition(setup.source, 0)
        await former.transact([ProducerRecord(setup.output, b"k", b"one")], {first: 4}, setup.group)
        assert await setup.admin.committed(setup.group) == {first: 4}

        with pytest.raises(UnknownTopicError):
            await former.transact([ProducerRecord("nowhere", b"k", b"lost")], {first: 9}, setup.group)

        async with await TransactionalWriter.open(setup.connection, f"t-{setup.tag}") as later:
            for _ in range(2):
                with pytest.raises(FencedError):
                    await former.transact([ProducerRecord(setup.output, b"k", b"two")], {first: 5}, setup.group)
            await later.transact([ProducerRecord(setup.output, b"k", b"three")])

        assert values(await poll(setup.reader, 2)) == [b"one", b"three"]
        assert await setup.admin.committed(setup.group) == {first: 4}


async def test_a_reader_that_grows_keeps_its_positions(kafka: Kafka) -> None:
    """aiokafka forgets all of them at every assign."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        here, there = Partition(setup.output, 0), Partition(setup.output, 1)
        async with await Reader.open(setup.connection, [here]) as reader:
            for n in range(5):
                await writer.send(ProducerRecord(*here[:1], None, b"here %d" % n, partition=0))
                await writer.send(ProducerRecord(*there[:1], None, b"there %d" % n, partition=1))
            assert values(await poll(reader, 5)) == [b"here %d" % n for n in range(5)]

            await reader.add([here, there], {here: 0, there: 3})
            assert values(await poll(reader, 2)) == [b"there 3", b"there 4"]
            assert (reader.position(here), reader.position(there)) == (5, 5)

            reader.remove([there])
            await writer.send(ProducerRecord(*here[:1], None, b"here 5", partition=0))
            assert values(await poll(reader, 1)) == [b"here 5"]
            assert reader.partitions == {here}


async def test_a_change_while_a_poll_waits_neither_loses_nor_repeats(kafka: Kafka) -> None:
    """One task reads, another follows new tenants."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        async with await Reader.open(setup.connection, [Partition(setup.output, 0)]) as reader:
            found: list[bytes | None] = []

            async def read() -> None:
                while len(found) < 300:
                    found.extend(values(await reader.poll(0.05, limit=7)))

            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                group.create_task(read())
                for n in range(300):
                    await writer.send(ProducerRecord(setup.output, None, b"%d" % n, partition=0))
                    if n % 10 == 0:
                        await reader.add([Partition(setup.source, n // 10 % 4)], "latest")
                    if n % 25 == 0:
                        reader.remove(setup.inputs())
        assert found == [b"%d" % n for n in range(300)]


async def test_latest_is_what_is_written_from_now_on(kafka: Kafka) -> None:
    """A client that waits for its answer opens before it asks."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        await writer.send(ProducerRecord(setup.output, b"k", b"before"))
        async with await Reader.open(setup.connection, setup.output, "latest") as reader:
            await writer.send(ProducerRecord(setup.output, b"k", b"after"))
            assert values(await poll(reader, 1)) == [b"after"]


async def open_transaction(setup: EngineSetup) -> Untyped:
    """A transaction that has written one record and is not over."""
    producer = Producer(bootstrap_servers=setup.connection.bootstrap, transactional_id=f"open-{setup.tag}")
    await producer.start()
    await producer.begin_transaction()
    await (await producer.send(setup.output, b"open", partition=0))
    return producer


async def test_a_reader_may_begin_at_a_moment(kafka: Kafka) -> None:
    """At the first record that is not older; where nothing is so new, at the end as it was."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        old, new, none = (Partition(setup.output, number) for number in range(3))
        for partition in (old, old, new):
            await writer.send(ProducerRecord(setup.output, None, b"early", partition=partition.number))
        await asyncio.sleep(0.05)
        moment = SystemClock().now_ms()
        await asyncio.sleep(0.05)
        await writer.send(ProducerRecord(setup.output, None, b"late", partition=new.number))

        assert await setup.reader.since(moment, [old, new, none]) == {old: 2, new: 1, none: 0}


async def test_reading_to_the_high_watermark_waits_for_open_transactions(kafka: Kafka) -> None:
    """A door that stopped at the last stable offset would miss what its predecessor has committed."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        where = Partition(setup.output, 0)
        producer = await open_transaction(setup)
        await writer.send(ProducerRecord(setup.output, None, b"committed behind it", partition=0))
        marks = await setup.reader.high_watermarks([where])
        assert marks == {where: 2}

        with pytest.raises(KafkaUnreachableError):
            await anext(setup.reader.until(marks, deadline_s=0.3))
        assert not setup.reader.past(marks)

        await producer.commit_transaction()
        await producer.stop()
        found = [record async for record in setup.reader.until(marks)]
        assert values(found) == [b"open", b"committed behind it"]
        assert setup.reader.past(marks)


async def test_an_aborted_end_counts_as_read(kafka: Kafka) -> None:
    """Else nobody would ever reach the high watermark of such a topic."""
    async with engine_setup(kafka.bootstrap) as setup:
        producer = await open_transaction(setup)
        await producer.abort_transaction()
        await producer.stop()
        marks = await setup.reader.high_watermarks()

        assert [record async for record in setup.reader.until(marks, deadline_s=5.0)] == []
        assert setup.reader.position(Partition(setup.output, 0)) == 2


async def test_a_position_outside_the_log_is_an_error(kafka: Kafka) -> None:
    """Never a silent jump."""
    async with engine_setup(kafka.bootstrap) as setup:
        where = Partition(setup.output, 0)
        async with await Reader.open(setup.connection, [where], {where: 99}) as reader:
            with pytest.raises(OffsetLostError):
                await poll(reader, 1)


async def test_topics_are_created_once_described_and_deleted(kafka: Kafka) -> None:
    """Provisioning may be repeated."""
    async with engine_setup(kafka.bootstrap) as setup:
        spec = NewTopicSpec(f"spec-{setup.tag}", 5, 1, {"retention.ms": "60000"})
        assert await setup.admin.create_topics([spec]) == {spec.name: True}
        assert await setup.admin.create_topics([spec, NewTopicSpec(setup.source, 9)]) == {
            spec.name: False,
            setup.source: False,
        }
        described = await setup.admin.describe([spec.name, setup.source, "nowhere"])
        assert described.keys() == {spec.name, setup.source}
        assert (described[spec.name].partitions, described[spec.name].replication) == (5, 1)
        assert described[spec.name].configs == {"retention.ms": "60000"}
        assert described[setup.source].configs == {}
        assert spec.name in await setup.admin.list_topics()

        await setup.admin.delete_topics([spec.name, "nowhere"])
        assert spec.name not in await setup.admin.list_topics()
        with pytest.raises(BrokerError, match=r"spec.*partitions"):
            await setup.admin.create_topics([NewTopicSpec(spec.name, 0)])


async def test_the_cluster_has_an_id_and_a_reader_knows_its_partitions(kafka: Kafka) -> None:
    """An embedded folder that belongs to another cluster is noticed by it."""
    async with engine_setup(kafka.bootstrap) as setup:
        assert len(await setup.admin.cluster_id()) == 22
        assert await setup.reader.partitions_of(setup.source) == [0, 1, 2, 3]
        assert await setup.reader.beginnings() == dict.fromkeys(setup.reader.partitions, 0)


async def test_a_question_is_asked_again_while_its_node_is_away(kafka: Kafka) -> None:
    """Of three brokers one may be down: a worker that starts meanwhile must not end for it."""
    async with engine_setup(kafka.bootstrap) as setup:
        client = client_of(setup.admin._admin)  # pyright: ignore[reportPrivateUsage]
        send, refusals = client.send, iter((errors.NodeNotReadyError("away"), errors.KafkaConnectionError("cut")))

        async def refused_at_first(*request: object, **options: object) -> object:
            for refusal in refusals:
                raise refusal
            return await send(*request, **options)

        client.send = refused_at_first
        assert setup.source in await setup.admin.list_topics()
        assert next(refusals, None) is None


async def test_nothing_stays_open_when_no_broker_answers() -> None:
    """One clear error, and no socket or task is left."""
    before = asyncio.all_tasks()
    nobody = Connection("127.0.0.1:1")
    with pytest.raises(KafkaUnreachableError, match=r"127\.0\.0\.1:1"):
        await Admin.open(nobody, deadline_s=0.3)
    with pytest.raises(KafkaUnreachableError):
        await Reader.open(nobody, "topic", deadline_s=0.3)
    with pytest.raises(KafkaUnreachableError):
        await Writer.open(nobody, deadline_s=0.3)
    with pytest.raises(KafkaUnreachableError):
        await TransactionalWriter.open(nobody, "id", deadline_s=0.3)
    assert asyncio.all_tasks() == before


def _admin(where: Connection) -> Coroutine[Any, Any, object]:
    return Admin.open(where)


def _writer(where: Connection) -> Coroutine[Any, Any, object]:
    return Writer.open(where)


def _reader(where: Connection) -> Coroutine[Any, Any, object]:
    return Reader.open(where, "nowhere")


def _offsets(where: Connection) -> Coroutine[Any, Any, object]:
    return Offsets(where, "group", name="offsets", request_timeout_ms=9_000).start(9.0)


async def _fetcher(where: Connection) -> None:
    data_consumer = DataConsumer(where, SystemClock(), name="fetcher", fetch_wait_ms=100, request_timeout_ms=9_000)
    async with _closing(data_consumer):
        await data_consumer.start(9.0)


def _publisher(where: Connection) -> Coroutine[Any, Any, object]:
    return TransactionalProducer(
        where, "id", SystemClock(), name="publisher", timeout_ms=9_000, request_timeout_ms=9_000
    ).fence()


async def _membership(where: Connection) -> None:
    times = GroupTimes(6_000, 1_000, 3_000, 9_000)
    membership = Membership(where, "group", "shards", SystemClock(), lambda: None, name="member", times=times)
    async with _closing(membership):
        await membership.start(9.0)


@asynccontextmanager
async def _closing(consumer: DataConsumer | Membership) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await consumer.close()


@pytest.mark.parametrize("connect", [_admin, _reader, _writer, _offsets, _fetcher, _publisher, _membership])
async def test_whoever_is_cancelled_before_the_cluster_has_answered_leaves_no_socket_open(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, connect: Callable[[Connection], Coroutine[Any, Any, object]]
) -> None:
    """A shard may be lost while it opens; the client would leave its first connection to the garbage collector."""
    asked: list[AIOKafkaConnection] = []
    send = AIOKafkaConnection.send

    def silent(self: AIOKafkaConnection, request: object, **options: Any) -> Awaitable[object]:  # noqa: ANN401 - theirs
        if not isinstance(request, MetadataRequest):
            answer: Awaitable[object] = send(self, request, **options)
            return answer
        asked.append(self)
        return asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaConnection, "send", silent)
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(connect(Connection(kafka.bootstrap)))
        await eventually(lambda: len(asked) == 1)
        assert asked[0].connected()
        opening.cancel()

    assert not asked[0].connected()


async def test_a_closed_client_is_closed(kafka: Kafka) -> None:
    """Connections do not outlive what made them."""
    async with engine_setup(kafka.bootstrap) as setup:
        reader: Any = await Reader.open(setup.connection, setup.output)
        client = client_of(reader._consumer)
        assert any(conn.connected() for conn in client._conns.values())

        await reader.close()

        assert not any(conn.connected() for conn in client._conns.values())


async def test_what_is_added_during_a_poll_is_read_from_its_start(kafka: Kafka) -> None:
    """A door opens while others are being read: what that poll brings of it must not be passed over."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        late, busy = Partition(setup.output, 1), Partition(setup.output, 0)
        for number in range(3):
            await writer.send(ProducerRecord(setup.output, None, b"%d" % number, partition=late.number))
        async with await Reader.open(setup.connection, [busy]) as reader, asyncio.TaskGroup() as tasks:
            polling = tasks.create_task(reader.poll(2.0))
            await asyncio.sleep(0.2)
            await reader.add([late])
            found = [*await polling, *await poll(reader, 3 - len(await polling))]

    assert values(found) == [b"0", b"1", b"2"]


async def test_traffic_elsewhere_does_not_hide_that_a_log_has_been_read(kafka: Kafka) -> None:
    """The markers at the end of a quiet partition count as read though every poll brings something of another."""
    async with engine_setup(kafka.bootstrap) as setup, await Writer.open(setup.connection) as writer:
        quiet, busy = Partition(setup.output, 1), Partition(setup.output, 0)
        async with await TransactionalWriter.open(setup.connection, f"{setup.output}-markers") as transactional:
            await transactional.transact([ProducerRecord(setup.output, None, b"x", partition=quiet.number)])
        async with await Reader.open(setup.connection, [quiet, busy]) as reader, asyncio.TaskGroup() as tasks:
            traffic = tasks.create_task(_send_for_ever(writer, busy))
            end = await reader.high_watermarks([quiet])
            async with asyncio.timeout(10):
                while not reader.past(end):
                    await reader.poll(1.0, limit=1)
            traffic.cancel()


async def _send_for_ever(writer: Writer, partition: Partition) -> None:
    while True:
        await writer.send(ProducerRecord(partition.topic, None, b"busy", partition=partition.number))
