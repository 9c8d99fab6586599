"""The engine on a real broker: exactly one visible outcome of each record, whatever happens to its worker."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ops.embedded.kafka import Kafka
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_definitions import DROPPED_RUNS, MISSING_OFFSETS, RECORDS, REOPENS
from streams.transport.admin import NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.errors import KafkaUnreachableError, UnknownTopicError
from streams.transport.transactional_producer import TransactionalProducer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually, of_two_topics

pytestmark = pytest.mark.anyio


async def a_moment(record: Record) -> None:
    """As long as it takes, out of order across keys."""
    del record
    await asyncio.sleep(random.uniform(0, 0.01))


async def test_each_record_has_one_outcome_in_the_order_of_its_lane(kafka: Kafka) -> None:
    """I1, I2 and I7 without any fault, over several partitions of several shards, and the lag reaches zero."""
    async with engine_setup(kafka.bootstrap, partitions=8, shards=4) as setup:
        await setup.provision()
        await setup.feed(2_000, keys=150)
        async with setup.worker(setup.handler(a_moment)) as worker:
            await setup.collect(2_000)
            await setup.committed_to_the_end()

            assert worker.ready
            assert worker.owned == {0, 1, 2, 3}
            assert worker.metrics.total(RECORDS) == 2_000
        await setup.judge()
        assert set(setup.runs.values()) == {1}


async def test_a_job_that_answers_at_once_needs_no_task(kafka: Kafka) -> None:
    """A plain function is as good as a coroutine."""
    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(300, keys=20)

        def at_once(record: Record) -> Outputs:
            return [ProducerRecord(setup.output, record.key, record.value)]

        handler = replace(setup.handler(a_moment), prepare=lambda _, record: Job(record.key, lambda: at_once(record)))
        async with setup.worker(handler):
            await setup.collect(300)
            await setup.committed_to_the_end()
        await setup.judge()


@asynccontextmanager
async def child(setup: EngineSetup, **more: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A worker in a process of its own, told *more* if need be; killed at the latest in the end."""
    settings = {
        "bootstrap": setup.connection.bootstrap,
        "group": setup.group,
        "source": setup.source,
        "output": setup.output,
        "shard_topic": f"shards-{setup.tag}",
        "partitions": str(setup.partitions),
        "shards": str(setup.shards),
        **more,
    }
    command = [sys.executable, "-m", "tests.integration.engine_worker", json.dumps(settings)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_worker_loses_nothing_and_repeats_nothing(kafka: Kafka) -> None:
    """SIGKILL in the middle of transactions: another worker takes over after the session, from offsets and maps."""
    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(1_500, keys=400)
        async with child(setup) as process:
            await setup.collect(200)
            process.kill()
        before = len(setup.seen)
        assert before < 1_500

        async with setup.worker(setup.handler(a_moment)):
            await setup.collect(1_500)
            await setup.committed_to_the_end()
        await setup.judge()
        assert sum(setup.runs.values()) < 1_500


async def test_a_planned_move_repeats_no_run(kafka: Kafka) -> None:
    """A shard that moves is withheld until its owner has finished what runs and committed it, whoever else joins."""

    async def a_while(_: Record) -> None:
        await asyncio.sleep(random.uniform(2.5, 3.0))

    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(100, keys=80)
        async with setup.worker(setup.handler(a_while)) as first:
            await eventually(lambda: sum(setup.runs.values()) > 40)
            async with setup.worker(setup.handler(a_while)) as second:
                await eventually(lambda: len(first.owned) == 1)
                async with setup.worker(setup.handler(a_while)) as third:  # deals again while the first still drains
                    await setup.collect(100)
                    await setup.committed_to_the_end()
                assert second.metrics.total(RECORDS) + third.metrics.total(RECORDS) > 0
                assert first.metrics.total(DROPPED_RUNS) == 0
        await setup.judge()
        assert set(setup.runs.values()) == {1}


async def test_a_new_partition_begins_with_what_its_stage_says_in_the_same_transaction(kafka: Kafka) -> None:
    """The first offset and, say, the note that a tenant is served: both or none."""
    async with engine_setup(kafka.bootstrap, partitions=2) as setup:
        await setup.feed(50, keys=9)
        handler = replace(
            setup.handler(a_moment),
            first=lambda partition: [ProducerRecord(setup.output, b"serving", str(partition).encode())],
        )
        async with setup.worker(handler):
            await setup.collect(52)
            await setup.committed_to_the_end()
        setup.sent[b"serving"] = sorted(str(partition).encode() for partition in setup.inputs())
        setup.seen.sort(
            key=lambda record: (record.key != b"serving", record.value if record.key == b"serving" else b"")
        )
        await setup.judge()


async def test_a_partition_that_lost_its_offset_stands_still_and_the_others_go_on(kafka: Kafka) -> None:
    """To guess would repeat everything, or skip it. Once it has an offset, repartition takes it up."""
    async with engine_setup(kafka.bootstrap, partitions=4) as setup:
        lost = Partition(setup.source, 0)
        await setup.provision(setup.inputs() - {lost})
        await setup.feed(200, keys=60)
        sources: set[int] = set()

        async def note(record: Record) -> None:
            sources.add(record.partition)

        begins = False

        def first(_: Partition) -> Outputs | None:
            return [] if begins else None

        handler = replace(setup.handler(note), first=first)
        async with setup.worker(handler) as worker:
            await eventually(lambda: worker.ready and len(sources) == 3)
            await asyncio.sleep(0.3)
            assert sources == {1, 2, 3}
            assert worker.metrics.total(MISSING_OFFSETS) == 1
            assert worker.fatal is None

            begins = True
            await worker.repartition()
            await setup.collect(200)
            await setup.committed_to_the_end()
        await setup.judge()


async def test_a_new_topic_is_taken_up_without_a_rebalance(kafka: Kafka) -> None:
    """A new tenant costs one local assign, and disturbs nothing that runs."""
    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(100, keys=40)
        second = f"second-{setup.tag}"
        known = [False]

        async def wait(_: Record) -> None:
            await asyncio.sleep(0.3)

        plain = replace(setup.handler(wait), first=lambda _: [])
        both = of_two_topics(plain, setup, second)

        def route(shard: int) -> set[Partition]:
            return both.route(shard) if known[0] else plain.route(shard)

        handler = replace(plain, route=route)
        async with setup.worker(handler) as worker:
            await eventually(lambda: sum(setup.runs.values()) > 20)
            await setup.admin.create_topics([NewTopicSpec(second, setup.partitions)])
            await setup.feed(60, keys=40, topic=second)
            known[0] = True
            await worker.repartition()
            await setup.collect(160)
            await setup.committed_to_the_end(setup.source, second)
            assert worker.metrics.total(REOPENS) == 0
        assert sorted(record.value or b"" for record in setup.seen) == sorted(setup.runs)
        assert set(setup.runs.values()) == {1}


async def fence(setup: EngineSetup, shard: int) -> None:
    """Open the transactional id of *shard*, as a zombie would."""
    producer = TransactionalProducer(
        setup.connection,
        f"{setup.group}|1|{shard}",
        SystemClock(),
        name="zombie",
        timeout_ms=8_000,
        request_timeout_ms=5_000,
    )
    await producer.fence()
    await producer.kill()


async def test_a_fenced_shard_opens_again_and_its_runs_go_on(kafka: Kafka) -> None:
    """What was running is neither lost nor started twice: the map says what is visible, the rest is committed later."""

    async def a_while(_: Record) -> None:
        await asyncio.sleep(random.uniform(0.1, 0.4))

    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(400, keys=200)
        async with setup.worker(setup.handler(a_while)) as worker:
            await setup.collect(50)
            await fence(setup, 0)
            await fence(setup, 1)
            await setup.collect(400)
            await setup.committed_to_the_end()
            assert worker.metrics.total(REOPENS) >= 1
        await setup.judge()
        assert set(setup.runs.values()) == {1}


async def test_a_shard_that_cannot_commit_opens_less_and_less_often(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without CPU to spare each opening takes more of it, and the others' transactions time out too."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(10, keys=3)
        monkeypatch.setattr(TransactionalProducer, "transact", refused)
        async with setup.worker(setup.handler(a_moment)) as worker:
            await eventually(lambda: worker.metrics.total(REOPENS) >= 1)
            before = worker.metrics.total(REOPENS)
            await asyncio.sleep(4.0)
            assert 1 <= worker.metrics.total(REOPENS) - before <= 6


async def refused(*_: object) -> None:
    """No transaction comes to an end."""
    raise TimeoutError


async def test_a_stage_with_a_memory_rebuilds_it_and_keeps_no_run(kafka: Kafka) -> None:
    """A door decides on what is committed only: a run from before the re-open knows too much."""
    calls: list[str] = []
    remembers: set[int] = set()

    async def remember(shard: int) -> None:
        calls.append(f"remember {shard}")
        await asyncio.sleep(0.05)
        remembers.add(shard)

    def forget(shard: int) -> None:
        calls.append(f"forget {shard}")
        remembers.discard(shard)

    async def a_while(record: Record) -> None:
        shard = record.partition % 2
        assert shard in remembers
        await asyncio.sleep(random.uniform(0.05, 0.3))
        assert shard in remembers

    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(400, keys=200)
        handler = replace(setup.handler(a_while), keeps_runs=False, load_memory=remember, forget=forget)
        async with setup.worker(handler) as worker:
            await setup.collect(50)
            await fence(setup, 0)
            await setup.collect(400)
            await setup.committed_to_the_end()
            assert worker.fatal is None
        await setup.judge()
        assert [call for call in calls if call.endswith("0")] == ["remember 0", "forget 0", "remember 0", "forget 0"]
        assert [call for call in calls if call.endswith("1")] == ["remember 1", "forget 1"]
        assert max(setup.runs.values()) == 2


async def test_a_stage_may_bound_what_it_holds_of_one_partition(kafka: Kafka) -> None:
    """A flood of one partition waits in its topic."""
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await setup.feed(100, keys=100)
        release = asyncio.Event()

        async def wait(_: Record) -> None:
            await release.wait()

        async with setup.worker(replace(setup.handler(wait), window=7)) as worker:
            await eventually(lambda: worker.running == 7)
            await asyncio.sleep(0.3)
            assert worker.running == 7

            release.set()
            await setup.collect(100)
        await setup.judge()


async def test_a_stopped_worker_leaves_within_its_grace_what_another_can_go_on_from(kafka: Kafka) -> None:
    """What has finished is visible and committed; what has not is run again, elsewhere, at once (I14)."""

    async def fast_or_endless(record: Record) -> None:
        await asyncio.sleep(600 if int(record.value or b"0") % 10 == 0 else 0.2)

    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(100, keys=100)
        async with setup.worker(setup.handler(fast_or_endless)) as worker:
            await eventually(lambda: sum(setup.runs.values()) == 100)
            began = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                group.create_task(worker.stop(grace=60.0))
                await asyncio.sleep(0.1)
                group.create_task(worker.stop(grace=1.0))  # a second SIGTERM is less patient
            assert asyncio.get_running_loop().time() - began < 3.0
            assert worker.running == 0
        await setup.collect(90)
        assert len(setup.seen) == 90

        setup.runs.clear()
        async with setup.worker(setup.handler(a_moment)):
            await setup.collect(100, patience_s=4.0)
            await setup.committed_to_the_end()
        await setup.judge()
        assert len(setup.runs) == 10


async def test_a_job_that_raises_ends_the_worker_and_commits_nothing_of_it(kafka: Kafka) -> None:
    """Every outcome is an output; an exception is a defect that somebody has to see."""

    async def fail(_: Record) -> None:
        raise ValueError("a defect of the stage")

    async with engine_setup(kafka.bootstrap) as setup:
        await setup.provision()
        await setup.feed(1, keys=1)
        async with setup.worker(setup.handler(fail)) as worker:
            async with asyncio.timeout(10):
                await worker.failed.wait()
            assert "a defect of the stage" in (worker.fatal or "")
            assert not worker.ready
        assert set((await setup.admin.committed(setup.group)).values()) == {0}


def idle(group: str) -> StageHandler:
    """A stage without any input."""
    return StageHandler(group=group, route=lambda _: set(), prepare=lambda _, record: Job(record.offset, list))


async def test_a_broker_that_is_not_there_is_one_clear_error() -> None:
    """After the deadline, naming the address; nothing stays open."""
    config = EngineConfig(Connection("127.0.0.1:1"), open_deadline_s=0.5)

    with pytest.raises(KafkaUnreachableError, match=r"^cannot reach Kafka at 127\.0\.0\.1:1: no answer within 0\.5 s$"):
        await Worker(config, idle("nobody"), SystemClock()).start()


async def test_a_missing_shard_topic_is_one_clear_error(kafka: Kafka) -> None:
    """Without it the worker would wait for shards for ever."""
    config = EngineConfig(Connection(kafka.bootstrap), shard_topic="no-shards", open_deadline_s=1.0)

    with pytest.raises(UnknownTopicError, match="topic no-shards does not exist"):
        await Worker(config, idle("nobody-either"), SystemClock()).start()
