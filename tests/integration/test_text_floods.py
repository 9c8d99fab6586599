"""A megabyte of any text through all guards: no loop waits, the time is linear, and no other tenant is refused."""

from __future__ import annotations

import asyncio
import gc
from time import process_time

import pytest

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import GuardRegistry
from consumers.guard.text_tasks import text_task
from ops.isolation.text_processes import text_processes
from schemas.clock import SystemClock
from schemas.tenants import Tenant
from tests.integration.test_text_processes import longest_hold
from tests.integration.text_floods import FLOODS, MIB, flood

pytestmark = pytest.mark.anyio

HOLD_S = 0.05
USUAL = ("tags", "passwords", "addresses")
"""Floods of the fast tests. ``make faults`` has all of them."""

ACME, GLOBEX = (StepContext(tenant=Tenant(id=name), clock=SystemClock()) for name in ("acme", "globex"))


async def judged_without_hold(unit: str, size: int) -> None:
    """Judge the flood by all guards. Assert that the loop's own longest step is short."""
    stop = asyncio.Event()
    async with text_processes() as work:
        guards = GuardRegistry(work).pipeline()
        await guards.input(Content("é\u200b" * 3_000), ACME)  # the process and its tasks have started
        async with asyncio.TaskGroup() as group:
            held = group.create_task(longest_hold(stop))
            outcome = await guards.input(Content(flood(unit, size)), ACME)
            stop.set()
    assert held.result() < HOLD_S
    assert outcome.unavailable == ()


@pytest.mark.parametrize("name", USUAL)
async def test_a_long_flood_holds_no_loop(name: str) -> None:
    """The guards of a request run in another process from a few thousand characters on."""
    await judged_without_hold(FLOODS[name], MIB // 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
async def test_a_megabyte_of_any_flood_holds_no_loop(name: str) -> None:
    """The bound is 50 milliseconds of the loop's own CPU time."""
    await judged_without_hold(FLOODS[name], MIB)


class InPlace:
    """Runs the work on long texts here, so that its CPU time can be measured."""

    async def __call__(self, tenant: str, task: str, *texts: str) -> tuple[object, ...]:

        return text_task(task)(*texts)


async def spent(guards: Pipeline, text: str) -> float:
    """Return the least CPU seconds of three attempts."""
    times: list[float] = []
    for _ in range(3):
        gc.collect()
        began = process_time()
        await guards.input(Content(text), ACME)
        times.append(process_time() - began)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
async def test_the_time_of_a_flood_is_linear(name: str) -> None:
    """Four times the text takes about four times as long. A quadratic pattern would take sixteen times."""
    guards = GuardRegistry(InPlace()).pipeline()
    await guards.input(Content(flood(FLOODS[name], 1_000)), ACME)
    gc.disable()
    try:
        quarter, whole = [await spent(guards, flood(FLOODS[name], size)) for size in (MIB // 4, MIB)]
    finally:
        gc.enable()
    assert whole < 6 * quarter + 0.05


async def test_no_flood_of_a_tenant_makes_another_refused() -> None:
    """Six long texts of one tenant wait; a short and a long text of another pass meanwhile."""
    async with text_processes() as work:
        guards = GuardRegistry(work).pipeline()
        await guards.input(Content("é\u200b" * 3_000), ACME)
        async with asyncio.TaskGroup() as group:
            texts = [flood(FLOODS["tags"], MIB // 8) + str(number) for number in range(6)]
            floods = [group.create_task(guards.input(Content(text), ACME)) for text in texts]
            await asyncio.sleep(0.05)
            short = await guards.input(Content("Which day is the report due?"), GLOBEX)
            long = await guards.input(Content(flood(FLOODS["Latin"], 32 * 1024)), GLOBEX)
            waiting = sum(not task.done() for task in floods)
            for task in floods[-4:]:
                task.cancel()
    assert (short.action, long.action) == ("pass", "pass")
    assert waiting >= 3
    assert all(task.cancelled() or not task.result().unavailable for task in floods)
