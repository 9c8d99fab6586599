"""Again, but not too often, not too soon, and not too late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumers.resilience.deadline import Deadline
from consumers.resilience.retry import Retry
from schemas.errors import (
    ExpiredError,
    ModelOverloadedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreadableError,
)
from tests.unit.consumers.agent.fakes import NOW_MS, StillClock

pytestmark = pytest.mark.anyio


class Failing:
    """Fails with these errors, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def clock() -> StillClock:
    """Moved by the waits."""
    return StillClock()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch, clock: StillClock) -> list[float]:
    """The waits, which pass at once."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.pass_by(seconds)

    monkeypatch.setattr("consumers.resilience.retry.asyncio.sleep", sleep)
    return waits


def retry(**fields: float) -> Retry:
    """Retries without chance: the longest wait each time."""
    return Retry(attempts=int(fields.pop("attempts", 3)), chance=lambda: 1.0, **fields)


def deadline(clock: StillClock, seconds: float = 300) -> Deadline:
    """So many seconds from now."""
    return Deadline(NOW_MS + int(seconds * 1_000), clock)


async def test_what_fails_for_now_is_asked_again(clock: StillClock, slept: list[float]) -> None:
    """The waits double."""
    call = Failing(ModelOverloadedError(), ModelTimeoutError())

    assert await retry(wait_first=0.5)(call, deadline(clock)) == "answer"
    assert slept == [0.5, 1.0]


async def test_the_waits_are_spread_by_chance_and_bounded(clock: StillClock, slept: list[float]) -> None:
    """Callers that failed together must not come back together."""
    call = Failing(*(ModelOverloadedError() for _ in range(5)))
    halves = Retry(attempts=6, wait_first=1.0, wait_longest=4.0, chance=lambda: 0.5)

    await halves(call, deadline(clock))

    assert slept == [0.5, 1.0, 2.0, 2.0, 2.0]


async def test_a_permanent_error_is_not_asked_again(clock: StillClock, slept: list[float]) -> None:
    """It would be refused again, and paid for again."""
    call = Failing(ModelRejectedError())

    with pytest.raises(ModelRejectedError):
        await retry()(call, deadline(clock))
    assert (call.calls, slept) == (1, [])


async def test_a_permanent_cause_below_a_passing_error_wins(clock: StillClock, slept: list[float]) -> None:
    """Wrapping must not turn a refusal into a storm."""
    wrapped = ModelOverloadedError()
    wrapped.__cause__ = ModelRejectedError()
    call = Failing(wrapped)

    with pytest.raises(ModelOverloadedError):
        await retry()(call, deadline(clock))
    assert call.calls == 1


async def test_an_error_that_is_not_ours_is_let_through(clock: StillClock, slept: list[float]) -> None:
    """Nobody knows whether it would help."""
    call = Failing(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await retry()(call, deadline(clock))
    assert call.calls == 1


async def test_the_last_error_is_raised_when_the_attempts_are_used_up(clock: StillClock, slept: list[float]) -> None:
    """Three attempts are two waits."""
    call = Failing(ModelTimeoutError(), ModelTimeoutError(), ModelOverloadedError("the last"))

    with pytest.raises(ModelOverloadedError, match="the last"):
        await retry()(call, deadline(clock))
    assert (call.calls, len(slept)) == (3, 2)


async def test_what_the_provider_asks_for_wins(clock: StillClock, slept: list[float]) -> None:
    """Sooner or later than ours: the provider knows."""
    call = Failing(ModelOverloadedError(retry_after=20.0), ModelOverloadedError(retry_after=0.5))

    await retry(wait_first=5.0)(call, deadline(clock))

    assert slept == [20.0, 0.5]


@pytest.mark.parametrize("odd", [0, 0.0, -5.0, float("nan"), float("inf"), True, "soon"])
async def test_a_wait_that_makes_no_sense_is_our_own(clock: StillClock, slept: list[float], odd: float) -> None:
    """A wait of nothing would be no rest for an overloaded provider."""
    await retry(wait_first=5.0)(Failing(ModelOverloadedError(retry_after=odd)), deadline(clock))

    assert slept == [5.0]


async def test_what_was_paid_for_and_cannot_be_read_is_asked_for_twice(clock: StillClock, slept: list[float]) -> None:
    """A third answer of the same kind would be paid for as well."""
    call = Failing(*(ModelUnreadableError() for _ in range(9)))

    with pytest.raises(ModelUnreadableError):
        await retry()(call, deadline(clock))
    assert (call.calls, slept) == (2, [0.5])


async def test_an_answer_that_cannot_be_read_ends_the_attempts_of_another_kind(
    clock: StillClock, slept: list[float]
) -> None:
    """In any order, it is paid for twice at most."""
    call = Failing(ModelUnreadableError(), ModelOverloadedError(), ModelUnreadableError())

    with pytest.raises(ModelUnreadableError):
        await retry(attempts=9)(call, deadline(clock))
    assert call.calls == 3


async def test_a_provider_that_wants_long_rest_is_not_waited_for_here(clock: StillClock, slept: list[float]) -> None:
    """The run gives its place to others; its error says when to come back."""
    call = Failing(ModelOverloadedError(retry_after=61.0))

    with pytest.raises(ModelOverloadedError) as raised:
        await retry()(call, deadline(clock))
    assert (raised.value.retry_after, slept) == (61.0, [])


async def test_no_wait_goes_past_the_deadline(clock: StillClock, slept: list[float]) -> None:
    """The error comes at once instead of an expiry later."""
    call = Failing(ModelOverloadedError(), ModelOverloadedError())

    with pytest.raises(ModelOverloadedError):
        await retry(wait_first=0.5)(call, deadline(clock, seconds=1.4))
    assert (call.calls, slept) == (2, [0.5])


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_attempt_is_cancelled_at_the_deadline(attempt: int) -> None:
    """The first as well as the one after a wait."""
    stopped = asyncio.Event()
    calls = _late(attempt, stopped)

    with pytest.raises(ExpiredError):
        await Retry(wait_first=0.0)(calls, Deadline(NOW_MS + 20, StillClock()))
    assert stopped.is_set()


def _late(attempt: int, stopped: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """Fails until the given attempt, which hangs."""
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        if calls < attempt:
            raise ModelOverloadedError
        try:
            await asyncio.sleep(30)
        finally:
            stopped.set()

    return call


async def test_a_cancelled_call_is_not_asked_again() -> None:
    """Who cancels a run wants no second one."""
    call = Failing(ModelOverloadedError(retry_after=30.0))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Retry()(call, Deadline(NOW_MS + 60_000, StillClock())))
        await asyncio.sleep(0.01)
        task.cancel()

    assert task.cancelled()
    assert call.calls == 1
