"""What is new and not there yet holds up nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import Partition, Record
from streams.metrics import PARTITION_STOPS, REOPENS
from streams.suspicion import Suspicion
from streams.transport import watermarks
from streams.transport.library import Theirs
from streams.worker import Worker
from tests.integration.ground import eventually, ground

pytestmark = pytest.mark.anyio

TAKEN_UP_S = 8.0
"""Below the ten seconds after which what cannot be read is tried again."""


async def at_once(_: Record) -> None:
    """Nothing to wait for."""


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


async def test_a_partition_that_comes_while_its_shard_opens_is_taken_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the offsets have been read, and the shard is not open yet: nobody would ask for it again."""
    async with ground(kafka.bootstrap, partitions=2, shards=1) as place:
        await place.provision()
        await place.feed(20, keys=20)
        early, late = Partition(place.source, 0), Partition(place.source, 1)
        known, workers = {early}, list[Worker]()
        theirs = Suspicion.open

        async def opened(*arguments: Any) -> None:  # noqa: ANN401 - as theirs
            await theirs(*arguments)
            await eventually(lambda: bool(workers))
            if late not in known:
                known.add(late)
                await workers[0].repartition()

        monkeypatch.setattr(Suspicion, "open", opened)
        async with place.worker(replace(place.work(at_once), route=lambda _: set(known))) as worker:
            workers.append(worker)
            await place.collect(20)
            await place.committed_to_the_end()
        await place.judge()
