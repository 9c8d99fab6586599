"""Runs that are taken back."""

from __future__ import annotations

import asyncio

import pytest

from consumers.resilience.cancel import KEEP_MS, Cancels
from consumers.resilience.deadline import Deadline
from schemas.errors import CancelledRunError, ExpiredError
from tests.clock import Clock

pytestmark = pytest.mark.anyio


async def _stay(cancels: Cancels, run_id: str, began: asyncio.Event) -> None:
    async with cancels.scope(run_id):
        began.set()
        await asyncio.sleep(60)


async def test_a_run_that_goes_on_is_cancelled_at_once_and_no_other() -> None:
    """Cancelling closes its model call."""
    cancels, began = Cancels(Clock()), asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        other = group.create_task(_stay(cancels, "b", asyncio.Event()))
        task = group.create_task(_cancelled(cancels, "a", began))
        await began.wait()
        cancels.cancel("a")
        assert await task
        assert not other.done()
        other.cancel()


async def _cancelled(cancels: Cancels, run_id: str, began: asyncio.Event) -> bool:
    try:
        await _stay(cancels, run_id, began)
    except CancelledRunError:
        return True
    return False


async def test_a_run_that_has_not_come_never_begins_until_its_id_may_be_used_again() -> None:
    """It may be in a retry tier, or with the guards."""
    clock = Clock()
    cancels = Cancels(clock)
    cancels.cancel("a")
    began = asyncio.Event()
    assert await _cancelled(cancels, "a", began)
    assert not began.is_set()
    clock.at = KEEP_MS
    async with cancels.scope("a"):
        began.set()
    assert began.is_set()


async def test_a_run_with_a_deadline_ends_there_and_says_so() -> None:
    """One timer for both: whoever takes it back is not told that it was late, and the other way round."""
    cancels, deadline = Cancels(Clock()), Deadline(10, Clock())
    with pytest.raises(ExpiredError):
        async with cancels.scope("a", deadline):
            await asyncio.sleep(30)

    with pytest.raises(CancelledRunError):
        async with cancels.scope("a", Deadline(30_000, Clock())):
            await _told(cancels, "a")


async def test_a_run_that_is_ending_already_may_be_taken_back_again() -> None:
    """It tidies up when the word comes, or when the word comes once more."""
    cancels = Cancels(Clock())
    with pytest.raises(CancelledRunError):
        async with cancels.scope("a", Deadline(10, Clock())):
            await _tidying(cancels, "a")


async def _told(cancels: Cancels, run_id: str) -> None:
    cancels.cancel(run_id)
    await asyncio.sleep(30)


async def _tidying(cancels: Cancels, run_id: str) -> None:
    try:
        await asyncio.sleep(30)
    finally:
        cancels.cancel(run_id)
        cancels.cancel(run_id)


async def test_whether_a_run_was_taken_back_can_be_asked_before_it_begins() -> None:
    """What has not begun never begins."""
    cancels = Cancels(Clock())
    cancels.cancel("a")

    cancels.check("b")
    with pytest.raises(CancelledRunError):
        cancels.check("a")


async def test_a_timeout_of_the_run_itself_is_none_of_ours() -> None:
    """Only what was taken back is cancelled."""
    cancels = Cancels(Clock())
    with pytest.raises(TimeoutError):
        async with cancels.scope("a"):
            raise TimeoutError


async def test_the_words_that_are_kept_are_bounded() -> None:
    """The oldest goes."""
    cancels = Cancels(Clock(), kept=2)
    for run_id in ("a", "b", "c"):
        cancels.cancel(run_id)
    async with cancels.scope("a"):
        pass
    with pytest.raises(CancelledRunError):
        async with cancels.scope("b"):
            pass


async def test_a_word_that_comes_too_late_reaches_nobody() -> None:
    """The run is over, and with it what could be cancelled."""
    cancels = Cancels(Clock())
    async with cancels.scope("a"):
        pass

    cancels.cancel("a")

    with pytest.raises(CancelledRunError):
        async with cancels.scope("a"):
            pass
