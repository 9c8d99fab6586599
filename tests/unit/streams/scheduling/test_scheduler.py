"""Run slots shared by tenants: nobody takes them all, and a free one is given to whoever's turn it is."""

from __future__ import annotations

import asyncio

import pytest

from streams.scheduling.scheduler import Scheduler
from tests.clock import settled

pytestmark = pytest.mark.anyio


class Setup:
    """Jobs that run until they are ended."""

    def __init__(self, limit: int, **weights: float) -> None:
        self.scheduler = Scheduler(limit, lambda tenant: weights.get(tenant, 1.0))
        self.began: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, tenant: str, count: int = 1, cost: float = 1.0) -> list[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        asked = [loop.create_task(self._begin(tenant, cost)) for _ in range(count)]
        self.tasks += asked
        await settled()
        return asked

    async def _begin(self, tenant: str, cost: float) -> None:
        await self.scheduler.turn(tenant, cost)
        self.began.append(tenant)

    async def end(self, *tenants: str) -> None:
        for tenant in tenants:
            self.scheduler.end(tenant)
        await settled()

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def test_one_tenant_alone_fills_nearly_all_and_another_finds_slots_free() -> None:
    """It waits for nobody's run to end, however long those are."""
    setup = Setup(90)
    await setup.ask("flood", 1_000)
    assert setup.began.count("flood") == 80
    await setup.ask("late", 3)
    assert setup.began.count("late") == 3
    assert setup.scheduler.running == 83

    await setup.stop()


async def test_a_full_worker_gives_each_slot_to_whose_turn_it_is() -> None:
    """Not to who has waited longest."""
    setup = Setup(4)
    await setup.ask("", 4)
    await setup.ask("flood", 50)
    await setup.ask("late", 2)
    await setup.end("", "", "", "")

    assert sorted(setup.began[4:]) == ["flood", "flood", "late", "late"]
    await setup.stop()


async def test_a_heavier_tenant_may_hold_more() -> None:
    """As its tier says."""
    setup = Setup(100, gold=4.0, trial=0.05)
    await setup.ask("gold", 200)
    assert setup.began.count("gold") == 97
    await setup.ask("trial", 200)

    assert setup.began.count("trial") == 1
    await setup.stop()


async def test_without_tenants_all_slots_are_used_in_the_order_of_asking() -> None:
    """A stage that knows no tenants has nobody to keep slots for."""
    setup = Setup(5)
    tasks = await setup.ask("", 7)
    assert [task.done() for task in tasks] == [True] * 5 + [False] * 2

    await setup.end("")
    assert tasks[5].done()
    assert not tasks[6].done()
    await setup.stop()


async def test_whoever_goes_away_leaves_the_slot_to_the_next() -> None:
    """Cancelled while it waits, and cancelled in the moment in which it is called."""
    setup = Setup(1)
    await setup.ask("one")
    waiting = await setup.ask("two", 3)
    waiting[0].cancel()
    await settled()
    setup.scheduler.end("one")
    waiting[1].cancel()  # it has been called, and does not know yet
    await settled()

    assert waiting[2].done()
    assert not waiting[2].cancelled()
    assert setup.began == ["one", "two"]
    assert setup.scheduler.running == 1


async def test_who_is_cancelled_before_it_knows_is_not_called() -> None:
    """A cancelled future cannot be called, and the slot goes on."""
    setup = Setup(1)
    await setup.ask("one")
    waiting = await setup.ask("two", 2)
    waiting[0].cancel()
    setup.scheduler.end("one")
    await settled()

    assert waiting[0].cancelled()
    assert waiting[1].done()
    assert setup.scheduler.running == 1


async def test_who_has_been_called_is_not_overtaken_on_the_way() -> None:
    """Its task sees the call only when the loop comes round. One that asked in between found room in the new burst, and
    a session's requests got in the wrong way round (chaos, seeds 38935, 19510 and 57210, on busy machines).
    """
    loop, scheduler, began = asyncio.get_running_loop(), Scheduler(100_000, lambda _: 1.0), list[int]()

    def spend() -> None:
        while scheduler.starts("a"):
            scheduler.begin("a")

    async def job(number: int) -> None:
        await scheduler.turn("a", 1.0)
        began.append(number)

    spend()
    loop.call_soon(spend)  # the next burst, as soon as it begins
    async with asyncio.TaskGroup() as group:
        group.create_task(job(0))
        await asyncio.sleep(0)
        for number in (1, 2, 3):
            group.create_task(job(number))
    assert began == [0, 1, 2, 3]


async def test_a_call_that_is_cancelled_on_the_way_holds_nobody_up() -> None:
    """Else its tenant would wait for ever, or be overtaken for ever."""
    setup = Setup(1)
    await setup.ask("a")
    (gone,) = await setup.ask("a")
    (waits,) = await setup.ask("a")

    setup.scheduler.end("a")
    gone.cancel()
    await settled()
    assert setup.scheduler.running == 1
    assert waits.done()

    await setup.end("a")
    await setup.ask("a")
    assert setup.began == ["a", "a", "a"]
