"""The reservation of a call around its sending: what is stated, released and settled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date

import pytest

from consumers.agent.models.port import ModelUsage
from consumers.agent.paid_call import send, settle_failed
from schemas.errors import (
    BudgetUnavailableError,
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreadableError,
)

pytestmark = pytest.mark.anyio


@dataclass
class NotedReservation:
    """A reservation that notes what it is told."""

    failure: Exception | None = None
    hangs: bool = False
    told: list[str | ModelUsage | None] = field(default_factory=list)
    day: date = date(2026, 12, 1)
    generation: str = ""

    async def called(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        self.told.append("called")

    async def settle(self, usage: ModelUsage | None) -> None:
        self.told.append(usage)


async def test_a_call_that_is_sent_stays_reserved() -> None:
    """It is settled by its answer."""
    reserved = NotedReservation()
    await send(reserved)
    assert reserved.told == ["called"]


async def test_a_call_that_cannot_be_stated_is_released() -> None:
    """It is not sent, so that it costs nothing."""
    reserved = NotedReservation(BudgetUnavailableError())
    with pytest.raises(BudgetUnavailableError):
        await send(reserved)
    assert reserved.told == [None]


async def test_a_run_that_is_cancelled_before_its_call_releases_it() -> None:
    """The run has reached its deadline, or was cancelled."""
    reserved = NotedReservation(hangs=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await send(reserved)
    assert reserved.told == [None]


def refused_connection() -> ModelError:
    """Return the error of a call that did not reach the provider."""
    error = ModelUnavailableError()
    error.uncharged = True
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelOverloadedError(), [None]),
        (ModelRejectedError(), [None]),
        (ContextOverflowError(), [None]),
        (refused_connection(), [None]),
        (ModelTimeoutError(), []),
        (ModelUnavailableError(), []),
        (ModelUnreadableError(), []),
        (ModelUnreadableError(input_tokens=3, output_tokens=4), [ModelUsage(3, 4)]),
    ],
    ids=["overloaded", "rejected", "overflow", "not-sent", "timeout", "broken", "cut", "unreadable"],
)
async def test_a_failed_call_is_settled_if_its_usage_is_known(error: ModelError, told: list[ModelUsage | None]) -> None:
    """An unknown usage is charged in full, later and by the store."""
    reserved = NotedReservation()
    await settle_failed(reserved, error)
    assert reserved.told == told
