"""A cluster moves to another layout: nothing of what it has done or promised is left behind, wherever it is killed."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from ops import registry_writer
from ops.background import background
from ops.errors import GroupBusyError, LayoutDiffersError, LayoutMovingError, UndoneError
from ops.provision import Provision, Wish
from ops.relayout.relayout import SHARDED, Relayout
from ops.settings import Settings
from ops.stage_context import StageContext, stage_context
from producers.admissions import admission_record, serving_record
from schemas.admissions import AdmissionEvent, AdmissionKey
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from schemas.tenants import Layout, LayoutMove
from schemas.topics import ADMISSIONS, AUTHORIZED, REQUESTS, RETRIES_10S, SCREENED, SHARDS, shard_of
from streams.engine.config import EngineConfig, transactional_id
from streams.engine.layout_guard import LayoutMovedError
from streams.engine.worker import Worker
from streams.handler import Job, StageHandler
from streams.journey import INGRESS_GROUP, JourneyName
from streams.offsets.offset_map import encode
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.errors import FencedError
from streams.transport.groups import Groups
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter
from tests.integration.engine_setup import eventually

pytestmark = pytest.mark.anyio

OLD, NEW = 3, 5
TENANTS = tuple(f"tenant-{number}" for number in range(8))
GUARD, AGENT = "headrace.guard", "headrace.agent"


class KilledError(Exception):
    """Stands for a SIGKILL: nothing after it is done."""


@dataclass
class RelayoutSetup:
    """A cluster with its layout, and the hand that moves it."""

    connection: Connection
    said: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(kafka_bootstrap=self.connection.bootstrap)

    async def built(self, journey: JourneyName = "compact") -> None:
        await Provision(self.connection, self.settings, Wish(OLD, journey)).apply()

    async def ground(self, stage: str, patience_s: float) -> StageContext:
        """What a worker that starts now would stand on."""
        async with AsyncExitStack() as stack:
            return await stage_context(self.settings, stage, SystemClock(), stack, patience_s)

    def move(self, shards: int | None = NEW, journey: JourneyName | None = None, wait_s: float = 5.0) -> Relayout:
        return Relayout(self.connection, Wish(shards, journey), self.said.append, wait_s)

    async def layout(self) -> Layout | None:
        return (await registry_writer.load(self.connection)).layout

    async def read(self, topic: str) -> list[Record]:
        async with await Reader.open(self.connection, topic) as reader:
            return [record async for record in reader.until(await reader.high_watermarks())]

    async def write(self, *records: ProducerRecord) -> None:
        async with await TransactionalWriter.open(self.connection, "a-stage") as writer:
            await writer.transact(records)

    async def commit(self, group: str, offsets: dict[Partition, int], maps: dict[Partition, str] | None = None) -> None:
        async with await TransactionalWriter.open(self.connection, "a-stage") as writer:
            await writer.transact([], offsets, group, maps)

    async def offsets(self, group: str) -> dict[Partition, tuple[int, str]]:
        async with await Groups.open(self.connection) as groups:
            return await groups.offsets(group)

    async def load_memory(self) -> None:
        """Of each tenant: a request that is open, one that is over, and that it is served."""
        records: list[ProducerRecord] = []
        for tenant in TENANTS:
            setup, now_ms = Partition(REQUESTS.of(tenant), 0), SystemClock().now_ms()
            tickets = [
                AdmissionKey(key=f"{tenant}|{name}", body=name, lane=name, request_id=name, deadline_ms=now_ms)
                for name in ("open", "over")
            ]
            records += [
                serving_record(tenant, setup, shards=OLD, trace=(), now_ms=now_ms),
                *(admission_record("open", admission, shards=OLD, trace=(), now_ms=now_ms) for admission in tickets),
                admission_record("closed", tickets[1], shards=OLD, trace=(), now_ms=now_ms),
            ]
        await self.write(*records)

    async def memory(self) -> dict[int, dict[str, str]]:
        """By partition, the state of each key in its latest record."""
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for record in await self.read(ADMISSIONS.name):
            key = (record.key or b"").decode()
            found[record.partition].pop(key, None)
            if record.value is not None:
                found[record.partition][key] = AdmissionEvent.model_validate_json(record.value).state
        return {partition: states for partition, states in found.items() if states}


@pytest.fixture
async def house(bare_cluster: Connection) -> RelayoutSetup:
    """Three shards, of the journey without a guard."""
    house = RelayoutSetup(bare_cluster)
    await house.built()
    return house


def remembered(shards: int) -> dict[int, dict[str, str]]:
    """What the doors must know, and where."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for tenant in TENANTS:
        serving = f"{tenant}|serving|{Partition(REQUESTS.of(tenant), 0)}"
        found[shard_of(tenant, shards)] |= {serving: "serving", f"{tenant}|open": "open", f"{tenant}|over": "closed"}
    return dict(found)


