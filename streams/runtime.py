"""What the parts of one worker share."""

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
    """One worker from within. Nothing here outlives it."""

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
    """Of transactions that do not wait for their interval."""

    pace: Pace = field(init=False)
    """Of transactions that do."""

    stops: Stops = field(init=False)
    """Partitions that stand still."""

    failed: asyncio.Event = field(default_factory=asyncio.Event)
    fatal: str | None = None
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Of this worker and no other, ever."""

    stopping: bool = False
    beat_at: float = 0.0
    """When the loop was last seen to turn, by the monotonic clock."""

    polled_at: float = 0.0
    """When intake last looked for records, by the monotonic clock."""

    stale: bool = True
    """What may be fetched has changed; intake has to look again."""
    routing: int = 0
    """Counts the changes of ``work.route``."""

    def __post_init__(self) -> None:
        self.tasks = Tasks(self.fail)
        self.stops = Stops(self.work.group, self.clock, self.metrics, self.changed)
        self.outlets = Outlets(self.fetcher.standings, self.clock)
        self.pace = Pace(self.parameters, self.clock)
        self.early = Early(self.clock, self.parameters.early_commits)

    @property
    def halted(self) -> bool:
        """Whether nothing new may start."""
        return self.stopping or self.fatal is not None

    def changed(self) -> None:
        """What may be fetched has changed."""
        self.stale = True
        self.slots.changed.set()

    def fail(self, reason: str) -> None:
        """The worker cannot go on; whoever runs it ends it, and another takes over."""
        if self.fatal is None:
            self.fatal = reason
            log.error("worker_failed", group=self.work.group, reason=reason)
        self.failed.set()
