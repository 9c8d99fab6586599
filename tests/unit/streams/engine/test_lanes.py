"""Jobs in their lanes: order, cancellation, and the slots they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from schemas.records import Partition, ProducerRecord, Record
from streams.engine.lanes import Lanes, QueuedJob
from streams.handler import Fallback, Job, Outputs, RunScope
from streams.offsets.offset_map import Committed
from streams.offsets.tracker import Tracker
from streams.scheduling.loop_budget import FIRST_JOBS
from streams.scheduling.scheduler import InFlight, Scheduler
from tests.clock import settled

pytestmark = pytest.mark.anyio

OUT = [ProducerRecord("out", None, b"")]


class Owner:
    def __init__(self) -> None:
        self.alive, self.held = True, False
        self.finished: list[int] = []
        self.broken: list[Exception] = []
        self.then: Callable[[int], None] = lambda _: None

    def is_paused(self) -> bool:
        return self.held

    def finish(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        self.finished.append(offset)
        self.then(offset)

    def on_job_error(self, error: Exception) -> None:
        self.broken.append(error)


class Setup:
    """A shard's lanes; the lane of a record is its key, and it runs until it is let go."""

    def __init__(self, running: int = 100, *, in_order: bool = False) -> None:
        self.owner, self.in_flight, self.scheduler = Owner(), InFlight(100, 100_000), Scheduler(running, lambda _: 1.0)
        self.gates: dict[int, asyncio.Event] = {}
        self.started: list[int] = []
        self.resumed: list[int] = []
        self.lanes = Lanes(self.owner, self.in_flight, self.scheduler, self.prepare, in_order=in_order)
        self.tracker = tracker()

    def prepare(self, record: Record) -> Job:
        tenant = (record.key or b"").partition(b"|")[0].decode() if b"|" in (record.key or b"") else ""
        if record.value == b"waits":
            return Job(record.key, list, tenant=tenant, run_owned=lambda scope: self.wait(record.offset, scope))
        if record.value == b"at once":
            return Job(record.key, lambda: self.note(record.offset), tenant=tenant)
        return Job(record.key, lambda: self.run(record.offset), tenant=tenant)

    def note(self, offset: int) -> Outputs:
        self.started.append(offset)
        return OUT

    async def run(self, offset: int) -> Outputs:
        self.started.append(offset)
        await self.gates.setdefault(offset, asyncio.Event()).wait()
        return OUT

    async def wait(self, offset: int, scope: RunScope) -> Outputs:
        async with scope.waiting():
            await self.run(offset)
        self.resumed.append(offset)
        return OUT

    def add(self, offset: int, key: bytes, value: bytes = b"", of: Tracker | None = None) -> None:
        tracker = of or self.tracker
        tracker.admit(offset)
        self.lanes.add(tracker, Record("in", 0, offset, 0, key, value, ()))

    def let_go(self, *offsets: int) -> None:
        for offset in offsets:
            self.gates.setdefault(offset, asyncio.Event()).set()


def tracker(number: int = 0) -> Tracker:
    """Of a partition of its own."""
    made = Tracker(Partition("in", number))
    made.restore(Committed(0, set()), set(), 0.0)
    return made


async def eventually(fact: Callable[[], bool]) -> None:
    """Wait until *fact* holds."""
    async with asyncio.timeout(2):
        while not fact():  # noqa: ASYNC110 - any fact
            await asyncio.sleep(0.005)


async def test_jobs_of_a_lane_run_one_after_another_and_lanes_side_by_side() -> None:
    """I7, and nobody waits for a slow key."""
    setup = Setup()
    for offset, key in enumerate([b"a", b"a", b"b"]):
        setup.add(offset, key)
    await settled()
    assert setup.started == [0, 2]

    setup.let_go(2, 1, 0)
    await settled()

    assert setup.owner.finished == [2, 0, 1]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