async def test_a_layout_moves_with_offsets_maps_and_what_the_doors_remember(house: RelayoutSetup) -> None:
    """Whoever is answered stays answered, and whoever is on the way is known where the tenant's new shard looks."""
    await house.load_memory()
    requests = Partition(REQUESTS.of("tenant-1"), 0)
    async with await Admin.open(house.connection) as admin:
        await admin.create_topics([NewTopicSpec(requests.topic, 1)])
    screened, retried = Partition(SCREENED.name, 2), Partition(RETRIES_10S.name, 0)
    await house.commit(INGRESS_GROUP, {requests: 7}, {requests: encode(7, [9, 12])})
    await house.commit(AGENT, {screened: 3}, {screened: encode(3, [4])})

    changes = await house.move().apply()

    assert {change.what for change in changes if change.action == "grow"} == set(SHARDED)
    assert await house.layout() == Layout(version=2, shards=NEW, journey="compact")
    assert await house.memory() == remembered(NEW)
    assert (await house.offsets(f"{INGRESS_GROUP}.2"))[requests] == (7, encode(7, [9, 12]))
    agent = await house.offsets(f"{AGENT}.2")
    assert agent[screened] == (3, encode(3, [4]))
    assert {setup.number: offset for setup, (offset, _) in agent.items()} == {0: 0, 1: 0, 2: 3, 3: 0, 4: 0}
    assert (await house.offsets("headrace.retries.2"))[retried] == (0, "")
    assert await house.move().apply() == []
    assert await Provision(house.connection, house.settings, Wish()).apply() == []


async def test_a_move_that_was_killed_half_way_is_finished_by_the_next(house: RelayoutSetup) -> None:
    """Each step may be made twice, and until the last one nobody can start."""
    await house.load_memory()

    def told(_: str) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        await Relayout(house.connection, Wish(NEW), told, 5.0).apply()
    half_way = await house.layout()
    assert half_way is not None
    assert half_way.next == LayoutMove(shards=NEW, journey="compact")
    assert await house.memory() not in (remembered(OLD), remembered(NEW))
    with pytest.raises(LayoutDiffersError, match=r"is being moved to 5 shards.*finish that first"):
        Wish().layout(half_way)

    await house.move(None).apply()

    assert await house.memory() == remembered(NEW)
    assert await house.layout() == half_way.following()


class BrokenClock(SystemClock):
    """Is asked for the time of day when the last record is written."""

    def now_ms(self) -> int:
        raise KilledError


async def test_all_is_handed_down_before_the_next_layout_opens(house: RelayoutSetup) -> None:
    """Killed before the very last record: everything is there, and still nobody may start."""
    await house.load_memory()
    setup = Partition(SCREENED.name, 1)
    await house.commit(AGENT, {setup: 3}, {setup: encode(3, [4])})

    with pytest.raises(KilledError):
        await Relayout(house.connection, Wish(NEW), house.said.append, 5.0, BrokenClock()).apply()

    assert await house.memory() == remembered(NEW)
    assert (await house.offsets(f"{AGENT}.2"))[setup] == (3, encode(3, [4]))
    with pytest.raises(LayoutMovingError):
        await house.ground("agent", 0.5)


async def test_what_a_killed_move_had_in_mind_may_be_more_the_next_time(house: RelayoutSetup) -> None:
    """What it has moved already is found where it has put it."""
    await house.load_memory()

    def told(_: str) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        await Relayout(house.connection, Wish(NEW), told, 5.0).apply()
    with pytest.raises(LayoutDiffersError, match="have 5 partitions, and Kafka takes none away: --shards must be 5"):
        await house.move(4).apply()

    await house.move(7).apply()

    assert await house.memory() == remembered(7)


