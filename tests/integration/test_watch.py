"""A worker that is watched: what it measures is what happened, and what stands still ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.embedded.kafka import Kafka
from ops.health import served
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine import lag, watchdog
from streams.engine.committer import Committer, ShardTransaction
from streams.engine.worker import Worker
from streams.telemetry.metric_definitions import LOOP_BLOCKS
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import FetchRequest
from streams.transport.data_consumer import DataConsumer
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = pytest.mark.anyio


async def scraped(address: str) -> dict[str, float]:
    """The samples of a worker: names with the labels that tell them apart."""
    async with aiohttp.request("GET", f"{address}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {
        "/".join((each.name, *(value for name, value in each.labels.items() if name != "stage"))): each.value
        for family in families
        for each in family.samples
    }


async def reasons(address: str, path: str) -> tuple[int, list[str]]:
    """The answer of a probe."""
    async with aiohttp.request("GET", f"{address}{path}") as answer:
        return answer.status, (await answer.json())["reasons"]


async def test_a_worker_shows_what_waits_what_runs_and_what_is_done(kafka: Kafka) -> None:
    """From the backlog that nobody has fetched to the last record that is visible."""
    release = asyncio.Event()

    async def wait(_: Record) -> None:
        await release.wait()

    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(50, keys=50)
        handler = replace(setup.handler(wait), max_running=10)
        async with setup.worker(handler) as worker, served(worker, "127.0.0.1", 0) as address:
            await eventually(lambda: worker.running == 10)
            await asyncio.sleep(2.5)
            held = await scraped(address)
            assert held["headrace_in_flight_records"] == 50
            assert held["headrace_running"] == 10
            assert held["headrace_lag_records"] == held["headrace_runnable_backlog"] == 51  # with the marker
            assert 2 < held["headrace_oldest_waiting_seconds"] < 60
            assert (
                held["headrace_shards_owned"] == held["headrace_shards_ready"] == held["headrace_rebalances_total"] == 1
            )

            release.set()
            await setup.collect(50)
            await setup.committed_to_the_end()
            await asyncio.sleep(2.5)
            done = await scraped(address)
        assert done["headrace_records_total/forwarded"] == 50
        assert done["headrace_queue_seconds_count"] == 50
        assert (
            done["headrace_lag_records"]
            == done["headrace_in_flight_records"]
            == done["headrace_oldest_waiting_seconds"]
            == 0
        )
        assert done["headrace_transactions_total/committed"] == done["headrace_transaction_seconds_count"] >= 1
        await setup.judge()


async def test_what_a_tenants_own_limit_holds_is_no_backlog_for_more_workers(kafka: Kafka) -> None:
    """Autoscaling on raw lag would add workers that find nothing to do."""
    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        await setup.feed(20, keys=20)

        async def wait(_: Record) -> None:
            await asyncio.Event().wait()

        handler = replace(setup.handler(wait), is_limited=lambda partition: partition.number == 0, max_running=4)
        async with setup.worker(handler) as worker, served(worker, "127.0.0.1", 0) as address:
            await asyncio.sleep(3)
            shown = await scraped(address)
            await worker.stop(0)
        assert 0 < shown["headrace_runnable_backlog"] < shown["headrace_lag_records"] == 22


async def test_a_worker_is_ready_when_its_shards_are_open_and_not_when_it_drains(kafka: Kafka) -> None:
    """What a load balancer, a deployment and an operator ask."""
    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        worker = Worker(setup.config(), setup.handler(a_moment), SystemClock())
        async with served(worker, "127.0.0.1", 0) as address:
            assert await reasons(address, "/readyz") == (503, ["its group has given it nothing yet"])
            assert (await reasons(address, "/startupz"))[0] == 503
            await worker.start()
            await eventually(lambda: worker.ready)
            assert [await reasons(address, path) for path in ("/livez", "/readyz", "/startupz")] == [(200, [])] * 3

            await worker.stop(1)

            assert await reasons(address, "/readyz") == (503, ["it drains"])
            assert await reasons(address, "/livez") == (200, [])


async def a_moment(_: Record) -> None:
    """Almost at once."""
    await asyncio.sleep(0)


async def test_a_job_that_holds_the_event_loop_raises_an_alarm(kafka: Kafka) -> None:
    """Neither heartbeats nor commits go out meanwhile (I9, F19)."""

    async def rude(_: Record) -> None:
        time.sleep(0.3)

    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        async with setup.worker(setup.handler(rude)) as worker:
            await eventually(lambda: worker.ready)
            before = worker.metrics.total(LOOP_BLOCKS)
            await setup.feed(1, keys=1)
            await setup.collect(1)
            assert worker.metrics.total(LOOP_BLOCKS) > before


async def impatient(setup: EngineSetup, watchdog_s: float = 2.0) -> Worker:
    """A worker that is given up after two seconds of silence, and two more in which Kafka answers others."""
    worker = Worker(replace(setup.config(), watchdog_s=watchdog_s), setup.handler(a_moment), SystemClock())
    await worker.start()
    return worker


async def test_a_fetch_that_nobody_answers_ends_the_worker_and_another_goes_on(kafka: Kafka) -> None:
    """A broker or a network that swallows bytes gives no error (F25)."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        worker = await impatient(setup)
        try:
            await eventually(lambda: worker.ready)
            await setup.feed(1, keys=10)
            await setup.collect(1)  # from here on it has the connection that it fetches by
            swallow_fetches(worker)
            await setup.feed(10, keys=10)
            async with asyncio.timeout(20):
                await worker.failed.wait()
            assert worker.fatal == "no broker answers a fetch"
        finally:
            await worker.stop(0)
        async with setup.worker(setup.handler(a_moment)):
            await setup.collect(11)
        await setup.judge()


