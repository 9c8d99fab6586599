"""A partition without a leader misses the end of a transaction (KAFKA-20734): each result is still visible once."""
# ruff: noqa: SLF001 - a failpoint belongs between two requests
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

import pytest

from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OneCopyError
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.stage_context import stage_context
from schemas.clock import SystemClock
from schemas.headers import INPUT
from schemas.records import Partition, ProducerRecord, Record
from streams.engine import committer
from streams.engine.config import EngineConfig
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_definitions import FORGOTTEN_TRANSACTIONS
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError
from streams.transport.reader import Reader
from streams.transport.transactions import Transactions
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Action = Callable[[], Awaitable[None]]


@dataclass
class BeforeEnd:
    """Runs actions once each, just before the end of a transaction: its records are written, its end is not sent."""

    actions: list[Action] = field(default_factory=list[Action])

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        end = Transactions._end

        async def ended(transactions: Transactions) -> None:
            if self.actions and any(each.topic.startswith("solo") for each in transactions._sequences):
                await self.actions.pop(0)()
            await end(transactions)

        monkeypatch.setattr(Transactions, "_end", ended)
        monkeypatch.setattr(committer, "TOPIC_CHECK_AFTER_S", 5.0)


@pytest.fixture
def before_end(monkeypatch: pytest.MonkeyPatch) -> BeforeEnd:
    """The failpoint."""
    point = BeforeEnd()
    point.install(monkeypatch)
    return point


@dataclass
class Solo:
    """A topic with one copy, and the broker that has it."""

    setup: EngineSetup
    cluster: EmbeddedCluster
    node: int = 0
    sent: int = 0

    @property
    def name(self) -> str:
        return f"solo-{self.setup.tag}"

    async def create(self) -> None:
        await self.setup.admin.create_topics([NewTopicSpec(self.name, 1, 1, {"min.insync.replicas": "1"})])
        self.node = (await self.setup.admin.leaders(self.name))[0]
        await self.setup.provision()

    async def kill(self) -> None:
        await self.cluster.node(self.node).kill()

    async def kill_and_fail(self) -> None:
        await self.kill()
        await self.fail()

    async def fail(self) -> None:
        raise BrokerError("cut off before the end of the transaction")

    async def back(self) -> None:
        """Wait until the brokers have noticed, and start the broker again."""
        await eventually_gone(self)
        await asyncio.sleep(3.0)  # the coordinator completes the transaction without the marker
        await self.cluster.node(self.node).start()

    async def send(self, writer: Writer) -> None:
        value = b"%d" % self.sent
        self.sent += 1
        await writer.send(ProducerRecord(self.setup.source, b"key", value, partition=0))

    async def content(self) -> list[Record]:
        """The visible records up to the end of the log, which no open transaction may hold back."""
        async with await Reader.open(self.setup.connection, self.name) as reader:
            return [record async for record in reader.until(await reader.high_watermarks())]

    async def shows(self, count: int) -> None:
        """Wait until *count* records are visible."""
        async with asyncio.timeout(90):
            while True:
                with suppress(Exception):
                    if len(await self.content()) >= count:
                        return
                await asyncio.sleep(0.5)

    def config(self) -> EngineConfig:
        """Deadlines that a broker's death does not reach: only the test ends a transaction early."""
        return replace(self.setup.config(), transaction_deadline_s=25.0, transaction_timeout_ms=60_000)

    def handler(self) -> StageHandler:
        async def run(record: Record) -> Outputs:
            return [ProducerRecord(self.name, record.key, record.value)]

        handler = self.setup.handler(lambda _: asyncio.sleep(0))
        return replace(
            handler,
            prepare=lambda _, record: Job(record.key, lambda: run(record)),
            survey=lambda _: {Partition(self.name, 0)},
        )


async def eventually_gone(solo: Solo) -> None:
    """Wait until the brokers know that its only copy is away."""
    async with asyncio.timeout(60):
        while await solo.setup.admin.leaders(solo.name):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.2)


async def judged(solo: Solo) -> None:
    """Each result once, in order, each with the name of its input."""
    visible = await solo.content()
    assert [record.value for record in visible] == [b"%d" % number for number in range(solo.sent)]
    assert [dict(record.headers)[INPUT] for record in visible] == [
        b"%s:0:%d" % (solo.setup.source.encode(), number) for number in range(solo.sent)
    ]