async def test_nobody_is_thrown_out_of_a_layout(house: RelayoutSetup) -> None:
    """A worker that does not end is named, and keeps the layout from being left; but nobody new begins."""

    def nothing(_shard: int) -> set[Partition]:
        return set()

    def refused(_shard: int, record: Record) -> Job:
        raise AssertionError(record)

    handler = StageHandler(group=AGENT, route=nothing, prepare=refused)
    config = EngineConfig(house.connection, name="one-that-stays", shard_topic=SHARDS.name)
    worker = Worker(config, handler, SystemClock())
    await worker.start()
    try:
        await eventually(lambda: worker.ready)
        with pytest.raises(GroupBusyError, match=r"in the group headrace.agent after 0.5 s: one-that-stays at 127"):
            await house.move(wait_s=0.5).apply()
    finally:
        await worker.stop(1.0)

    with pytest.raises(LayoutMovingError, match="moved to 5 shards"):
        await house.ground("agent", 0.5)
    await house.move().apply()
    assert (await house.ground("agent", 5.0)).layout.version == 2


async def test_a_shard_of_a_layout_that_was_left_can_commit_nothing(house: RelayoutSetup) -> None:
    """A worker that slept through it all is fenced, whatever it believes."""
    old = transactional_id(AGENT, 1, 2)
    async with await TransactionalWriter.open(house.connection, old) as zombie:
        await house.move().apply()
        with pytest.raises(FencedError):
            await zombie.transact([ProducerRecord(SCREENED.name, b"k", b"v", partition=2)])


async def test_a_worker_that_fences_after_the_move_sees_that_it_is_over(house: RelayoutSetup) -> None:
    """It may have read the old layout just before: what it knows is looked at again once it has fenced."""
    async with AsyncExitStack() as stack:
        ground = await stage_context(house.settings, "agent", SystemClock(), stack)
        remembered = list[int]()

        async def remember(shard: int) -> None:
            remembered.append(shard)

        guarded = ground.layout_guard.guarding(remember)
        async with background(ground.registry.follow(ground.reader)):
            await guarded(1)
            await house.move().apply()
            with pytest.raises(LayoutMovedError):
                await guarded(2)
            await ground.layout_guard.ended()
    assert remembered == [1]


async def test_what_the_next_journey_does_not_read_is_done_first(bare_cluster: Connection) -> None:
    """From split to compact: the door closes, the guard goes on until nothing is left for it."""
    house = RelayoutSetup(bare_cluster)
    await house.built("split")
    setup = Partition(AUTHORIZED.name, 1)
    await house.write(*(ProducerRecord(AUTHORIZED.name, b"k", b"%d" % number, partition=1) for number in range(4)))
    await house.commit(GUARD, {setup: 1}, {setup: encode(1, [2])})

    with pytest.raises(UndoneError, match=f"{AUTHORIZED.name} has 2 records that the new journey does not read"):
        await house.move(None, "compact", wait_s=0.5).apply()

    assert await house.layout() == Layout(shards=OLD, next=LayoutMove(shards=OLD, journey="compact", closing="entry"))
    with pytest.raises(LayoutMovingError):
        await house.ground("auth", 0.5)
    assert (await house.ground("guard", 5.0)).layout.version == 1

    await house.commit(GUARD, {setup: 4})
    await house.move(None, "compact").apply()
    assert await house.layout() == Layout(version=2, shards=OLD, journey="compact")


async def test_a_stage_that_was_not_there_begins_where_nobody_has_read(house: RelayoutSetup) -> None:
    """From compact to split: what passed before the guard was there is not its to read."""
    await house.write(ProducerRecord(AUTHORIZED.name, b"k", b"from another time", partition=1))

    await house.move(None, "split").apply()

    offsets = await house.offsets(f"{GUARD}.2")
    assert {setup.number: offset for setup, (offset, _) in offsets.items()} == {0: 0, 1: 2, 2: 0}  # record and marker