async def test_brokers_that_answer_nobody_are_an_outage_and_end_no_worker(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen broker still takes connections; whoever ended would only start again into the same silence.

    Frozen for less than its own session of 9 s: a coordinator that Kafka takes from itself may never come back.
    """
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        monkeypatch.setattr(watchdog, "ANSWER_S", 0.3)
        worker = await impatient(setup, 1.0)
        try:
            await eventually(lambda: worker.ready)
            os.kill(kafka.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(5)
            finally:
                os.kill(kafka.pid, signal.SIGCONT)
            assert worker.fatal is None
            await setup.feed(10, keys=10)
            await setup.collect(10, patience_s=60)
        finally:
            await worker.stop(5)
        await setup.judge()


def swallow_fetches(worker: Worker) -> None:
    """From the next fetch on none is answered."""
    inside: Any = worker
    client = aiokafka_private.client_of(inside._runtime.consumer._consumer)  # noqa: SLF001 - there is no other way in
    for connection in client._conns.values():  # noqa: SLF001 - as above
        ask = connection.send

        def asked(request: Any, ask: Any = ask, **options: Any) -> Any:  # noqa: ANN401 - theirs
            if isinstance(request, FetchRequest):
                return asyncio.get_running_loop().create_future()
            return ask(request, **options)

        connection.send = asked


async def test_a_commit_that_neither_ends_nor_fails_ends_the_worker(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own deadline should have ended it; if that does not hold, nothing else would notice."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        worker = await impatient(setup)
        try:
            await eventually(lambda: worker.ready)
            monkeypatch.setattr(Committer, "_commit", wedged)
            await setup.feed(3, keys=3)
            async with asyncio.timeout(20):
                await worker.failed.wait()
            assert worker.fatal == "shard 0 neither commits nor fails"
        finally:
            monkeypatch.undo()
            await worker.stop(0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog that looks five times as often."""
    monkeypatch.setattr(watchdog, "LOOK_S", 0.2)
    monkeypatch.setattr(lag, "LOOK_S", 0.2)


@pytest.mark.usefixtures("quick")
async def test_records_that_wait_and_are_not_fetched_end_the_worker(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brokers answer, nothing fails, nothing runs: a client can lose sight of a partition without a word."""

    async def nothing(*_: object) -> dict[Partition, list[Record]]:
        await asyncio.sleep(0.05)
        return {}

    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        worker = await impatient(setup)
        try:
            await eventually(lambda: worker.ready)
            await asyncio.sleep(2.5)
            assert not worker.failed.is_set()  # nothing waits, so nothing stands still
            monkeypatch.setattr(DataConsumer, "take", nothing)
            await asyncio.sleep(0.5)  # the one that is under way may still bring something
            await setup.feed(1, keys=1)
            async with asyncio.timeout(20):
                await worker.failed.wait()
            assert (worker.fatal or "").endswith("has lag and makes no progress")
        finally:
            monkeypatch.undo()
            await worker.stop(0)


@pytest.mark.usefixtures("quick")
async def test_a_full_worker_and_a_run_that_takes_long_are_no_standstill(kafka: Kafka) -> None:
    """Only what could go on and does not ends a worker: restarting it would repeat the run."""
    release = asyncio.Event()

    async def wait(_: Record) -> None:
        await release.wait()

    async with engine_setup(kafka.bootstrap, partitions=2, shards=1) as setup:
        await setup.provision()
        handler = replace(setup.handler(wait), max_running=2)
        worker = Worker(replace(setup.config(), watchdog_s=1.0), handler, SystemClock())
        await worker.start()
        try:
            async with await Writer.open(setup.connection) as writer:
                for value in (b"1", b"2"):
                    await writer.send(ProducerRecord(setup.source, value, value, partition=0))
                await eventually(lambda: worker.running == 2)
                await writer.send(ProducerRecord(setup.source, b"3", b"3", partition=1))
            await asyncio.sleep(2.5)
            assert worker.fatal is None
            release.set()
            await setup.collect(3)
        finally:
            await worker.stop(0)


@pytest.mark.usefixtures("quick")
async def test_a_group_that_does_not_answer_ends_the_worker(kafka: Kafka) -> None:
    """Others own its shards by now, and nobody has told it."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        short = replace(setup.config(), watchdog_s=1.0, session_ms=1_500, heartbeat_ms=300)
        worker = Worker(short, setup.handler(a_moment), SystemClock())
        await worker.start()
        try:
            await eventually(lambda: worker.ready)
            swallow_heartbeats(worker)
            async with asyncio.timeout(20):
                await worker.failed.wait()
            assert worker.fatal == "the group does not answer"
        finally:
            await worker.stop(0)


def swallow_heartbeats(worker: Worker) -> None:
    """From now on no heartbeat is answered, and none fails."""
    inside: Any = worker
    client = aiokafka_private.client_of(inside._runtime.membership._consumer)  # noqa: SLF001 - there is no other way in
    send = client.send

    async def sent(node: object, request: object, **options: Any) -> object:  # noqa: ANN401 - theirs
        if type(request).__name__ == "HeartbeatRequest":
            await asyncio.Event().wait()
        answer: object = await send(node, request, **options)
        return answer

    client.send = sent


async def wedged(_committer: Committer, _transaction: ShardTransaction) -> None:
    """Neither ends nor raises."""
    await asyncio.Event().wait()
