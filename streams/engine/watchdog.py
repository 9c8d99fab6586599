"""The watchdog: it ends a worker whose Kafka client has died or waits forever, so that another takes over.

aiokafka can stop without an error (its issues 1145, 1017, 1037, 847). Brokers that are gone or frozen, or have no
coordinator, are an outage, which no restart would end. So silence counts only when the group's coordinator has answered
another client for as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from schemas.clock import Clock
from schemas.records import Partition
from streams.engine.lag import Lag
from streams.engine.loop_watch import REPORT_S, watched_loop
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.telemetry.metric_definitions import LOOP_BLOCKED_SECONDS, LOOP_BLOCKS, LOOP_STALLS
from streams.transport.errors import TransportError

LOOK_S = 1.0
ANSWER_S = 5.0
"""The time in which the coordinator must answer the check for an outage."""

BEAT_S = 0.02
BLOCK_S = 0.05
"""The longest time for which code may block the event loop (I9)."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0
"""The pause between two log lines about one outage: the first, then doubled each time up to the longest."""

QUIET_S = 10.0
"""The pause between two log lines about a blocked event loop: the metric counts every block."""

log = structlog.get_logger()


class Standstill:
    """Tracks since when each watched value has not changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[object, float]] = {}

    def look(self, shown: Mapping[str, object], limit_s: float) -> str | None:
        """Return the name of a value that has not changed for longer than *limit_s*, or None.

        *shown* holds the values that should change now.
        """
        now = self._clock.monotonic()
        seen = {name: self._seen.get(name, (mark, now)) for name, mark in shown.items()}
        self._seen = {name: old if old[0] == shown[name] else (shown[name], now) for name, old in seen.items()}
        return next((name for name, (_, since) in self._seen.items() if now - since > limit_s), None)


class Outage:
    """Logs that an outage has begun, from time to time that it continues, and that it is over."""

    def __init__(self, clock: Clock, group: str) -> None:
        self._clock, self._group = clock, group
        self._began: float | None = None
        self._pause_s = self._next = 0.0

    def lasts(self, error: Exception) -> None:
        """Note that Kafka has not answered again."""
        now = self._clock.monotonic()
        if self._began is None:
            self._began, self._pause_s, self._next = now, FIRST_PAUSE_S, now
        if now < self._next:
            return
        log.warning("kafka_unreachable", group=self._group, error=repr(error), seconds=round(now - self._began, 1))
        self._next, self._pause_s = now + self._pause_s, min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def over(self) -> None:
        """Note that Kafka answers, or that no check is needed."""
        if self._began is None:
            return
        log.info("kafka_reconnected", group=self._group, seconds=round(self._clock.monotonic() - self._began, 1))
        self._began = None


async def watch(runtime: Runtime, shards: Mapping[int, Shard], lag: Lag) -> None:
    """Fail the worker when its client has died, or when it makes no progress although it should."""
    committing, reading = Standstill(runtime.clock), Standstill(runtime.clock)
    limit_s = runtime.config.watchdog_s
    alone_since: float | None = None
    outage = Outage(runtime.clock, runtime.handler.group)
    while not runtime.halted:
        await asyncio.sleep(LOOK_S)
        reason = _dead(runtime) or committing.look(_committing(shards), limit_s)
        stands = reading.look(_reading(runtime, lag), limit_s)
        silent = _silent(runtime) or stands
        if silent is None:
            alone_since = None
            outage.over()
        elif not await _answers(runtime, outage):
            alone_since = None
        elif alone_since is None:  # after an outage all clients need time to recover
            alone_since = runtime.clock.monotonic()
        elif runtime.clock.monotonic() - alone_since > limit_s:
            reason = reason or silent
        if reason is not None and not runtime.stopping:
            runtime.fail(reason)


async def _answers(runtime: Runtime, outage: Outage) -> bool:
    """Return True if Kafka answers an ordinary request from another client."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await runtime.offsets.note(Partition(runtime.config.shard_topic, 0))
    except (TransportError, TimeoutError) as error:
        outage.lasts(error)
        return False
    outage.over()
    return True


def _dead(runtime: Runtime) -> str | None:
    if runtime.stopping:
        return None
    if runtime.consumer.broken:
        return "the client's fetching task ended"
    if runtime.membership.broken:
        return "the client's group task ended"
    return None


def _committing(shards: Mapping[int, Shard]) -> dict[str, object]:
    """Return the counts of ended transactions of open shards whose commits are late.

    A transaction has its own deadline, so a working committer changes its count. A shard that reopens is not included.
    """
    return {
        f"shard {number} neither commits nor fails": shard.committer.ended
        for number, shard in shards.items()
        if shard.opened and shard.committer.stalled()
    }


def _reading(runtime: Runtime, lag: Lag) -> dict[str, object]:
    """Return the positions of partitions with unread records, no open ones, and room for more."""
    if runtime.in_flight.free <= 0:
        return {}
    return {
        f"{each.partition} has lag and makes no progress": each.tracker.next
        for each in lag.behind()
        if each.partition not in runtime.paused
        and each.unread
        and not each.tracker.open
        and each.tracker.room() > 0
        and each.shard.has_capacity()
    }


def _silent(runtime: Runtime) -> str | None:
    limit_s = runtime.config.watchdog_s
    if runtime.consumer.silent_s() > limit_s:
        return "no broker answers a fetch"
    session_s = runtime.config.session_ms / 1_000
    if runtime.membership.owned is not None and runtime.membership.heard_ago_s() > session_s + limit_s:
        return "the group does not answer"
    return None


async def feel(runtime: Runtime) -> None:
    """Measure how long the event loop is blocked: a blocked worker can keep none of its other guarantees."""
    said = float("-inf")
    with watched_loop(runtime):
        while True:
            runtime.beat_at = runtime.clock.monotonic()
            await asyncio.sleep(BEAT_S)
            now = runtime.clock.monotonic()
            held_s = now - runtime.beat_at - BEAT_S
            if held_s > BLOCK_S:
                _count(runtime, held_s)
                if now - said > QUIET_S:
                    said = now
                    log.warning("event_loop_blocked", group=runtime.handler.group, seconds=round(held_s, 3))


def _count(runtime: Runtime, held_s: float) -> None:
    runtime.metrics.count(LOOP_BLOCKS)
    runtime.metrics.count(LOOP_BLOCKED_SECONDS, by=held_s)
    if held_s >= REPORT_S:
        runtime.metrics.count(LOOP_STALLS)
