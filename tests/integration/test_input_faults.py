"""Input faults that need a broker of their own: access lists, expired offsets, outages, a network that swallows all."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from ops.embedded import properties
from ops.embedded.cluster import NodePorts, embedded_cluster
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.lab.chaos.proxy import Proxy
from schemas.records import Partition, ProducerRecord, Record
from streams.engine import watchdog
from streams.telemetry.metric_definitions import MISSING_OFFSETS, PARTITION_PAUSES, REOPENS
from streams.transport.admin import NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually, of_two_topics
from tests.integration.raw import ALL, READ, raw_client
from tests.integration.test_input import a_moment, answered, answered_value, asked_for_metadata, running, send

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

STRICT = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "offsets.retention.minutes": "1",
    "offsets.retention.check.interval.ms": "1000",
}


@pytest.fixture(scope="module")
async def strict(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A broker with access lists, whose groups' offsets expire after a minute."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in STRICT.items():
            patch.setitem(properties.FIXED, name, value)
        async with embedded_kafka(tmp_path_factory.mktemp("strict"), embedded_cache) as broker:
            yield broker


@pytest.mark.parametrize("operation", [READ, ALL])
async def test_a_topic_that_is_forbidden_disturbs_nobody_and_is_taken_up_again(strict: Kafka, operation: int) -> None:
    """Before the worker starts, and while it reads; the client would wait for its leader without pause."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup, raw_client(strict.bootstrap) as raw:
        secret, other = f"secret-{setup.tag}", f"other-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(secret, 1), NewTopicSpec(other, 1)])
        both = of_two_topics(of_two_topics(setup.handler(a_moment), setup, secret), setup, other)
        await setup.provision(setup.inputs(setup.source, secret, other))
        await raw.forbid(secret, operation)
        async with setup.worker(both) as worker, await Writer.open(setup.connection) as writer:
            asked = asked_for_metadata(worker)
            waits = list[float]()
            for number in range(60):
                if number == 20:
                    await raw.forbid(other, operation)
                began = time.monotonic()
                await send(setup, 0, b"%d" % number)
                await answered_value(setup, b"%d" % number)
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
            assert worker.metrics.total(PARTITION_PAUSES, "forbidden") >= 2
            assert len(asked) < 60
            assert worker.metrics.total(REOPENS) <= 1
            assert sorted(waits)[-4] < 1.0

            for topic in (secret, other):
                await raw.allow(topic, operation)
                await writer.send(ProducerRecord(topic, b"key", topic.encode(), partition=0))
                await answered_value(setup, topic.encode())
            assert worker.fatal is None
            worker.metrics.text()


async def test_an_outage_ends_no_worker(embedded_cache: Path, tmp_path: Path) -> None:
    """A broker that is gone refuses connections, and no restart of ours would bring it back."""
    async with embedded_kafka(tmp_path, embedded_cache) as broker, engine_setup(broker.bootstrap, 2, 1) as setup:
        await setup.provision()
        async with running(setup, replace(setup.config(), watchdog_s=4.0)) as worker:
            await send(setup, 0, b"before")
            await answered(setup, 1)

            await broker.kill()
            await asyncio.sleep(8.0)  # beyond the watchdog's patience, and the silence after it counts anew
            assert worker.fatal is None

            await broker.start()
            await send(setup, 1, b"after")
            assert await answered(setup, 2) == [b"after", b"before"]
            assert worker.fatal is None
        assert set(setup.runs.values()) == {1}


async def test_f25_a_network_that_swallows_bytes_costs_its_worker_the_shards_and_nothing_else(
    embedded_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections stand, new ones are taken, nothing is answered: an outage, as far as this worker can tell, which a
    restart would not end. Whoever has a better network goes on; and when it is over, the worker is one of them again.
    """
    monkeypatch.setattr(watchdog, "ANSWER_S", 0.3)
    proxy = Proxy(0, random.Random(25))
    async with proxy.listening():
        places = [NodePorts.free(proxy.port)]
        proxy.upstream = places[0].client
        async with (
            embedded_cluster(tmp_path, embedded_cache, places) as cluster,
            engine_setup(cluster.inner, 2, 1) as setup,
        ):
            await setup.provision()
            await setup.feed(2_000, keys=50)
            through = replace(
                setup.config(),
                connection=Connection(cluster.bootstrap),
                watchdog_s=3.0,
                transaction_deadline_s=1.5,
            )
            async with running(setup, through) as cut_off:
                await setup.collect(200)
                proxy.freeze()
                async with setup.worker(setup.handler(a_moment)) as other:
                    await eventually(lambda: other.owned == {0}, 60)
                    await setup.collect(2_000)
                    await setup.committed_to_the_end()
                    await asyncio.sleep(8.0)  # beyond the watchdog's patience, and the silence after it counts anew
                    assert cut_off.fatal is None
                    proxy.thaw()
                await eventually(lambda: cut_off.owned == {0} and cut_off.ready, 60)
                await setup.feed(500, keys=50)
                await setup.collect(2_500)
                await setup.committed_to_the_end()
                assert cut_off.fatal is None
            await setup.judge()


async def test_f30_a_partition_whose_offset_has_expired_stands_still_and_nobody_guesses(strict: Kafka) -> None:
    """The broker forgets what a group that is away has committed; to begin anew would answer everything twice."""
    async with engine_setup(strict.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        await setup.feed(10, keys=10)
        async with setup.worker(setup.handler(a_moment)):
            await setup.collect(10)
            await setup.committed_to_the_end()
        async with asyncio.timeout(150):
            while await setup.admin.committed(setup.group):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(1.0)
        async with setup.worker(setup.handler(a_moment)) as worker:
            await send(setup, 0, b"later")
            await asyncio.sleep(5.0)
            assert worker.metrics.total(MISSING_OFFSETS) == 2
            assert worker.fatal is None
        await setup.judge()
        assert set(setup.runs.values()) == {1}


async def test_f14_a_compacted_log_with_gaps_is_committed_to_its_end(strict: Kafka) -> None:
    """Offsets that compaction has removed are neither waited for nor taken for loss."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        source = replace(setup, tag=f"{setup.tag}-compacted")
        quick = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
        await setup.admin.create_topics([NewTopicSpec(source.source, 1, configs=quick)])
        async with await Writer.open(setup.connection) as writer:
            for number in range(60):
                await writer.send(ProducerRecord(source.source, b"key-%d" % (number % 3), b"%d" % number, partition=0))
                await asyncio.sleep(0.02)
            while len(await kept(source)) > 20:
                await asyncio.sleep(0.5)
                await writer.send(ProducerRecord(source.source, b"key-0", b"again", partition=0))
        left = await kept(source)
        gaps = replace(setup.handler(a_moment), route=lambda _: {Partition(source.source, 0)}, first=lambda _: [])
        async with setup.worker(gaps) as worker:
            await setup.committed_to_the_end(source.source)
            assert worker.fatal is None
            assert worker.metrics.total(PARTITION_PAUSES) == 0
        assert set(setup.runs) >= {record.value for record in left}


async def kept(setup: EngineSetup) -> list[Record]:
    """What a log still holds."""
    async with await Reader.open(setup.connection, setup.source) as reader:
        return [record async for record in reader.until(await reader.high_watermarks())]
