"""A topic with too few copies in step takes nothing, not even the end of a transaction: that stops nobody else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ops.embedded.cluster import EmbeddedCluster
from schemas.records import Partition, ProducerRecord
from streams.handler import StageHandler
from streams.telemetry.metric_definitions import DELAYED_OUTPUT_WARNINGS, REOPENS
from streams.transport.admin import NewTopicSpec
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.changes import replicas_of, set_config
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually
from tests.integration.neighbours import Neighbours, named, on_time

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@dataclass
class Thirsty:
    """A topic of two copies, one of which is away: an operator's word decides whether it takes anything."""

    setup: EngineSetup
    name: str
    partition: int = 0

    async def lose(self, cluster: EmbeddedCluster) -> None:
        """Take the other copy away for good."""
        await self.setup.admin.create_topics([NewTopicSpec(self.name, 1, 2, {"min.insync.replicas": "1"})])
        _, (follower,) = (await replicas_of(self.setup.admin, self.name))[0]
        await cluster.node(follower).kill()

    async def starve(self) -> None:
        """One copy is too few from now on."""
        await set_config(self.setup.admin, self.name, min_insync_replicas="2")

    async def feed(self) -> None:
        """One copy will do."""
        await set_config(self.setup.admin, self.name, min_insync_replicas="1")

    async def content(self) -> list[bytes]:
        """The values that are visible in it."""
        async with await Reader.open(self.setup.connection, self.name) as reader:
            return [record.value or b"" async for record in reader.until(await reader.high_watermarks())]


def patient(handler: StageHandler) -> StageHandler:
    """Outputs wait for their topic, however long."""
    prepare = handler.prepare
    return replace(handler, prepare=lambda shard, record: prepare(shard, record)._replace(fallback=None))


@pytest.mark.timeout(240)
async def test_f26_a_topic_with_too_few_copies_stops_nobody_and_loses_nothing(three: EmbeddedCluster) -> None:
    """Its outputs wait apart; the transaction that met it cannot end, so that the shard goes on under its other id.

    Whoever takes the shard over meanwhile does the same; and once the topic takes records again, all arrive, once.
    """
    async with engine_setup(three.bootstrap, partitions=1, shards=1) as setup:
        thirsty = Thirsty(setup, f"thirsty-{setup.tag}")
        await thirsty.lose(three)
        neighbours = Neighbours(setup, lambda record: [ProducerRecord(thirsty.name, b"key", record.value)])
        await setup.provision()
        async with (
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            async with setup.worker(neighbours.handler()) as worker:
                await eventually(lambda: worker.ready)
                _, offset = await writer.send(ProducerRecord(setup.source, b"poison", b"before", partition=0))
                await neighbours.visit(writer, reader, 1.0)
                neighbours.waits.clear()
                await thirsty.starve()
                for value in named(3):
                    _, offset = await writer.send(ProducerRecord(setup.source, b"poison", value, partition=0))
                await neighbours.visit(writer, reader, 12.0)
                on_time(neighbours)
                assert worker.metrics.total(DELAYED_OUTPUT_WARNINGS) == 1
                assert worker.metrics.total(REOPENS) == 1
                committed = await setup.admin.committed(setup.group)
                assert committed == {Partition(setup.source, 0): offset - 2}
            neighbours.waits.clear()
            async with setup.worker(neighbours.handler()) as successor:
                await eventually(lambda: successor.ready)
                await neighbours.visit(writer, reader, 3.0)
                on_time(neighbours)
                await thirsty.feed()
                await setup.committed_to_the_end()
                await neighbours.visit(writer, reader, 0.5)
                assert successor.fatal is None
        assert sorted(await thirsty.content()) == [b"before", *named(3)]
        assert neighbours.answers(b"failed") == []