@pytest.mark.timeout(300)
async def test_a_result_that_was_aborted_stays_invisible_although_its_marker_is_lost(
    three: EmbeddedCluster, before_end: BeforeEnd
) -> None:
    """The next commit of the same producer id would show it beside the result that replaced it."""
    async with engine_setup(three.bootstrap, partitions=1, shards=1) as setup:
        solo = Solo(setup, three)
        await solo.create()
        async with (
            await Writer.open(setup.connection) as writer,
            setup.worker(solo.handler(), solo.config()) as worker,
        ):
            await eventually(lambda: worker.ready)
            await solo.send(writer)
            await solo.shows(1)
            before_end.actions.append(solo.kill_and_fail)
            await solo.send(writer)
            await solo.back()
            await solo.shows(2)
            await solo.send(writer)
            await solo.shows(3)
            await judged(solo)
            assert worker.metrics.total(FORGOTTEN_TRANSACTIONS) == 1
            assert worker.fatal is None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moves", [False, True], ids=["same owner", "next owner"])
async def test_a_result_that_was_committed_stays_visible_although_its_marker_is_lost(
    three: EmbeddedCluster, before_end: BeforeEnd, *, moves: bool
) -> None:
    """The next abort of the same producer id would take it back, and its input is done."""
    async with engine_setup(three.bootstrap, partitions=1, shards=1) as setup:
        solo = Solo(setup, three)
        await solo.create()
        async with await Writer.open(setup.connection) as writer:
            async with setup.worker(solo.handler(), solo.config()) as worker:
                await eventually(lambda: worker.ready)
                await solo.send(writer)
                await solo.shows(1)
                before_end.actions += [solo.kill, solo.fail]
                await solo.send(writer)
                if not moves:
                    await finish(solo, writer)
                    assert worker.metrics.total(FORGOTTEN_TRANSACTIONS) == 1
                else:
                    await setup.committed_to_the_end()
            if moves:
                async with setup.worker(solo.handler(), solo.config()) as worker:
                    await eventually(lambda: worker.ready)
                    await finish(solo, writer)
                    assert worker.metrics.total(FORGOTTEN_TRANSACTIONS) == 1
            await judged(solo)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fails", [False, True], ids=["committed", "aborted"])
async def test_readers_are_let_go_although_nothing_is_written_any_more(
    three: EmbeddedCluster, before_end: BeforeEnd, *, fails: bool
) -> None:
    """A quiet tenant waits for its last result; the marker of the one before is lost."""
    async with engine_setup(three.bootstrap, partitions=1, shards=1) as setup:
        solo = Solo(setup, three)
        await solo.create()
        async with (
            await Writer.open(setup.connection) as writer,
            setup.worker(solo.handler(), solo.config()) as worker,
        ):
            await eventually(lambda: worker.ready)
            await solo.send(writer)
            await solo.shows(1)
            before_end.actions.append(solo.kill_and_fail if fails else solo.kill)
            await solo.send(writer)
            await solo.back()
            await solo.shows(2)
            await judged(solo)
            assert worker.metrics.total(FORGOTTEN_TRANSACTIONS) == 1


@pytest.mark.timeout(300)
async def test_a_new_owner_lets_readers_go_although_nothing_is_written_any_more(
    three: EmbeddedCluster, before_end: BeforeEnd
) -> None:
    """It does not know where the former one wrote, but it knows the stage's topics."""
    async with engine_setup(three.bootstrap, partitions=1, shards=1) as setup:
        solo = Solo(setup, three)
        await solo.create()
        async with await Writer.open(setup.connection) as writer:
            async with setup.worker(solo.handler(), solo.config()) as worker:
                await eventually(lambda: worker.ready)
                await solo.send(writer)
                await solo.shows(1)
                before_end.actions.append(solo.kill)
                await solo.send(writer)
                await setup.committed_to_the_end()
            async with setup.worker(solo.handler(), solo.config()) as worker:
                await eventually(lambda: worker.ready)
                await solo.back()
                await solo.shows(2)
                assert worker.metrics.total(FORGOTTEN_TRANSACTIONS) == 1
            await judged(solo)


async def finish(solo: Solo, writer: Writer) -> None:
    """Bring the broker back, and let the next transaction fail."""
    await solo.back()
    await solo.send(writer)
    await solo.shows(3)


@pytest.mark.timeout(120)
async def test_a_stage_refuses_three_brokers_on_which_a_platform_topic_has_one_copy(three: EmbeddedCluster) -> None:
    """The failure of one broker would lose offsets or ends of transactions; the error names the topics."""
    settings = Settings(kafka_bootstrap=three.bootstrap, replication_factor=1)
    connection = Connection(three.bootstrap)
    await Provision(connection, settings, Wish(3, "compact")).apply()
    async with AsyncExitStack() as stack:
        with pytest.raises(OneCopyError, match=r"platform\.shards.*one copy on 3 brokers.*three copies"):
            await stage_context(settings, "agent", SystemClock(), stack)
    async with await Admin.open(connection) as admin:
        found = await admin.replication(["platform.shards", "__transaction_state", "missing"])
    assert found.copies == {"platform.shards": 1, "__transaction_state": 3}
    assert len(found.brokers) == 3