async def test_a_job_that_finishes_at_once_holds_no_slot() -> None:
    """It costs no task either."""
    setup = Setup()
    setup.add(0, b"a", b"at once")

    assert setup.owner.finished == [0]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


async def test_a_job_that_finishes_at_once_still_waits_for_its_lane() -> None:
    """Order holds between both kinds."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a", b"at once")
    await settled()
    assert setup.owner.finished == []

    setup.let_go(0)
    await settled()
    assert setup.owner.finished == [0, 1]


async def test_nothing_starts_while_the_shard_holds_back() -> None:
    """While commits stall, a crash would throw the work away."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a")
    await settled()
    setup.owner.held = True
    setup.let_go(0, 1)
    await eventually(lambda: setup.owner.finished == [0])
    await asyncio.sleep(0.12)
    assert setup.started == [0]

    setup.owner.held = False
    await eventually(lambda: setup.owner.finished == [0, 1])


async def test_an_obsolete_job_is_cancelled_and_its_lane_goes_on() -> None:
    """A re-open found its outcome visible already."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a")
    await settled()

    setup.lanes.discard(lambda entry: entry.offset == 0)
    setup.let_go(1)
    await settled()

    assert setup.owner.finished == [1]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


async def test_an_obsolete_job_that_has_not_begun_leaves_nothing_behind() -> None:
    """A task cancelled before its first step never runs its clean-up: slots and lane would be lost for good."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a")

    setup.lanes.discard(lambda entry: entry.offset == 0)
    setup.let_go(1)
    await settled()

    assert setup.started == [1]
    assert setup.owner.finished == [1]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


def stands_at(offset: int, entry: QueuedJob) -> bool:
    """Whether it is the job of this record."""
    return entry.offset == offset


async def test_a_lane_that_loses_all_before_it_begins_is_as_if_it_had_never_been() -> None:
    """Bit by bit, as one partition after another goes; and the next one to use it begins as any other."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a")
    for offset in (0, 1):
        setup.lanes.discard(partial(stands_at, offset))
        assert setup.lanes.alone(setup.tracker, 0) is None
    assert setup.in_flight.taken == setup.scheduler.running == 0
    assert setup.lanes.held() == {}
    setup.add(2, b"a")
    setup.add(3, b"a")
    await settled()

    assert setup.started == [2]
    setup.let_go(2, 3)
    await settled()
    assert setup.owner.finished == [2, 3]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


async def test_an_obsolete_job_that_waits_is_forgotten() -> None:
    """It never starts."""
    setup = Setup()
    setup.add(0, b"a")
    setup.add(1, b"a")
    await settled()

    setup.lanes.discard(lambda entry: entry.offset == 1)
    assert setup.in_flight.taken == 1
    setup.let_go(0, 1)
    await settled()

    assert setup.started == [0]


async def test_a_lane_of_two_partitions_loses_only_the_one_that_went() -> None:
    """A stage may key its lanes by session, and a session's requests and control records are two topics."""
    setup, other = Setup(), tracker(1)
    setup.add(0, b"session")
    setup.add(0, b"session", of=other)
    await settled()

    setup.lanes.discard(lambda entry: entry.tracker is setup.tracker)
    await settled()
    assert setup.lanes.held() == {other: {0}}

    setup.let_go(0)
    await settled()
    assert setup.owner.finished == [0]


@pytest.mark.parametrize("begun", [True, False])
async def test_a_dropped_shard_frees_all_its_slots(*, begun: bool) -> None:
    """Else a worker that lives through many rebalances takes in less and less."""
    setup = Setup()
    for offset, key in enumerate([b"a", b"a", b"b"]):
        setup.add(offset, key)
    if begun:
        await settled()

    setup.owner.alive = False
    setup.lanes.cancel()
    await settled()

    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0
    assert setup.lanes.held() == {}
    assert setup.owner.finished == []
    assert setup.lanes.running == 0


