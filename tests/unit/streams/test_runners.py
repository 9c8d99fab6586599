"""Coroutines that never wait share a task; those that wait do not, and nothing of one reaches another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar

import pytest

from streams.runners import SURE, Runners
from tests.clock import settled

pytestmark = pytest.mark.anyio

whose: ContextVar[str] = ContextVar("whose", default="nobody's")


class Bench:
    """Runs an item by its kind, and notes what has happened and in which task."""

    def __init__(self, **kinds: Callable[[], Coroutine[object, object, object]]) -> None:
        self.kinds = kinds
        self.ran: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.runners = Runners(self.run)

    async def run(self, item: str, task: asyncio.Task[None]) -> None:
        assert task is asyncio.current_task()
        self.ran.append(item)
        self.tasks.append(task)
        if (kind := self.kinds.get(item.partition("-")[0])) is not None:
            await kind()

    def add(self, *items: str, early: bool = True) -> None:
        for item in items:
            self.runners.add(item, early=early)

    async def learn(self) -> None:
        """Let it see that nothing waits."""
        self.add(*["straight"] * (SURE + 1))
        await settled()
        self.ran.clear()
        self.tasks.clear()


async def test_those_that_never_wait_share_a_task() -> None:
    """In the order in which they came, once it is known that they do not wait."""
    bench = Bench()
    await bench.learn()
    bench.add("a", "b", "c")
    await settled()

    assert bench.ran == ["a", "b", "c"]
    assert len(set(bench.tasks)) == 1


async def test_behind_one_that_waits_the_others_begin_all_the_same() -> None:
    """Nobody expected it to wait."""
    gate = asyncio.Event()
    bench = Bench(slow=gate.wait)
    await bench.learn()
    bench.add("a", "slow-1", "b", "slow-2", "slow-3", "c")
    await settled()

    assert bench.ran == ["a", "slow-1", "b", "slow-2", "slow-3", "c"]
    gate.set()
    await settled()


async def test_after_one_that_waited_each_begins_in_the_next_turn_of_the_loop() -> None:
    """As with a task each: a hundred that wait do not begin in a hundred turns."""
    gate = asyncio.Event()
    bench = Bench(slow=gate.wait)
    bench.add(*[f"slow-{number}" for number in range(100)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert len(bench.ran) == 100
    gate.set()
    await settled()


async def test_one_that_came_later_does_not_run_before_what_the_loop_has_to_do_already() -> None:
    """Unless it may be early: of two that wait for one thing, the first is called first."""
    bench = Bench()
    await bench.learn()
    loop = asyncio.get_running_loop()
    bench.add("a")
    loop.call_soon(bench.ran.append, "called")
    bench.add("early")
    bench.add("late", early=False)
    await settled()

    assert bench.ran == ["a", "early", "called", "late"]


async def test_what_one_leaves_in_its_context_reaches_no_other() -> None:
    """One tenant's data would be found in another's run."""
    found: list[str] = []

    async def leaves() -> None:
        found.append(whose.get())
        whose.set("acme's")

    bench = Bench(tenant=leaves)
    await bench.learn()
    bench.add("tenant-1", "tenant-2", "tenant-3")
    await settled()

    assert found == ["nobody's"] * 3


async def test_who_adds_an_item_hands_nothing_on_to_it() -> None:
    """A run that lets another begin is not its owner."""
    found: list[str] = []

    async def looks() -> None:
        found.append(whose.get())

    bench = Bench(tenant=looks)
    token = whose.set("acme's")
    bench.add("tenant")
    whose.reset(token)
    await settled()

    assert found == ["nobody's"]


async def test_what_one_has_changed_in_its_context_is_told_apart_even_if_it_is_equal() -> None:
    """It may change later."""
    found: list[object] = []
    kept: ContextVar[dict[str, str]] = ContextVar("kept")

    async def leaves() -> None:
        found.append(kept.get())
        kept.set({})

    first: dict[str, str] = {}
    kept.set(first)
    bench = Bench(tenant=leaves)
    await bench.learn()
    bench.add("tenant-1", "tenant-2")
    await settled()

    assert [each is first for each in found] == [True, True]


async def test_a_context_that_is_as_it_was_costs_no_task() -> None:
    """A span is set and taken back in each."""

    async def borrows() -> None:
        whose.reset(whose.set("acme's"))

    bench = Bench(tenant=borrows)
    await bench.learn()
    bench.add("tenant-1", "tenant-2", "tenant-3")
    await settled()

    assert len(set(bench.tasks)) == 1


async def test_one_that_swallows_its_cancellation_leaves_none_to_the_next() -> None:
    """A timeout in the next would take it for its own."""
    cancelling: list[int] = []

    async def swallows() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def looks() -> None:
        if (task := asyncio.current_task()) is not None:
            cancelling.append(task.cancelling())

    bench = Bench(tenant=swallows, next=looks)
    bench.add("tenant")
    await settled()
    bench.tasks[0].cancel()
    bench.add("next-1", "next-2")
    await settled()

    assert cancelling == [0, 0]


async def test_one_that_ends_its_task_ends_nobody_elses_turn() -> None:
    """Cancelled, its shard being gone."""

    async def ends() -> None:
        raise asyncio.CancelledError

    bench = Bench(gone=ends)
    await bench.learn()
    bench.add("gone", "b", "c")
    await settled()

    assert bench.ran == ["gone", "b", "c"]


async def test_a_timeout_in_one_ends_that_one_alone() -> None:
    """It cancels the task in which it was entered."""
    ended: list[str] = []

    async def times_out() -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            ended.append("timeout")

    bench = Bench(late=times_out)
    await bench.learn()
    bench.add("late-1", "b", "late-2", "c")
    await asyncio.sleep(0.05)

    assert ended == ["timeout"] * 2
    assert sorted(bench.ran) == ["b", "c", "late-1", "late-2"]
