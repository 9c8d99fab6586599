"""A limit of time for who waits, and none for who does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Never

import pytest

from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.timeouts import lazy_timeout

pytestmark = pytest.mark.anyio


def unwanted() -> Never:
    """A scope that nobody may make."""
    raise AssertionError


async def test_what_ends_at_once_has_no_timer() -> None:
    """Neither with a value nor with an error."""

    async def answer() -> str:
        return "here"

    async def fail() -> str:
        raise LookupError("there")

    assert await lazy_timeout(unwanted, answer()) == "here"
    with pytest.raises(LookupError, match="there"):
        await lazy_timeout(unwanted, fail())


@pytest.mark.parametrize("wait", [partial(asyncio.sleep, 0), partial(asyncio.sleep, 0.001)])
async def test_what_waits_goes_on_with_what_it_has_waited_for(wait: Callable[[], Awaitable[None]]) -> None:
    """Once, and again; a future as well as a turn of the loop."""

    async def answer() -> list[str]:
        await wait()
        said = [await asyncio.wait_for(asyncio.sleep(0.001, "first"), 5)]
        await wait()
        return [*said, await asyncio.sleep(0, "second")]

    assert await lazy_timeout(partial(asyncio.timeout, 30), answer()) == ["first", "second"]


@pytest.mark.parametrize("turns", [0, 1])
async def test_what_waits_too_long_is_cancelled_where_it_waits(turns: int) -> None:
    """In its first wait, and in any later one; the task goes on unharmed."""
    ended: list[str] = []

    async def work() -> None:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(30)
        finally:
            ended.append("cleaned up")

    before = cancel_count()
    with pytest.raises(TimeoutError):
        await lazy_timeout(partial(asyncio.timeout, 0.01), work())

    assert ended == ["cleaned up"]
    assert cancel_count() == before


async def test_what_is_raised_in_its_first_wait_may_be_caught_and_waited_on() -> None:
    """A cancelled call that tidies up may wait for that, more than once, and give a value in the end."""

    async def work() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            return "tidy"
        return "late"

    async def at_once() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "tidy"
        return "late"

    for each in (work, at_once):
        assert await lazy_timeout(partial(asyncio.timeout, 0.01), each()) == "tidy"


async def test_a_failed_future_fails_who_waits_for_it_first() -> None:
    """Where it waits, as in any other place."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, future.set_exception, LookupError("gone"))

    async def work() -> str:
        try:
            await future
        except LookupError as error:
            return str(error)
        return "nothing"

    assert await lazy_timeout(partial(asyncio.timeout, 30), work()) == "gone"


async def test_a_cancellation_from_outside_reaches_the_work_and_goes_on() -> None:
    """As without any limit."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("cleaned up")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(lazy_timeout(partial(asyncio.timeout, 30), work()))
        await asyncio.sleep(0)
        task.cancel()

    assert task.cancelled()
    assert ended == ["cleaned up"]