async def test_a_job_that_raises_ends_the_worker() -> None:
    """Outcomes are outputs; an exception is a defect of the stage and must not be passed over."""
    setup = Setup()

    async def fails() -> Outputs:
        raise ValueError("a defect")

    setup.lanes = Lanes(setup.owner, setup.in_flight, setup.scheduler, lambda record: Job(record.key, fails))
    setup.add(0, b"a")
    await settled()

    assert [str(error) for error in setup.owner.broken] == ["a defect"]
    assert setup.in_flight.taken == setup.in_flight.bytes == setup.scheduler.running == 0


async def test_what_is_admitted_waits_for_a_run_slot_and_its_tenants_turn() -> None:
    """Held, and not running; the tenant that came last does not wait until all others have run."""
    setup = Setup(running=9)
    for offset in range(20):
        setup.add(offset, b"flood|%d" % offset)
    setup.add(20, b"late|0")
    await settled()
    assert setup.started == [*range(8), 20]
    assert setup.in_flight.taken == 21

    setup.let_go(*range(21))
    await eventually(lambda: len(setup.owner.finished) == 21)
    assert setup.scheduler.running == setup.in_flight.taken == 0


async def test_a_job_that_would_finish_at_once_waits_for_its_turn_too() -> None:
    """Nobody knows before it runs."""
    setup = Setup(running=1)
    setup.add(0, b"a")
    setup.add(1, b"b", b"at once")
    await settled()
    assert setup.owner.finished == []

    setup.let_go(0)
    await settled()
    assert setup.owner.finished == [0, 1]
    assert setup.scheduler.running == setup.in_flight.taken == 0


async def test_a_lane_gives_its_slot_to_the_others_between_two_jobs() -> None:
    """Else the tenants of short lanes wait for the whole of a long one."""
    setup = Setup(running=1)
    for offset, key in enumerate([b"a|", b"a|", b"a|", b"b|"]):
        setup.add(offset, key)
    await settled()
    setup.let_go(0, 1, 2, 3)
    await settled()

    assert setup.started == [0, 3, 1, 2]


@pytest.mark.parametrize("settles", [True, False])
async def test_what_waits_for_its_turn_and_is_obsolete_leaves_nothing_behind(*, settles: bool) -> None:
    """A re-open found it visible, before or after its task had begun to wait."""
    setup = Setup(running=1)
    setup.add(0, b"a")
    setup.add(1, b"b")
    setup.add(2, b"b")
    if settles:
        await settled()
    setup.lanes.discard(lambda entry: entry.offset == 1)
    setup.let_go(0, 2)
    await settled()

    assert setup.started == [0, 2]
    assert setup.owner.finished == [0, 2]
    assert setup.scheduler.running == setup.in_flight.taken == setup.in_flight.bytes == 0


async def test_a_shard_that_is_held_back_keeps_no_slot_from_the_others() -> None:
    """One shard that cannot commit would stop all others, run by run."""
    setup, other = Setup(running=2), Owner()
    lanes = Lanes(other, setup.in_flight, setup.scheduler, setup.prepare)
    setup.add(0, b"a")
    setup.add(1, b"b")
    await settled()
    for offset, key in enumerate([b"c", b"d"], 2):
        setup.add(offset, key)
    lanes.add(setup.tracker, Record("in", 0, 9, 0, b"e", b"", ()))
    await settled()
    assert setup.started == [0, 1]

    setup.owner.held = True
    setup.let_go(0, 1, 9)
    await eventually(lambda: other.finished == [9])
    assert setup.started == [0, 1, 9]
    assert setup.scheduler.running == 0

    setup.owner.held = False
    setup.let_go(2, 3)
    await eventually(lambda: setup.owner.finished == [0, 1, 2, 3])


