"""The state that the parts of one worker share."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

import structlog

from schemas.clock import Clock
from streams.early import Early
from streams.measures import Metrics
from streams.outlets import Outlets
from streams.pace import Pace
from streams.parameters import Parameters
from streams.scheduler import Scheduler
from streams.slots import Slots
from streams.stops import Stops
from streams.tasks import Tasks
from streams.transport.fetcher import Fetcher
from streams.transport.membership import Membership
from streams.transport.offsets import Offsets
from streams.work import Work

log = structlog.get_logger()


@dataclass(slots=True)
class Runtime:
    """The internal state of one worker. No part of it outlives the worker."""

    parameters: Parameters
    work: Work
    clock: Clock
    membership: Membership
    fetcher: Fetcher
    offsets: Offsets
    slots: Slots
    scheduler: Scheduler
    metrics: Metrics
    tasks: Tasks = field(init=False)
    outlets: Outlets = field(init=False)
    early: Early = field(init=False)
    """The rate limit of transactions that skip their interval."""

    pace: Pace = field(init=False)
    """The interval of all other transactions."""

    stops: Stops = field(init=False)
    """The stopped partitions."""

    failed: asyncio.Event = field(default_factory=asyncio.Event)
    fatal: str | None = None
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """The unique name of this worker: no other worker ever has it."""

    stopping: bool = False
    beat_at: float = 0.0
    """The monotonic time at which the event loop was last seen to run."""

    polled_at: float = 0.0
    """The monotonic time at which intake last looked for records."""

    stale: bool = True
    """True if the fetchable partitions have changed, so intake must check them again."""
    routing: int = 0
    """The number of changes of ``work.route``."""

    def __post_init__(self) -> None:
        self.tasks = Tasks(self.fail)
        self.stops = Stops(self.work.group, self.clock, self.metrics, self.changed)
        self.outlets = Outlets(self.fetcher.standings, self.clock)
        self.pace = Pace(self.parameters, self.clock)
        self.early = Early(self.clock, self.parameters.early_commits)

    @property
    def halted(self) -> bool:
        """True if no new work may start."""
        return self.stopping or self.fatal is not None

    def changed(self) -> None:
        """Note that the fetchable partitions have changed, and wake intake."""
        self.stale = True
        self.slots.changed.set()

    def fail(self, reason: str) -> None:
        """Mark the worker as failed. Its owner ends it, and another worker takes over."""
        if self.fatal is None:
            self.fatal = reason
            log.error("worker_failed", group=self.work.group, reason=reason)
        self.failed.set()
