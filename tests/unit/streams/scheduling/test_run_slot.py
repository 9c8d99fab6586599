"""A run slot that is given back while its job waits: never too many jobs run, and no slot is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from streams.scheduling.run_slot import RunSlot
from streams.scheduling.scheduler import Scheduler
from tests.clock import settled

pytestmark = pytest.mark.anyio


class Jobs:
    """Jobs of a scheduler with few slots. Each is a list of waits that it does."""

    def __init__(self, limit: int) -> None:
        self.scheduler, self.limit = Scheduler(limit, lambda _: 1.0), limit
        self.working = self.most = 0
        self.order: list[str] = []

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncGenerator[RunSlot]:
        await self.scheduler.turn(tenant, 1.0)
        slot = RunSlot(self.scheduler, tenant)
        try:
            yield slot
        finally:
            slot.close()

    async def work(self, turns: int) -> None:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            self.working -= 1

    async def job(self, name: str, tenant: str, waits: list[asyncio.Event]) -> None:
        async with self.slot(tenant) as slot:
            self.order.append(name)
            for wait in waits:
                async with slot.waiting():
                    await wait.wait()
                self.order.append(f"{name} again")
                await self.work(1)


async def test_a_job_that_waits_leaves_its_slot_to_others_and_takes_one_again() -> None:
    """A retry that waits a minute must not fill the worker."""
    jobs, over = Jobs(1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.job("waits", "a", [over]))
        await settled()
        assert jobs.scheduler.running == 0
        async with jobs.slot("b"):
            over.set()
            await settled()
            assert jobs.order == ["waits"]
    assert (jobs.order, jobs.scheduler.running) == (["waits", "waits again"], 0)


async def test_a_job_that_has_begun_goes_before_the_jobs_of_its_tenant_that_have_not() -> None:
    """Else it would wait for a backlog of hours. Another tenant keeps its turn."""
    jobs, over = Jobs(1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.job("first", "a", [over]))
        await settled()
        async with jobs.slot("b"):
            for name in ("later", "last"):
                group.create_task(jobs.job(name, "a", []))
            group.create_task(jobs.job("other", "b", []))
            await settled()
            over.set()
            await settled()
    assert jobs.order.index("first again") < jobs.order.index("later") < jobs.order.index("last")
    assert jobs.order.index("other") < jobs.order.index("last")
    assert jobs.scheduler.running == 0


async def test_a_cancelled_wait_ends_at_once_with_a_slot_beyond_the_limit() -> None:
    """A cancel, a deadline or a drain does not wait for others; what the job does next is counted."""
    jobs = Jobs(1)
    async with jobs.slot("a") as slot:
        with suppress(TimeoutError):
            async with asyncio.timeout(0), slot.waiting():
                async with jobs.slot("b") as other:
                    del other
                await asyncio.sleep(60)
        assert (slot.held, jobs.scheduler.running) == (True, 1)
    assert jobs.scheduler.running == 0


async def test_a_cancel_while_a_job_waits_for_its_slot_ends_the_wait_at_once() -> None:
    """As above, at the later moment."""
    jobs, over = Jobs(1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(jobs.job("waits", "a", [over]))
        await settled()
        async with jobs.slot("b"):
            over.set()
            await settled()
            task.cancel()
            await settled()
            assert task.cancelled()
            assert jobs.scheduler.running == 1
    assert jobs.scheduler.running == 0


async def test_waits_side_by_side_give_and_take_one_slot() -> None:
    """The model may ask for several tools at once."""
    jobs, gates = Jobs(1), [asyncio.Event(), asyncio.Event()]

    async def wait(slot: RunSlot, gate: asyncio.Event) -> None:
        async with slot.waiting():
            await gate.wait()

    async with jobs.slot("a") as slot:
        async with asyncio.TaskGroup() as group:
            for gate in gates:
                group.create_task(wait(slot, gate))
            await settled()
            assert jobs.scheduler.running == 0
            gates[0].set()
            await settled()
            assert jobs.scheduler.running == 1
            gates[1].set()
        assert jobs.scheduler.running == 1
    assert jobs.scheduler.running == 0


async def test_a_wait_that_outlives_its_job_takes_no_slot() -> None:
    """A task that an agent has left behind."""
    jobs, over = Jobs(1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        async with jobs.slot("a") as slot:
            scope = slot.waiting()
            await scope.__aenter__()
        group.create_task(jobs.job("next", "a", [over]))
        await scope.__aexit__(None, None, None)
        async with slot.waiting():
            pass
        over.set()
    assert jobs.scheduler.running == 0


class Chance:
    """Jobs that work and wait at random, and a hand that cancels some."""

    def __init__(self, seed: int) -> None:
        self.random, self.jobs = random.Random(seed), Jobs(3)

    async def wait(self, slot: RunSlot) -> None:
        async with slot.waiting():
            for _ in range(self.random.randrange(5)):
                await asyncio.sleep(0)
            if self.random.random() < 0.2:
                raise ValueError

    async def wait_somehow(self, slot: RunSlot) -> None:
        with suppress(ValueError, ExceptionGroup):
            async with asyncio.TaskGroup() as both:
                for _ in range(self.random.choice((1, 1, 2))):
                    both.create_task(self.wait(slot))

    async def job(self) -> None:
        async with self.jobs.slot(self.random.choice("abc")) as slot:
            for _ in range(self.random.randrange(5)):
                await self.jobs.work(self.random.randrange(4))
                await self.wait_somehow(slot)
            await self.jobs.work(1)

    async def cancel_some(self, tasks: list[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(self.random.randrange(6)):
                await asyncio.sleep(0)
            if self.random.random() < 0.2:
                self.random.choice(tasks).cancel()


@pytest.mark.parametrize("seed", range(20))
async def test_jobs_beyond_the_limit_are_never_at_work_and_no_slot_is_lost(seed: int) -> None:
    """A cancelled job may hold a slot beyond the limit, but ends here at once."""
    chance = Chance(seed)
    jobs = chance.jobs
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        await chance.cancel_some([group.create_task(chance.job()) for _ in range(60)])
    assert jobs.most <= jobs.limit
    assert jobs.scheduler.running == 0
    async with asyncio.timeout(5):
        for _ in range(3):
            await jobs.scheduler.turn("d", 1.0)
