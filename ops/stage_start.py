"""Start a stage while Kafka may be away: repeat the attempt, log what it waits for, and end at a stop signal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from ops.background import background
from ops.errors import StoppedError
from schemas.clock import Clock
from streams.engine.worker import Worker
from streams.telemetry.metric_store import MetricStore
from streams.transport.errors import AccessDeniedError, TransportError, UnknownTopicError, UntrustedBrokerError

FIRST_ATTEMPT_S, LONGEST_ATTEMPT_S = 5.0, 60.0
"""Seconds for one answer of Kafka: in the first attempt, then doubled each time up to the longest."""

PAUSE_S = 0.5
TOPIC_PATIENCE_S = 60.0
"""Seconds to wait for a topic that brokers deny: the cluster may be set up at this moment."""

log = structlog.get_logger()

Attempt: TypeAlias = Callable[[AsyncExitStack, float], Awaitable[Worker]]
"""Starts a worker, which the stack closes. It gives up after so many seconds without an answer."""


@dataclass(slots=True)
class StageStart:
    """The start of one stage. Probes read it in place of the worker, which does not exist at first."""

    stage: str
    clock: Clock
    worker: Worker | None = None
    waiting_for: str = ""
    """The reason why the last attempt failed; empty if none has."""

    _none: MetricStore = field(init=False)

    def __post_init__(self) -> None:
        self._none = MetricStore(self.stage)

    async def until_started(self, attempt: Attempt, stack: AsyncExitStack) -> Worker:
        """Repeat *attempt* until Kafka lets it succeed, and leave its resources in *stack*.

        Raises the error of an attempt if waiting does not help: AccessDeniedError, UntrustedBrokerError,
        OperationError, or UnknownTopicError after a minute.
        """
        began, limit_s = self.clock.monotonic(), FIRST_ATTEMPT_S
        denials = Denials(self.clock)
        while True:
            async with AsyncExitStack() as trial:
                try:
                    self.worker = await attempt(trial, limit_s)
                except TransportError as error:
                    if not (may_pass(error) and denials.may_pass(error)):
                        raise
                    self._note(error, self.clock.monotonic() - began)
                else:
                    await stack.enter_async_context(trial.pop_all())
                    self._report(self.clock.monotonic() - began)
                    return self.worker
            limit_s = min(2 * limit_s, LONGEST_ATTEMPT_S)
            await asyncio.sleep(PAUSE_S)

    def _note(self, error: TransportError, waited_s: float) -> None:
        """Log what the stage waits for."""
        self.waiting_for = str(error)
        log.warning("start_delayed", waiting_for=self.waiting_for, seconds=round(waited_s, 1))

    def _report(self, waited_s: float) -> None:
        if self.waiting_for:
            log.info("start_continued", waited_for=self.waiting_for, seconds=round(waited_s, 1))
            self.waiting_for = ""

    def reasons(self) -> list[str]:
        """Return what the start waits for."""
        return [f"it waits to start: {self.waiting_for}"] if self.waiting_for else []

    # --- the worker, as probes read it --------------------------------------------------------------------------------

    @property
    def metrics(self) -> MetricStore:
        """The metrics of the worker; none before it exists."""
        return self.worker.metrics if self.worker else self._none

    @property
    def ready(self) -> bool:
        """True if every shard that the worker owns is open."""
        return self.worker is not None and self.worker.ready

    @property
    def joined(self) -> bool:
        """True if the group has assigned the worker its shards."""
        return self.worker is not None and self.worker.joined

    @property
    def stopping(self) -> bool:
        """True if the worker is draining."""
        return self.worker is not None and self.worker.stopping

    @property
    def fatal(self) -> str | None:
        """The reason why the worker cannot go on, or None."""
        return self.worker.fatal if self.worker else None

    def beat_ago_s(self) -> float:
        """Return the seconds since the event loop last ran."""
        return self.worker.beat_ago_s() if self.worker else 0.0

    def polled_ago_s(self) -> float:
        """Return the seconds since the worker last polled for records."""
        return self.worker.polled_ago_s() if self.worker else 0.0


def may_pass(error: TransportError) -> bool:
    """Return True if the error may pass by itself: brokers are away, or their metadata is not complete."""
    return not isinstance(error, AccessDeniedError | UntrustedBrokerError)


@dataclass(slots=True)
class Denials:
    """The time for which brokers have denied a topic in every attempt."""

    clock: Clock
    _since: float | None = None

    def may_pass(self, error: TransportError) -> bool:
        """Return True unless brokers have denied a topic for a minute. After an outage they may do so for a moment."""
        if not isinstance(error, UnknownTopicError):
            self._since = None
            return True
        now = self.clock.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since < TOPIC_PATIENCE_S


@asynccontextmanager
async def unless_stopped(stop: asyncio.Event) -> AsyncGenerator[None]:
    """Run the block, and cancel it once *stop* is set. Raises StoppedError then."""
    limit = asyncio.timeout(None)
    try:
        async with limit, background(_expired(limit, stop)):
            yield
    except TimeoutError as error:
        if limit.expired():
            raise StoppedError from error
        raise


async def _expired(limit: asyncio.Timeout, stop: asyncio.Event) -> None:
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time())
