"""What is new and not there yet holds up nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import Partition, Record
from streams.metrics import PARTITION_STOPS, REOPENS
from streams.transport import watermarks
from streams.transport.library import Theirs
from tests.integration.ground import eventually, ground

pytestmark = pytest.mark.anyio

TAKEN_UP_S = 8.0
"""Below the ten seconds after which what cannot be read is tried again."""


async def test_a_new_partition_that_nobody_leads_yet_holds_up_nobody(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that makes a hundred topics takes its time to lead them: what runs goes on, no shard opens again, and
    what is new is taken up once it is led.
    """
    leaderless: set[Partition] = set()
    by_leader = watermarks.by_leader

    def led(client: Theirs, partitions: list[Partition], when: int) -> Theirs:
        return by_leader(client, [each for each in partitions if each not in leaderless], when)

    async def at_once(_: Record) -> None:
        return

    monkeypatch.setattr(watermarks, "by_leader", led)
    async with ground(kafka.bootstrap, partitions=4) as place:
        old, late = Partition(place.source, 0), Partition(place.source, 3)
        leaderless.add(late)
        known = {old}
        work = replace(
            place.work(at_once),
            route=lambda shard: {each for each in known if each.number % place.shards == shard},
            first=lambda _: [],
        )
        await place.feed(200, keys=40)
        async with place.worker(work) as worker:
            await eventually(lambda: place.runs.total() > 0)
            known |= place.inputs()
            await worker.repartition()
            await eventually(lambda: worker.metrics.total(PARTITION_STOPS) > 0)
            await place.feed(200, keys=40)
            leaderless.clear()
            await place.collect(400, TAKEN_UP_S)
            await place.committed_to_the_end()
            assert worker.metrics.total(REOPENS) == 0
        await place.judge()
