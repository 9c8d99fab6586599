"""A start is repeated while waiting may help, and no longer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import cast

import pytest

from ops import stage_start
from ops.errors import StoppedError
from ops.stage_start import StageStart, unless_stopped
from streams.engine.worker import Worker
from streams.transport.errors import (
    AccessDeniedError,
    BrokerError,
    KafkaUnreachableError,
    TransportError,
    UnknownTopicError,
    UntrustedBrokerError,
)
from tests.clock import Clock

pytestmark = pytest.mark.anyio

AWAY = KafkaUnreachableError("kafka-1:9092")
UNKNOWN = UnknownTopicError("platform.shards")


class Attempts:
    """Fail with each of *errors* in turn, a while after the one before; then start."""

    def __init__(self, clock: Clock, errors: list[TransportError], each_ms: int = 20_000) -> None:
        self.clock, self.errors, self.each_ms = clock, errors, each_ms
        self.closed = 0
        self.limits: list[float] = []

    async def __call__(self, stack: AsyncExitStack, limit_s: float) -> Worker:
        stack.callback(self._close)
        self.limits.append(limit_s)
        self.clock.at += self.each_ms
        if self.errors:
            raise self.errors.pop(0)
        return cast("Worker", object())

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_start, "PAUSE_S", 0.0)


async def test_a_start_is_repeated_and_leaves_nothing_of_its_attempts() -> None:
    """However long the brokers are away; each attempt waits longer for an answer."""
    clock = Clock()
    attempts = Attempts(clock, [AWAY, BrokerError("no leader"), *[AWAY] * 20])
    async with AsyncExitStack() as stack:
        await StageStart("agent", clock).until_started(attempts, stack)
        assert attempts.closed == 22
    assert attempts.closed == 23
    assert attempts.limits[:6] == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("error", [AccessDeniedError("wrong password"), UntrustedBrokerError("kafka-1:9092")])
async def test_what_waiting_does_not_mend_is_raised_at_once(error: TransportError) -> None:
    """Also after an outage."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        with pytest.raises(type(error)):
            await StageStart("agent", clock).until_started(Attempts(clock, [AWAY, error]), stack)


async def test_a_topic_may_be_unknown_for_a_minute_after_the_brokers_are_back() -> None:
    """They learn of it one after another; one that nobody has made is an error."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        await StageStart("agent", clock).until_started(Attempts(clock, [*[AWAY] * 9, UNKNOWN, UNKNOWN]), stack)
        with pytest.raises(UnknownTopicError):
            await StageStart("agent", clock).until_started(Attempts(clock, [UNKNOWN] * 9), stack)


async def test_a_start_that_waits_is_ended_by_a_stop() -> None:
    """And a time-out of its own stays one."""
    stop = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with unless_stopped(stop), asyncio.timeout(0):
            await asyncio.sleep(60)
    asyncio.get_running_loop().call_soon(stop.set)
    with pytest.raises(StoppedError):
        async with unless_stopped(stop):
            await asyncio.sleep(60)
