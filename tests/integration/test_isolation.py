"""One bad record, output or topic stops nobody: beside each kind of trouble an innocent tenant is answered on time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import Partition, ProducerRecord, Record
from streams.handler import Outputs
from streams.telemetry.metric_definitions import DELAYED_OUTPUT_WARNINGS
from streams.transport.admin import NewTopicSpec
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.engine_setup import engine_setup, eventually
from tests.integration.neighbours import GENEROUS_S, Neighbours, named, on_time, suffer

pytestmark = pytest.mark.anyio


async def test_f26_an_output_for_a_topic_that_does_not_exist_harms_only_its_own_record(kafka: Kafka) -> None:
    """A transaction that met an unknown topic would never end; the record is answered otherwise instead."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        neighbours = await suffer(setup, lambda record: [ProducerRecord(f"nowhere-{setup.tag}", b"key", record.value)])

        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == named(6)
        on_time(neighbours)


async def test_f26_an_output_that_its_topic_is_too_small_for_harms_only_its_own_record(kafka: Kafka) -> None:
    """The broker refuses the whole batch, and small outputs in it are innocent too."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        small = f"small-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(small, 1, configs={"max.message.bytes": "2000"})])

        def answer(record: Record) -> Outputs:
            even = int((record.value or b"").rpartition(b"-")[2]) % 2 == 0
            return [ProducerRecord(small, b"key", (record.value or b"") + (b"." if even else b"x" * 3_000))]

        neighbours = await suffer(setup, answer)
        async with await Reader.open(setup.connection, small) as reader:
            kept = [record.value async for record in reader.until(await reader.high_watermarks())]

        assert sorted(value or b"" for value in kept) == [b"poison-0.", b"poison-2.", b"poison-4."]
        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == [
            b"poison-1",
            b"poison-3",
            b"poison-5",
        ]
        on_time(neighbours)


async def test_f26_a_refusal_that_names_no_record_is_pinned_on_its_record_among_innocent_ones(kafka: Kafka) -> None:
    """A compacted topic refuses a whole batch for one record without a key, by a code that the client does not know.

    A batch belongs to one topic, and is retried as batches of one: the culprit is found in two steps, however many
    tenants share the transaction.
    """
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        compacted = f"compacted-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(compacted, 1, configs={"cleanup.policy": "compact"})])

        def answer(record: Record) -> Outputs:
            key = None if record.value in {b"poison-1", b"poison-3"} else record.value
            return [ProducerRecord(compacted, key, record.value, partition=0)]

        neighbours = await suffer(setup, answer)
        async with await Reader.open(setup.connection, compacted) as reader:
            kept = [record.value async for record in reader.until(await reader.high_watermarks())]

        assert sorted(value or b"" for value in kept) == [b"poison-0", b"poison-2", b"poison-4", b"poison-5"]
        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == [b"poison-1", b"poison-3"]
        on_time(neighbours)


async def test_f26_a_topic_deleted_while_it_is_written_to_harms_only_its_own_records(kafka: Kafka) -> None:
    """It was known a moment ago; a slow transaction makes the worker look again."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        doomed = f"doomed-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(doomed, 1)])
        neighbours = Neighbours(setup, lambda record: [ProducerRecord(doomed, b"key", record.value)])
        await setup.provision()
        async with (
            setup.worker(neighbours.handler()) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            await writer.send(ProducerRecord(setup.source, b"poison", b"before", partition=0))
            await neighbours.visit(writer, reader, 0.5)
            await setup.admin.delete_topics([doomed])
            for value in named(6):
                await writer.send(ProducerRecord(setup.source, b"poison", value, partition=0))
            await neighbours.visit(writer, reader, 4.0)
            await setup.committed_to_the_end()
            neighbours.seen += await reader.poll(0.3)
            assert worker.fatal is None

        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == named(6)
        assert max(neighbours.waits) < 5.0
        assert sorted(neighbours.waits)[len(neighbours.waits) * 9 // 10] < GENEROUS_S


async def test_f11_an_output_that_has_to_be_written_waits_and_holds_only_its_own_offset(kafka: Kafka) -> None:
    """As a dead letter does while its topic takes nothing; once there is a topic, it is written, and once."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        late = f"late-{setup.tag}"
        neighbours = Neighbours(setup, lambda record: [ProducerRecord(late, b"key", record.value)])
        handler = neighbours.handler()
        prepare = handler.prepare
        handler = replace(handler, prepare=lambda shard, record: prepare(shard, record)._replace(fallback=None))
        await setup.provision()
        async with (
            setup.worker(handler) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            _, offset = await writer.send(ProducerRecord(setup.source, b"poison", b"waits", partition=0))
            await neighbours.visit(writer, reader, 2.0)
            committed = await setup.admin.committed(setup.group)
            assert committed == {Partition(setup.source, 0): offset}
            assert worker.metrics.total(DELAYED_OUTPUT_WARNINGS) == 1
            on_time(neighbours)

            await setup.admin.create_topics([NewTopicSpec(late, 1)])
            await setup.committed_to_the_end()
        async with await Reader.open(setup.connection, late) as reader:
            assert [r.value async for r in reader.until(await reader.high_watermarks())] == [b"waits"]
        assert set(setup.runs.values()) == {1}


async def test_f26_a_hand_over_waits_until_it_is_known_that_a_topic_is_missing(kafka: Kafka) -> None:
    """Else whoever has the shard next would run the record again, which its client has to pay for."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        nowhere = f"nowhere-{setup.tag}"
        neighbours = Neighbours(
            setup, lambda record: [ProducerRecord(nowhere, b"key", record.value)], lost=setup.output
        )
        await setup.provision()
        async with setup.worker(neighbours.handler()), await Writer.open(setup.connection) as writer:
            await writer.send(ProducerRecord(setup.source, b"poison", b"once", partition=0))
            await eventually(lambda: setup.runs[b"once"] == 1)
        await setup.committed_to_the_end()
        await setup.collect(2)
        assert [record.key for record in setup.seen] == [b"failed", b"nobody"]
