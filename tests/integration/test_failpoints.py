"""F1: a worker that dies between any two steps of a transaction, or of an opening, loses and repeats no outcome."""

from __future__ import annotations

import asyncio
import signal

import pytest

from ops.embedded.kafka import Kafka
from tests.integration.engine_setup import EngineSetup, engine_setup
from tests.integration.failpoints import POINTS, Point
from tests.integration.test_engine import a_moment, child

pytestmark = pytest.mark.anyio

RECORDS = 400
BEFORE = {"fenced": 0, "read": 0}
"""Transactions that a worker can have committed when it dies while it opens."""


async def test_f1_a_worker_may_die_at_any_step_of_a_transaction(kafka: Kafka) -> None:
    """I1, I2 and I8 at every boundary: all of them side by side, for each takeover waits for a session to end."""
    async with asyncio.TaskGroup() as group:
        for point in POINTS:
            group.create_task(_takeover(kafka, point))


async def _takeover(kafka: Kafka, point: Point) -> None:
    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        await setup.feed(RECORDS, keys=50)
        await _first_life(setup, point)
        async with setup.worker(setup.handler(a_moment)):
            await setup.collect(RECORDS, patience_s=60)
            await setup.committed_to_the_end()
        await setup.judge()


async def _first_life(setup: EngineSetup, point: Point) -> None:
    """Until it has died at *point*, by its own hand and nobody else's."""
    async with child(setup, point=point, nth="3") as process:
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGKILL
    setup.seen += await setup.reader.poll(0.2)
    if point in BEFORE:
        assert not setup.seen
