"""A guard's time is the time in which it works."""

from __future__ import annotations

import asyncio

import pytest

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guard_time import GUARD_TIME, GuardTime, waiting
from consumers.guard.guards import GuardResult, Policy
from consumers.guard.pipeline import Pipeline, always
from consumers.guard.screen import Screen
from schemas.errors import BlockedError, GuardUnavailableError
from tests.unit.consumers.guard.fakes import Told, authorized, broken, context, late, spec

pytestmark = pytest.mark.anyio

SHORT = Policy(timeout=0.05)


async def waits(content: Content, context: StepContext) -> GuardResult:
    """Waits in a queue for longer than its limit, twice."""
    for _ in range(2):
        with waiting():
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.001)
    return GuardResult()


async def waits_and_is_late(content: Content, context: StepContext) -> GuardResult:
    """Has all of its time left after the wait, and takes more."""
    with waiting():
        await asyncio.sleep(0.1)
    await asyncio.Event().wait()
    return GuardResult()


async def test_waiting_in_a_queue_is_not_a_time_out() -> None:
    """A tenant must not be blocked because another one came first."""
    outcome = await Pipeline(input=[spec("g", waits, SHORT)]).input(Content("x"), context())
    assert outcome.action == "pass"


@pytest.mark.parametrize("guard", [late, waits_and_is_late])
@pytest.mark.parametrize("rewrites", [True, False])
async def test_a_late_guard_is_unavailable_and_blocks_nothing(guard: object, rewrites: bool) -> None:  # noqa: FBT001
    """Our own slowness says nothing about the content."""
    guards = Pipeline(input=[spec("slow", guard, SHORT, rewrites=rewrites)])  # type: ignore[arg-type]
    with pytest.raises(GuardUnavailableError) as caught:
        await Screen(always(guards))(authorized("x"), context())
    assert (caught.value.code, caught.value.retryable, caught.value.status) == ("guard_unavailable", True, "failed")
    assert caught.value.public_message == "the guard slow could not judge in time: send the request again"


async def test_a_guard_that_says_that_it_is_unavailable_is_so() -> None:
    """Its own service may be away."""

    async def away(content: Content, context: StepContext) -> GuardResult:
        raise GuardUnavailableError

    with pytest.raises(GuardUnavailableError):
        await Screen(always(Pipeline(input=[spec("g", away)])))(authorized("x"), context())


async def test_a_block_of_one_guard_outweighs_the_lateness_of_another() -> None:
    """The content is refused, and to send it again would not help."""
    guards = Pipeline(input=[spec("slow", late, SHORT), spec("strict", Told(GuardResult("block")))])
    with pytest.raises(BlockedError, match="the guard strict blocked"):
        await Screen(always(guards))(authorized("x"), context())


async def test_a_guard_that_breaks_blocks_as_its_policy_says() -> None:
    """A text that breaks a guard each time must not pass for one of our delays."""
    with pytest.raises(BlockedError):
        await Screen(always(Pipeline(input=[spec("g", broken)])))(authorized("x"), context())


async def test_a_late_guard_that_fails_open_passes() -> None:
    """Its operator wants it so."""
    guards = Pipeline(input=[spec("g", late, Policy(timeout=0.01, failure="open"))])
    screened = await Screen(always(guards))(authorized("x"), context())
    assert screened.verdicts[0].action == "flag"


async def test_a_pause_before_the_time_has_begun_does_nothing() -> None:
    """A guard may wait for nothing, and never suspend."""
    guard_time = GuardTime(0.05)
    with guard_time.paused():
        pass
    async with guard_time:
        with guard_time.paused(), guard_time.paused():
            await asyncio.sleep(0.06)


async def test_the_time_goes_on_after_a_pause() -> None:
    """Only the pause is free."""
    guard_time = GuardTime(0.05)

    async def works() -> None:
        async with guard_time:
            with guard_time.paused():
                await asyncio.sleep(0.06)
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await works()
    with waiting():  # no guard runs here
        assert GUARD_TIME.get() is None
