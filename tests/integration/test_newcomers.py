"""What is new and not there yet holds up nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import Partition, Record
from streams.engine.crash_tracking import CrashTracking
from streams.engine.worker import Worker
from streams.telemetry.metric_definitions import PARTITION_PAUSES, REOPENS
from streams.transport import watermarks
from streams.transport.aiokafka_types import Untyped
from tests.integration.engine_setup import engine_setup, eventually

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

    def led(client: Untyped, partitions: list[Partition], when: int) -> Untyped:
        return by_leader(client, [each for each in partitions if each not in leaderless], when)

    monkeypatch.setattr(watermarks, "by_leader", led)
    async with engine_setup(kafka.bootstrap, partitions=4) as setup:
        old, late = Partition(setup.source, 0), Partition(setup.source, 3)
        leaderless.add(late)
        known = {old}
        handler = replace(
            setup.handler(at_once),
            route=lambda shard: {each for each in known if each.number % setup.shards == shard},
            first=lambda _: [],
        )
        await setup.feed(200, keys=40)
        async with setup.worker(handler) as worker:
            await eventually(lambda: setup.runs.total() > 0)
            known |= setup.inputs()
            await worker.repartition()
            await eventually(lambda: worker.metrics.total(PARTITION_PAUSES) > 0)
            await setup.feed(200, keys=40)
            leaderless.clear()
            await setup.collect(400, TAKEN_UP_S)
            await setup.committed_to_the_end()
            assert worker.metrics.total(REOPENS) == 0
        await setup.judge()


async def test_a_partition_that_comes_while_its_shard_opens_is_taken_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the offsets have been read, and the shard is not open yet: nobody would ask for it again."""
    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        await setup.feed(20, keys=20)
        early, late = Partition(setup.source, 0), Partition(setup.source, 1)
        known, workers = {early}, list[Worker]()
        theirs = CrashTracking.open

        async def opened(*arguments: Any) -> None:  # noqa: ANN401 - as theirs
            await theirs(*arguments)
            await eventually(lambda: bool(workers))
            if late not in known:
                known.add(late)
                await workers[0].repartition()

        monkeypatch.setattr(CrashTracking, "open", opened)
        async with setup.worker(replace(setup.handler(at_once), route=lambda _: set(known))) as worker:
            workers.append(worker)
            await setup.collect(20)
            await setup.committed_to_the_end()
        await setup.judge()
