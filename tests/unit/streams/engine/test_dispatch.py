"""Admitting what has been fetched: in turn, and no more at once than may begin at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.records import Partition, Record
from streams.engine.dispatch import Dispatcher, PolledBatch, PolledPartition
from streams.offsets.offset_map import Committed
from streams.offsets.tracker import Tracker
from streams.scheduling.loop_budget import FIRST_JOBS, PollBudget
from streams.scheduling.scheduler import Scheduler
from streams.telemetry.metric_definitions import QUEUE_SECONDS
from streams.telemetry.metric_store import MetricStore
from tests.clock import Clock

pytestmark = pytest.mark.anyio

MANY = 3 * FIRST_JOBS


class Turns(Scheduler):
    """Counts who has to wait for a turn."""

    def __init__(self) -> None:
        super().__init__(10_000, lambda _: 1.0)
        self.waited = 0


class Busy(Turns):
    """Turns come, and others take them."""

    @property
    def spent(self) -> bool:
        return True

    def starts(self, tenant: str) -> bool:
        return False


@dataclass
class Lanes:
    """Each record begins if it may, and waits for a turn if it may not; *seen* by all lanes together."""

    scheduler: Turns
    seen: list[tuple[str, int]]

    def add(self, tracker: Tracker, record: Record) -> None:
        self.seen.append((tracker.partition.topic, record.offset))
        if self.scheduler.starts(""):
            self.scheduler.begin("")
        else:
            self.scheduler.waited += 1


@dataclass
class World:
    """One worker's scheduler, and partitions with records to admit."""

    scheduler: Turns = field(default_factory=Turns)
    seen: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    runtime: Any = None

    def __post_init__(self) -> None:
        metrics = MetricStore("stage")
        self.runtime = SimpleNamespace(scheduler=self.scheduler, clock=Clock(2_000), metrics=metrics, stale=False)

    def batch(self, topic: str, count: int) -> PolledBatch:
        tracker = Tracker(Partition(topic, 0))
        tracker.restore(Committed(0, set()), set(), 0.0)
        tracker.unsought = False
        committer = SimpleNamespace(moved=lambda _: None)
        shard: Any = SimpleNamespace(ready=True, lanes=Lanes(self.scheduler, self.seen), committer=committer)
        records = [Record(topic, 0, offset, 1_000, None, b"", ()) for offset in range(count)]
        return PolledBatch(PolledPartition(shard, tracker, PollBudget()), tracker.life, records)

    async def admit(self, *batches: PolledBatch) -> None:
        async with asyncio.timeout(10):
            await Dispatcher(self.runtime).admit(batches)

    def of(self, topic: str) -> list[int]:
        return [offset for name, offset in self.seen if name == topic]


async def test_more_than_may_begin_at_once_begins_turn_by_turn_of_the_loop() -> None:
    """To wait for a turn in a line costs a future, a place in the line and a wake-up for each."""
    world = World()
    for _ in range(10):  # so that what is left is no multiple of anything
        world.scheduler.begin("")
    await world.admit(world.batch("a", MANY))

    assert world.of("a") == list(range(MANY))
    assert world.scheduler.waited == 0


async def test_a_partition_of_which_much_was_fetched_does_not_begin_before_the_others() -> None:
    """What may begin at once is shared by all that were fetched together."""
    world = World()
    await world.admit(world.batch("much", MANY), world.batch("little", 2))

    assert world.seen.index(("little", 1)) < FIRST_JOBS


async def test_whoever_comes_while_others_wait_is_admitted_all_the_same() -> None:
    """A line that is never empty must not keep anybody from joining it."""
    world = World(Busy())
    await world.admit(world.batch("a", MANY))

    assert world.of("a") == list(range(MANY))
    assert world.scheduler.waited == MANY


async def test_what_is_left_of_a_partition_that_closes_meanwhile_is_sought_again() -> None:
    """Every record that a poll returns is admitted, or its partition is read again from where it stands (I8)."""
    world = World()
    batch, other = world.batch("a", MANY), world.batch("b", MANY)
    async with asyncio.TaskGroup() as group:
        group.create_task(world.admit(batch, other))
        await asyncio.sleep(0)
        batch.feed.tracker.life += 1

    assert len(world.of("a")) < MANY
    assert batch.feed.tracker.unsought
    assert world.runtime.stale
    assert world.of("b") == list(range(MANY))


async def test_how_long_each_has_waited_is_measured() -> None:
    """From the broker's append time."""
    world = World()
    await world.admit(world.batch("a", MANY))

    tally = world.runtime.metrics.tally(QUEUE_SECONDS)
    assert (sum(tally.counts), tally.total) == (MANY, MANY * 1.0)
