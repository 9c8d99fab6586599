"""The recovery of stopped partitions: it withdraws those that cannot be read, and resumes those that can."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping

import structlog

from schemas.records import Partition
from streams.engine.paused_partitions import ABSENT, RETRY_S, PausedPartition
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.transport.errors import AccessDeniedError, BrokerError, TransportError, UnknownTopicError

LOOK_S = 1.0
SURE = 2
"""The checks that must find a topic missing. A broker that has just started, or for a new topic, may report this once.
"""

SOON_S = 1.0
"""The first wait before a partition that had no leader is tried again, once it has one. Brokers need time to create a
hundred topics. The wait doubles each further time, up to ``RETRY_S``."""

_MOST_TIMES = 4

log = structlog.get_logger()


class PartitionRecovery:
    """The recovery of one worker's stopped partitions. *repartition* makes the shards add or remove partitions."""

    def __init__(
        self, runtime: Runtime, shards: Mapping[int, Shard], repartition: Callable[[], Awaitable[None]]
    ) -> None:
        self._runtime, self._shards, self._repartition = runtime, shards, repartition
        self._orphans: set[Partition] = set()
        self._tried: Counter[Partition] = Counter()
        """The number of times that each partition was resumed after it had no leader."""

    async def follow(self) -> None:
        """Check the partitions every second until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._keep({*self._ours()})
            self._stop_orphans()
            self._retry()
            if await self._look() or self._withdrawn():
                await self._repartition()

    def _keep(self, ours: set[Partition]) -> None:
        self._runtime.paused.keep(ours)
        for partition in self._tried.keys() - ours:
            del self._tried[partition]

    def _ours(self) -> Iterator[Partition]:
        for shard in self._shards.values():
            yield from shard.trackers
            yield from shard.assigned_now

    def _stop_orphans(self) -> None:
        """Stop partitions without a leader in two checks: while one is assigned, the client asks for its leader without
        pause.
        """
        orphans = self._runtime.consumer.leaderless()
        for partition in orphans & self._orphans:
            life = self._lives().get(partition)
            if life is not None and partition not in self._runtime.paused:
                self._runtime.paused.add(partition, BrokerError(f"{partition} has no leader"), life)
        self._orphans = orphans

    def _withdrawn(self) -> bool:
        """Return True if a shard still has a withdrawn partition."""
        withdrawn = self._runtime.paused.withdrawn
        return bool(withdrawn) and any(
            shard.ready and withdrawn & shard.trackers.keys() for shard in self._shards.values()
        )

    def _lives(self) -> dict[Partition, int]:
        return {
            partition: tracker.life for shard in self._shards.values() for partition, tracker in shard.trackers.items()
        }

    def _retry(self) -> None:
        for stop in self._runtime.paused:
            if stop.reason == "unreadable" and self._due(stop):
                self._runtime.paused.release(stop.partition)

    def _due(self, stop: PausedPartition) -> bool:
        return self._runtime.clock.monotonic() - stop.since > self._patience_s(stop)

    def _patience_s(self, stop: PausedPartition) -> float:
        if stop.reason != "unavailable":
            return RETRY_S
        return min(RETRY_S, SOON_S * 2.0 ** min(_MOST_TIMES, self._tried[stop.partition]))

    async def _look(self) -> bool:
        """Check the partitions without a topic or leader. Return True if the shards must add or remove some."""
        absent = [stop for stop in self._runtime.paused if stop.reason in ABSENT]
        if not absent:
            return False
        try:
            found = await self._runtime.consumer.missing_topics({stop.partition.topic for stop in absent})
        except TransportError as error:
            log.debug("missing_topics_unknown", group=self._runtime.handler.group, error=repr(error))
            return False
        return any([self._judge(stop, found) for stop in absent])  # noqa: C419 - each is judged

    def _judge(self, stop: PausedPartition, found: Mapping[Partition | str, TransportError]) -> bool:
        partition, paused = stop.partition, self._runtime.paused
        gone, error = found.get(partition.topic), found.get(partition.topic) or found.get(partition)
        was = partition in paused.withdrawn
        if error is None:
            if stop.reason != "missing" and not self._due(stop):
                return False  # the partition is described but cannot be read: do not retry every second
            self._tried[partition] += stop.reason == "unavailable"
            paused.release(partition)
            return was
        stop.seen += 1
        if was or not isinstance(gone, (UnknownTopicError, AccessDeniedError)) or stop.seen <= SURE:
            return False
        paused.withdraw(partition, gone)
        return True
