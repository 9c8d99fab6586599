"""Workers that die, seen by those who had nothing to do with it."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import ProducerRecord
from streams.telemetry.metric_definitions import DEAD_LETTERS
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.engine_setup import engine_setup, eventually
from tests.integration.neighbours import INNOCENT, Neighbours
from tests.integration.test_engine import a_moment, child

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SESSION_S = 6.0
INNOCENTS = 1_000


async def test_f29_an_open_transaction_of_a_dead_worker_hides_others_results_for_a_session_and_two_seconds(
    kafka: Kafka,
) -> None:
    """I18: it holds the last stable offset of the partition that both write to, until its successor has fenced it."""
    async with engine_setup(kafka.bootstrap, partitions=2, shards=2) as setup:
        neighbours = Neighbours(setup, lambda _: [])
        await setup.provision()
        async with (
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
            setup.worker(neighbours.handler()) as worker,
            child(setup, point="offsets", nth="2") as doomed,
        ):
            await eventually(lambda: worker.ready and len(worker.owned) == 1)
            (mine,) = worker.owned
            neighbours.partition = mine
            await neighbours.visit(writer, reader, 1.0)
            neighbours.waits.clear()
            while doomed.returncode is None:
                await writer.send(ProducerRecord(setup.source, INNOCENT, b"of the other", partition=1 - mine))
                await asyncio.sleep(0.3)
            died = time.monotonic()
            await neighbours.visit(writer, reader, SESSION_S + 6)
            assert doomed.returncode == -signal.SIGKILL
            assert time.monotonic() - died > SESSION_S

    assert 1.0 < max(neighbours.waits) <= SESSION_S + 2
    assert sum(wait > 1.0 for wait in neighbours.waits) == 1


async def test_f9_three_workers_that_die_with_a_thousand_innocents_in_flight_condemn_none(kafka: Kafka) -> None:
    """A crash says nothing about the records that happened to be there: each has its outcome, and it is its own."""
    async with engine_setup(kafka.bootstrap, partitions=4, shards=2) as setup:
        await setup.provision()
        await setup.feed(INNOCENTS, keys=INNOCENTS)
        for _ in range(3):
            before = len(setup.seen)
            async with child(setup) as process:
                await setup.collect(before + 20, patience_s=60)
                process.kill()
                await process.wait()
        async with setup.worker(setup.handler(a_moment)) as worker:
            await setup.collect(INNOCENTS, patience_s=90)
            await setup.committed_to_the_end()
            assert worker.metrics.total(DEAD_LETTERS) == 0
        await setup.judge()
