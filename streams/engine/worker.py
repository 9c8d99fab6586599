"""The worker of one stage: it joins the group, opens its shards, runs their records, and releases them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from schemas.clock import Clock
from streams.engine import watchdog
from streams.engine.config import EngineConfig
from streams.engine.gauges import Gauges
from streams.engine.intake import Intake
from streams.engine.lag import Lag
from streams.engine.partition_recovery import PartitionRecovery
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.handler import StageHandler
from streams.scheduling.scheduler import InFlight, Scheduler
from streams.telemetry.metric_definitions import MEMBERSHIP_ERRORS, REBALANCES
from streams.telemetry.metric_store import MetricStore
from streams.transport.data_consumer import DataConsumer
from streams.transport.membership import GroupTimes, Membership
from streams.transport.offsets import Offsets

_LOOK_S = 0.02
_POLL_ENDS_S = 5.0
_TASKS_END_S = 3.0

log = structlog.get_logger()


class Worker:
    """Runs *handler* until it is stopped or fails. Several workers may run in one process, each with its own group.

    It is created, started and stopped on one running event loop.
    """

    def __init__(
        self, settings: EngineConfig, handler: StageHandler, clock: Clock, metrics: MetricStore | None = None
    ) -> None:
        self.metrics = metrics or MetricStore(handler.group)
        """The metrics of this worker."""

        self._config, self._handler = settings, handler
        self._moved = asyncio.Event()
        self._shards: dict[int, Shard] = {}
        self._polling: asyncio.Task[None] | None = None
        self._runtime = _runtime(settings, handler, clock, self._assigned, self.metrics)
        self._intake = Intake(self._runtime, self._shards)
        self._lag = Lag(self._runtime, self._shards)
        self.metrics.look.append(Gauges(self._runtime, self._shards, self._lag))
        self._started, self._stopped = False, asyncio.Event()
        self._end = float("inf")

    # --- state for callers --------------------------------------------------------------------------------------------

    @property
    def failed(self) -> asyncio.Event:
        """Set when the worker cannot continue. Then ``fatal`` holds the reason, and the process should end."""
        return self._runtime.failed

    @property
    def fatal(self) -> str | None:
        """The reason why the worker cannot continue; None while it can."""
        return self._runtime.fatal

    @property
    def ready(self) -> bool:
        """True if it has joined its group and every shard it owns is open. It may own none."""
        owned = self._runtime.membership.owned
        if owned is None or self._runtime.halted:
            return False
        return all(number in self._shards and self._shards[number].ready for number in owned)

    @property
    def joined(self) -> bool:
        """True if its group has assigned its shards, even if there are none."""
        return self._runtime.membership.owned is not None

    @property
    def owned(self) -> frozenset[int]:
        """The shards that the group has assigned to it; empty until it has joined."""
        return frozenset(self._runtime.membership.owned or ())

    @property
    def stopping(self) -> bool:
        """True while it drains, and afterwards."""
        return self._runtime.stopping

    def beat_ago_s(self) -> float:
        """Return the seconds since its event loop was last seen to run; 0 before the start."""
        return self._runtime.clock.monotonic() - self._runtime.beat_at if self._started else 0.0

    def polled_ago_s(self) -> float:
        """Return the seconds since it last looked for records; 0 before the start.

        It looks even while it is full or Kafka does not answer.
        """
        return self._runtime.clock.monotonic() - self._runtime.polled_at if self._started else 0.0

    @property
    def running(self) -> int:
        """The number of jobs that run, or are about to."""
        return self._runtime.scheduler.running

    @property
    def in_flight(self) -> int:
        """The number of records admitted and not finished: running ones, and those that wait for their lane or turn."""
        return self._runtime.in_flight.taken

    @property
    def in_flight_bytes(self) -> int:
        """The bytes of the keys and values of these records."""
        return self._runtime.in_flight.bytes

    def heard_ago_s(self) -> float:
        """Return the seconds since the group last accepted this worker.

        A run asks its ``RunScope`` if it may start something outside Kafka.
        """
        return self._runtime.membership.heard_ago_s()

    # --- start, change, stop ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect and begin; shards open in the background (see ``ready``).

        Raise KafkaUnreachableError, AccessDeniedError or UnknownTopicError within ``open_deadline_s``. Then no
        connection stays open.
        """
        runtime, deadline_s = self._runtime, self._config.open_deadline_s
        try:
            await runtime.consumer.start(deadline_s)
            await runtime.offsets.start(deadline_s)
            await runtime.membership.start(deadline_s)
        except BaseException:  # also when cancelled: no socket stays open
            await self._disconnect()
            raise
        self._started = True
        runtime.polled_at = runtime.beat_at = runtime.clock.monotonic()
        self._polling = runtime.tasks.spawn(self._intake.run())
        runtime.tasks.spawn(runtime.membership.watch(self._membership_failed))
        runtime.tasks.spawn(self._follow())
        runtime.tasks.spawn(self._lag.follow())
        runtime.tasks.spawn(PartitionRecovery(runtime, self._shards, self.repartition).follow())
        runtime.tasks.spawn(watchdog.watch(runtime, self._shards, self._lag))
        runtime.tasks.spawn(watchdog.feel(runtime))

    def _membership_failed(self) -> None:
        self.metrics.count(MEMBERSHIP_ERRORS)

    def _assigned(self) -> None:
        self.metrics.count(REBALANCES)
        self._moved.set()

    async def repartition(self) -> None:
        """Add new partitions to the shards owned here, without a rebalance. Call it when ``work.route`` has changed.

        A partition that stopped for lack of an offset is checked again.
        """
        self._runtime.routing += 1
        async with asyncio.TaskGroup() as group:
            for shard in list(self._shards.values()):
                if shard.ready:
                    group.create_task(shard.repartition())

    async def stop(self, grace: float | None = None) -> None:
        """Stop intake, let each shard finish and commit its running jobs, and leave the group (I14).

        Ends within *grace* seconds (``grace_s`` by default) and a few more for closing connections. Jobs that have not
        finished by then are cancelled. Their offsets are not committed, so another worker runs them. A second call
        meanwhile may only shorten the grace, and returns when the first call does.
        """
        now = self._runtime.clock.monotonic()
        self._end = min(self._end, now + (self._config.grace_s if grace is None else grace))
        if self._runtime.stopping:
            await self._stopped.wait()
            return
        self._runtime.stopping = True
        try:
            if self._started:
                await self._leave()
        finally:
            self._stopped.set()
        log.info("worker_stopped", group=self._handler.group, **self.metrics.totals())

    async def _leave(self) -> None:
        await self._drain()
        await self._runtime.membership.leave()
        await self._runtime.tasks.end(_TASKS_END_S)
        await self._disconnect()

    def _left_s(self) -> float:
        return self._end - self._runtime.clock.monotonic()

    async def _drain(self) -> None:
        self._runtime.in_flight.changed.set()
        if self._polling is not None:
            await asyncio.wait([self._polling], timeout=max(0.0, min(self._left_s(), _POLL_ENDS_S)))
        self._runtime.membership.assignor.leaving = True
        for shard in list(self._shards.values()):
            if not shard.draining:
                self._hand_over(shard, self._left_s())
        while self._shards and self._left_s() > 0:  # noqa: ASYNC110 - two conditions, one of them time
            await asyncio.sleep(_LOOK_S)
        for shard in list(self._shards.values()):
            self._release(shard, rejoin=False)

    async def _disconnect(self) -> None:
        await self._runtime.offsets.close()
        await self._runtime.consumer.close()
        await self._runtime.membership.close()

    # --- ownership ----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Keep the shards in step with ownership: kept ones run on, lost ones are handed over, new ones open."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            owned = self.owned
            for shard in list(self._shards.values()):
                self._keep_or_lose(shard, owned)
            if not self._runtime.halted:
                for number in owned - self._shards.keys():
                    self._take_up(number)

    def _keep_or_lose(self, shard: Shard, owned: frozenset[int]) -> None:
        if shard.number in owned:
            shard.confirm()
            if shard.draining and not self._runtime.stopping:
                self._keep(shard)
        elif self._runtime.membership.expelled:  # another worker owns it: draining would only be fenced
            self._release(shard, rejoin=False)
        elif not shard.draining:
            self._hand_over(shard, self._config.drain_s)

    def _take_up(self, number: int) -> None:
        shard = self._shards[number] = Shard(self._runtime, number, self._release)
        shard.task = self._runtime.tasks.spawn(shard.live())

    def _keep(self, shard: Shard) -> None:
        """Keep a shard that the group has given back before its release."""
        shard.draining = False
        shard.crash_tracking.stay()
        self._runtime.membership.disclaim(shard.number)
        shard.committer.wake.set()
        self._runtime.changed()
        self._runtime.tasks.spawn(shard.repartition())  # it added no new partitions during the hand-over

    def _hand_over(self, shard: Shard, limit_s: float) -> None:
        shard.draining = True
        self._runtime.membership.claim(shard.number)
        self._runtime.changed()
        self._runtime.tasks.spawn(shard.hand_over(limit_s))

    def _release(self, shard: Shard, *, rejoin: bool = True) -> None:
        if self._shards.get(shard.number) is not shard:
            return
        del self._shards[shard.number]
        self._runtime.membership.disclaim(shard.number)
        shard.drop()
        if rejoin:
            self._runtime.membership.rejoin()


def _runtime(
    config: EngineConfig, handler: StageHandler, clock: Clock, assigned: Callable[[], None], metrics: MetricStore
) -> Runtime:
    connection, name, timeout_ms = config.connection, config.name, config.request_timeout_ms
    times = GroupTimes(config.session_ms, config.heartbeat_ms, config.rebalance_ms, timeout_ms)
    topic = config.shard_topic
    return Runtime(
        config,
        handler,
        clock,
        membership=Membership(connection, handler.group, topic, clock, assigned, name=name, times=times),
        consumer=DataConsumer(
            connection, clock, name=name, fetch_wait_ms=config.fetch_wait_ms, request_timeout_ms=timeout_ms
        ),
        offsets=Offsets(connection, handler.group, name=name, request_timeout_ms=timeout_ms),
        in_flight=InFlight(handler.max_in_flight, handler.max_in_flight_bytes),
        scheduler=Scheduler(handler.max_running, handler.weight),
        metrics=metrics,
    )
