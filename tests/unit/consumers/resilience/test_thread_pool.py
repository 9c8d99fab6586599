"""Plain functions run beside the loop, in a bounded number of threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from consumers.resilience.deadline import Deadline
from consumers.resilience.thread_pool import ThreadPool
from schemas.clock import SystemClock
from schemas.errors import ExpiredError

pytestmark = pytest.mark.anyio

LONG_S = 30.0
TENANT: ContextVar[str] = ContextVar("tenant", default="none")


def within(seconds: float) -> Deadline:
    """The deadline so many seconds from now."""
    clock = SystemClock()
    return Deadline(clock.now_ms() + int(seconds * 1_000), clock)


@contextmanager
def gate() -> Generator[Callable[[], str]]:
    """A function that blocks its thread until the block ends."""
    opened = threading.Event()

    def wait() -> str:
        assert opened.wait(LONG_S)
        return "late"

    try:
        yield wait
    finally:
        opened.set()


async def until(true: Callable[[], bool]) -> None:
    """Wait until a counter has changed."""
    async with asyncio.timeout(LONG_S):
        while not true():  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.001)


async def test_a_function_runs_outside_the_loops_thread_with_the_callers_context() -> None:
    """A blocking function must not hold up other runs, and its logs carry the ids of its own run."""
    TENANT.set("acme")

    def where(suffix: str) -> tuple[bool, str]:
        return threading.current_thread() is threading.main_thread(), TENANT.get() + suffix

    assert await ThreadPool().run(where, "!", deadline=within(LONG_S)) == (False, "acme!")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration("odd")])
async def test_an_error_reaches_the_caller(error: BaseException) -> None:
    """Also an exit: in a thread it would vanish without a word."""

    def fail() -> None:
        raise error

    expected = RuntimeError if isinstance(error, StopIteration) else type(error)  # as in every coroutine
    pool = ThreadPool(1)
    with pytest.raises(expected):
        await pool.run(fail, deadline=within(LONG_S))
    assert await pool.run(lambda: "next", deadline=within(LONG_S)) == "next"


async def test_threads_are_bounded_and_used_again() -> None:
    """A thousand calls need no thousand threads."""
    pool, seen = ThreadPool(3), set[int]()

    def note() -> None:
        seen.add(threading.get_ident())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(pool.run(note, deadline=within(LONG_S)))

    assert 1 <= len(seen) <= 3
    assert pool.running == 0


async def test_a_function_past_its_deadline_keeps_its_slot_and_is_counted() -> None:
    """Python cannot end the thread; to start another in its place would leak threads without a bound."""
    left: list[str] = []
    pool = ThreadPool(1, abandoned=lambda: left.append("left"))
    with gate() as blocked:
        with pytest.raises(ExpiredError):
            await pool.run(blocked, deadline=within(0.02))
        assert (pool.running, pool.overdue, left) == (1, 1, ["left"])

        with pytest.raises(ExpiredError):
            await pool.run(lambda: "never begun", deadline=within(0.02))
        assert (pool.running, pool.overdue, left) == (1, 1, ["left"])
    await until(lambda: not pool.running)

    assert pool.overdue == 0
    assert await pool.run(lambda: "free again", deadline=within(LONG_S)) == "free again"


async def test_a_cancelled_caller_leaves_at_once() -> None:
    """A cancel ends the run now, although the thread goes on."""
    pool = ThreadPool(1)
    with gate() as blocked:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(pool.run(blocked, deadline=within(LONG_S)))
            await until(lambda: pool.running == 1)
            task.cancel()
        assert task.cancelled()
        assert pool.overdue == 1
    await until(lambda: not pool.running)
    assert pool.overdue == 0


async def test_a_caller_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    """Else each such cancel would make the pool smaller."""
    pool = ThreadPool(1)
    with gate() as blocked:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(pool.run(blocked, deadline=within(LONG_S)))
            await until(lambda: pool.running == 1)
            second = tasks.create_task(pool.run(lambda: "second", deadline=within(LONG_S)))
            await asyncio.sleep(0.01)
            second.cancel()
            first.cancel()
    await until(lambda: not pool.running)

    assert await pool.run(lambda: "third", deadline=within(LONG_S)) == "third"


async def test_a_thread_that_the_system_refuses_takes_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a limit of processes, later calls still have their turn."""
    pool = ThreadPool(1)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await pool.run(lambda: "no", deadline=within(LONG_S))

    assert await pool.run(lambda: "yes", deadline=within(LONG_S)) == "yes"
