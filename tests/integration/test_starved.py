"""A topic with too few copies in step takes nothing, not even the end of a transaction: that stops nobody else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ops.embedded.cluster import Cluster
from schemas.records import Outgoing, Partition
from streams.metrics import HELD_BACK, REOPENS
from streams.transport.admin import NewTopicSpec
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from streams.work import Work
from tests.integration.changes import replicas_of, set_config
from tests.integration.ground import Ground, eventually, ground
from tests.integration.neighbours import Neighbours, named, on_time

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@dataclass
class Thirsty:
    """A topic of two copies, one of which is away: an operator's word decides whether it takes anything."""

    place: Ground
    name: str
    partition: int = 0

    async def lose(self, cluster: Cluster) -> None:
        """Take the other copy away for good."""
        await self.place.admin.create_topics([NewTopicSpec(self.name, 1, 2, {"min.insync.replicas": "1"})])
        _, (follower,) = (await replicas_of(self.place.admin, self.name))[0]
        await cluster.node(follower).kill()

    async def starve(self) -> None:
        """One copy is too few from now on."""
        await set_config(self.place.admin, self.name, min_insync_replicas="2")

    async def feed(self) -> None:
        """One copy will do."""
        await set_config(self.place.admin, self.name, min_insync_replicas="1")

    async def content(self) -> list[bytes]:
        """The values that are visible in it."""
        async with await Reader.open(self.place.connection, self.name) as reader:
            return [record.value or b"" async for record in reader.until(await reader.high_watermarks())]


def patient(work: Work) -> Work:
    """Outputs wait for their topic, however long."""
    prepare = work.prepare
    return replace(work, prepare=lambda shard, record: prepare(shard, record)._replace(instead=None))


@pytest.mark.timeout(240)
async def test_f26_a_topic_with_too_few_copies_stops_nobody_and_loses_nothing(three: Cluster) -> None:
    """Its outputs wait apart; the transaction that met it cannot end, so that the shard goes on under its other id.

    Whoever takes the shard over meanwhile does the same; and once the topic takes records again, all arrive, once.
    """
    async with ground(three.bootstrap, partitions=1, shards=1) as place:
        thirsty = Thirsty(place, f"thirsty-{place.tag}")
        await thirsty.lose(three)
        neighbours = Neighbours(place, lambda record: [Outgoing(thirsty.name, b"key", record.value)])
        await place.provision()
        async with (
            await Writer.open(place.connection) as writer,
            await Reader.open(place.connection, place.output) as reader,
        ):
            async with place.worker(neighbours.work()) as worker:
                await eventually(lambda: worker.ready)
                _, offset = await writer.send(Outgoing(place.source, b"poison", b"before", partition=0))
                await neighbours.visit(writer, reader, 1.0)
                neighbours.waits.clear()
                await thirsty.starve()
                for value in named(3):
                    _, offset = await writer.send(Outgoing(place.source, b"poison", value, partition=0))
                await neighbours.visit(writer, reader, 12.0)
                on_time(neighbours)
                assert worker.metrics.total(HELD_BACK) == 1
                assert worker.metrics.total(REOPENS) == 1
                committed = await place.admin.committed(place.group)
                assert committed == {Partition(place.source, 0): offset - 2}
            neighbours.waits.clear()
            async with place.worker(neighbours.work()) as successor:
                await eventually(lambda: successor.ready)
                await neighbours.visit(writer, reader, 3.0)
                on_time(neighbours)
                await thirsty.feed()
                await place.committed_to_the_end()
                await neighbours.visit(writer, reader, 0.5)
                assert successor.fatal is None
        assert sorted(await thirsty.content()) == [b"before", *named(3)]
        assert neighbours.answers(b"failed") == []
