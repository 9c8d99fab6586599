"""The loop's time, divided: how much is admitted, and how much begins, before others have their turn."""

from __future__ import annotations

import asyncio
import time

import pytest

from streams.scheduling import loop_budget
from streams.scheduling.loop_budget import PollBudget
from streams.scheduling.scheduler import Scheduler

pytestmark = pytest.mark.anyio


def test_records_that_are_dear_to_admit_are_admitted_a_few_at_a_time() -> None:
    """And many at a time once they are cheap again."""
    poll_budget = PollBudget()
    for _ in range(30):
        poll_budget.note(10, 10 * 0.0005)
    assert poll_budget.records == 8
    for _ in range(60):
        poll_budget.note(100, 100 * 0.00001)
    assert poll_budget.records in range(395, 401)
    for _ in range(60):
        poll_budget.note(1, 0.0)

    assert poll_budget.records == loop_budget.MOST_RECORDS


def test_however_dear_they_are_some_are_admitted() -> None:
    """Else nothing would go on."""
    poll_budget = PollBudget()
    poll_budget.note(1, 5.0)

    assert poll_budget.records == loop_budget.LEAST_RECORDS


class Crowd:
    """Jobs that hold the loop for a moment each, and when each of them had its turn."""

    def __init__(self, seconds: float) -> None:
        self.scheduler = Scheduler(10_000, lambda _: 1.0)
        self.seconds = seconds
        self.done: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def add(self, tenant: str, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            if self.scheduler.starts(tenant):
                self.scheduler.begin(tenant)
                self.tasks.append(loop.create_task(self._handler(tenant)))
            else:
                self.tasks.append(loop.create_task(self._later(tenant)))

    async def _later(self, tenant: str) -> None:
        await self.scheduler.turn(tenant, 1.0)
        await self._handler(tenant)

    async def _handler(self, tenant: str) -> None:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        self.done.append(tenant)
        self.scheduler.end(tenant)


async def test_who_comes_behind_a_flood_of_dear_jobs_has_the_loop_before_most_of_them() -> None:
    """They would hold it for as long as all of them take; and every one of them is done in the end."""
    crowd = Crowd(0.002)
    crowd.add("flood", 20)  # what these take is learned
    await asyncio.wait(crowd.tasks)
    crowd.done.clear()
    crowd.add("flood", 100)
    crowd.add("late", 1)
    await asyncio.wait(crowd.tasks)

    assert crowd.done.index("late") <= 4 * loop_budget.LEAST_JOBS
    assert len(crowd.done) == 101
    assert crowd.scheduler.running == 0


async def test_cheap_jobs_begin_as_they_come() -> None:
    """Taking turns costs more than they do."""
    crowd = Crowd(0.0)
    for _ in range(40):
        crowd.add("one", 10)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert all(crowd.scheduler.starts("one") for _ in range(10))
    await asyncio.wait(crowd.tasks)


async def test_a_burst_that_was_given_before_the_last_one_was_measured_is_counted_by_what_it_was_given() -> None:
    """Sizes change between a burst's beginning and its end."""
    crowd = Crowd(0.0)
    for round_ in range(60):
        crowd.seconds = 0.002 if round_ % 10 == 0 else 0.0
        crowd.add("one", 1 + round_ % 7)
        await asyncio.sleep(0)
    await asyncio.wait(crowd.tasks)

    assert len(crowd.done) == len(crowd.tasks)
    assert not any(task.exception() for task in crowd.tasks)


async def test_what_the_loop_does_behind_a_burst_makes_its_jobs_no_dearer() -> None:
    """A transaction is encoded in the same turn: cheap jobs would have to take turns for that."""
    crowd, held = Crowd(0.0), 0.02

    def hold() -> None:
        end = time.thread_time() + held
        while time.thread_time() < end:
            pass

    for _ in range(20):
        crowd.add("one", 10)
        crowd.scheduler.pause()
        asyncio.get_running_loop().call_soon(hold)
        await asyncio.wait(crowd.tasks)

    crowd.add("one", loop_budget.FIRST_JOBS)
    assert crowd.scheduler.starts("one")
    await asyncio.wait(crowd.tasks)