async def test_jobs_that_begin_in_order_are_not_overtaken_after_a_shard_was_held_back() -> None:
    """At the door of a busy worker a burst was spent, and commits stalled. What came when they went on must not get in
    before what had waited since: the order of a session is the order in which its requests begin here.
    """
    setup = Setup(running=1_000, in_order=True)
    for offset in range(FIRST_JOBS + 2):
        setup.add(offset, b"a|%d" % offset)
    setup.owner.held = True
    await settled()
    setup.owner.held = False
    for offset in range(FIRST_JOBS + 2, FIRST_JOBS + 6):
        setup.add(offset, b"a|%d" % offset)
    await settled()

    assert setup.started == list(range(FIRST_JOBS + 6))


async def test_nobody_overtakes_a_job_of_its_tenant_that_has_not_begun() -> None:
    """It has its slot, and its task has not seen that yet; and there is room for one more."""
    setup = Setup(running=2, in_order=True)
    for offset in range(3):
        setup.add(offset, b"a|%d" % offset)
    await settled()
    assert setup.started == [0, 1]

    setup.owner.then = lambda offset: setup.add(3, b"a|3", b"at once") if offset == 1 else None
    setup.let_go(0, 1, 2)
    await settled()

    assert setup.started == [0, 1, 2, 3]


@pytest.mark.parametrize("settles", [True, False])
async def test_an_obsolete_job_that_was_late_holds_nobody_up(*, settles: bool) -> None:
    """Its tenant would wait for it for ever."""
    setup = Setup(running=1)
    for offset in range(3):
        setup.add(offset, b"a|%d" % min(offset, 1))
    if settles:
        await settled()
    setup.lanes.discard(lambda entry: entry.offset > 0)
    setup.let_go(0)
    await settled()

    setup.add(3, b"a|3", b"at once")

    assert setup.owner.finished == [0, 3]
    assert setup.scheduler.running == setup.in_flight.taken == 0


@pytest.mark.parametrize("at_once", [True, False], ids=["begun at once", "begun by its lane"])
async def test_a_job_that_waits_without_its_slot_keeps_its_lane_and_counts_as_running(*, at_once: bool) -> None:
    """Another lane runs meanwhile; the next job of its own lane does not (I7)."""
    setup = Setup(running=1)
    if not at_once:
        setup.add(9, b"z")
    setup.add(0, b"a", b"waits")
    setup.add(1, b"a")
    setup.add(2, b"b")
    setup.let_go(9)
    await settled()
    assert setup.started == ([] if at_once else [9]) + [0, 2]
    assert (setup.scheduler.running, setup.lanes.running) == (1, 2)

    setup.let_go(0)
    await settled()
    assert setup.resumed == [], "the other lane has the slot"
    setup.let_go(1, 2)
    await settled()
    assert (setup.resumed, setup.started[-1]) == ([0], 1)
    assert (setup.scheduler.running, setup.lanes.running, setup.in_flight.taken) == (0, 0, 0)


@pytest.mark.parametrize("alive", [True, False], ids=["discarded", "dropped"])
@pytest.mark.parametrize("full", [True, False], ids=["waits for a slot", "waits for its end"])
async def test_a_waiting_job_that_is_cancelled_ends_at_once_and_leaves_nothing_taken(
    *, alive: bool, full: bool
) -> None:
    """A reopened or lost shard; the slots are those of the whole worker."""
    setup, other = Setup(running=1), tracker(1)
    setup.add(0, b"a", b"waits")
    await settled()
    setup.add(5, b"b", of=other)
    await settled()
    if full:
        setup.let_go(0)
        await settled()
    setup.owner.alive = alive
    cancelled = setup.lanes.discard(lambda entry: entry.tracker is setup.tracker)
    async with asyncio.timeout(2):
        await asyncio.wait(cancelled)
    assert (setup.scheduler.running, setup.lanes.running, setup.in_flight.taken) == (1, 1, 1)

    setup.let_go(5)
    await settled()
    assert (setup.scheduler.running, setup.resumed, setup.owner.broken) == (0, [], [])
