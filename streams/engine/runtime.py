"""The state that the parts of one worker share."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

import structlog

from schemas.clock import Clock
from streams.engine.config import EngineConfig
from streams.engine.paused_partitions import PausedPartitions
from streams.engine.tasks import Tasks
from streams.engine.topic_health import TopicHealth
from streams.handler import StageHandler
from streams.scheduling.commit_pacing import CommitPacing, EarlyCommits
from streams.scheduling.scheduler import InFlight, Scheduler
from streams.telemetry.metric_store import MetricStore
from streams.transport.data_consumer import DataConsumer
from streams.transport.membership import Membership
from streams.transport.offsets import Offsets

log = structlog.get_logger()


@dataclass(slots=True)
class Runtime:
    """The internal state of one worker. No part of it outlives the worker."""

    config: EngineConfig
    handler: StageHandler
    clock: Clock
    membership: Membership
    consumer: DataConsumer
    offsets: Offsets
    in_flight: InFlight
    scheduler: Scheduler
    metrics: MetricStore
    tasks: Tasks = field(init=False)
    topic_health: TopicHealth = field(init=False)
    early: EarlyCommits = field(init=False)
    """The rate limit of transactions that skip their interval."""

    commit_pacing: CommitPacing = field(init=False)
    """The interval of all other transactions."""

    paused: PausedPartitions = field(init=False)
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
        self.paused = PausedPartitions(self.handler.group, self.clock, self.metrics, self.changed)
        self.topic_health = TopicHealth(self.consumer.topic_states, self.clock)
        self.commit_pacing = CommitPacing(self.config, self.clock)
        self.early = EarlyCommits(self.clock, self.config.early_commits)

    @property
    def halted(self) -> bool:
        """True if no new work may start."""
        return self.stopping or self.fatal is not None

    def changed(self) -> None:
        """Note that the fetchable partitions have changed, and wake intake."""
        self.stale = True
        self.in_flight.changed.set()

    def fail(self, reason: str) -> None:
        """Mark the worker as failed. Its owner ends it, and another worker takes over."""
        if self.fatal is None:
            self.fatal = reason
            log.error("worker_failed", group=self.handler.group, reason=reason)
        self.failed.set()
