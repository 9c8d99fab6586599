"""Nothing of a run outlives its deadline."""

from __future__ import annotations

import asyncio

import pytest

from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.deadline import Deadline
from schemas.errors import ExpiredError
from tests.unit.consumers.agent.fakes import NOW_MS, StillClock

pytestmark = pytest.mark.anyio


def test_what_is_left_never_goes_below_zero() -> None:
    """A negative wait would be no wait at all in one library and an error in the next."""
    clock = StillClock()
    deadline = Deadline(NOW_MS + 1_500, clock)

    assert deadline.remaining() == 1.5
    clock.pass_by(2)
    assert deadline.remaining() == 0.0


def test_a_passed_deadline_is_refused_before_anything_is_paid() -> None:
    """At the very moment it has passed: nobody can answer in no time."""
    with pytest.raises(ExpiredError):
        Deadline(NOW_MS, StillClock()).check()
    Deadline(NOW_MS + 1, StillClock()).check()


async def test_what_goes_on_is_cancelled_at_the_deadline() -> None:
    """The work itself is stopped, not only its result dropped."""
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            stopped.set()

    with pytest.raises(ExpiredError):
        async with Deadline(NOW_MS + 10, StillClock()).enforced():
            await work()
    assert stopped.is_set()


async def test_a_timeout_of_the_work_itself_is_not_the_deadline() -> None:
    """A user's own time limit must not make the request look expired."""
    with pytest.raises(TimeoutError):
        async with Deadline(NOW_MS + 30_000, StillClock()).enforced():
            raise TimeoutError


async def test_nested_deadlines_leave_nothing_cancelled() -> None:
    """A retry's deadline lies inside its run's, both at the same moment: the task goes on unharmed."""
    deadline = Deadline(NOW_MS + 10, StillClock())
    before = cancel_count()
    with pytest.raises(ExpiredError):
        async with deadline.enforced(), deadline.enforced():
            await asyncio.sleep(30)

    await asyncio.sleep(0.01)
    assert cancel_count() == before
