"""Looks after the partitions that stand still: which of them nobody can read any more, and which can be read again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping

import structlog

from schemas.records import Partition
from streams.runtime import Runtime
from streams.shard import Shard
from streams.stops import ABSENT, RETRY_S, Stop
from streams.transport.errors import AccessDeniedError, BrokerError, TransportError, UnknownTopicError

LOOK_S = 1.0
SURE = 2
"""Looks that have to find a topic missing: a broker that has just started, or a topic that is new, may say so once."""

SOON_S = 1.0
"""After it what had no leader is tried again, once it has one: brokers that make a hundred topics take their time.
Twice as long each further time, up to ``RETRY_S``."""

_MOST_TIMES = 4

log = structlog.get_logger()


class Revival:
    """One worker's. *repartition* has the shards take up, or let go of, what has changed."""

    def __init__(
        self, runtime: Runtime, shards: Mapping[int, Shard], repartition: Callable[[], Awaitable[None]]
    ) -> None:
        self._runtime, self._shards, self._repartition = runtime, shards, repartition
        self._orphans: set[Partition] = set()
        self._tried: Counter[Partition] = Counter()
        """How often each has been taken up again after it had no leader."""

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._keep({*self._ours()})
            self._stop_orphans()
            self._retry()
            if await self._look() or self._withdrawn():
                await self._repartition()

    def _keep(self, ours: set[Partition]) -> None:
        self._runtime.stops.keep(ours)
        for partition in self._tried.keys() - ours:
            del self._tried[partition]

    def _ours(self) -> Iterator[Partition]:
        for shard in self._shards.values():
            yield from shard.trackers
            yield from shard.routed

    def _stop_orphans(self) -> None:
        """Without a leader for two looks: as long as it is assigned, the client asks for one without pause."""
        orphans = self._runtime.fetcher.leaderless()
        for partition in orphans & self._orphans:
            life = self._lives().get(partition)
            if life is not None and partition not in self._runtime.stops:
                self._runtime.stops.add(partition, BrokerError(f"{partition} has no leader"), life)
        self._orphans = orphans

    def _withdrawn(self) -> bool:
        """Whether a shard still has what it should let go of."""
        withdrawn = self._runtime.stops.withdrawn
        return bool(withdrawn) and any(
            shard.ready and withdrawn & shard.trackers.keys() for shard in self._shards.values()
        )

    def _lives(self) -> dict[Partition, int]:
        return {
            partition: tracker.life for shard in self._shards.values() for partition, tracker in shard.trackers.items()
        }

    def _retry(self) -> None:
        for stop in self._runtime.stops:
            if stop.reason == "unreadable" and self._due(stop):
                self._runtime.stops.release(stop.partition)

    def _due(self, stop: Stop) -> bool:
        return self._runtime.clock.monotonic() - stop.since > self._patience_s(stop)

    def _patience_s(self, stop: Stop) -> float:
        if stop.reason != "unavailable":
            return RETRY_S
        return min(RETRY_S, SOON_S * 2.0 ** min(_MOST_TIMES, self._tried[stop.partition]))

    async def _look(self) -> bool:
        """Ask about what is not there. Whether the shards have to take up or let go of something."""
        absent = [stop for stop in self._runtime.stops if stop.reason in ABSENT]
        if not absent:
            return False
        try:
            found = await self._runtime.fetcher.absences({stop.partition.topic for stop in absent})
        except TransportError as error:
            log.debug("absence_unknown", group=self._runtime.work.group, error=repr(error))
            return False
        return any([self._judge(stop, found) for stop in absent])  # noqa: C419 - each is judged

    def _judge(self, stop: Stop, found: Mapping[Partition | str, TransportError]) -> bool:
        partition, stops = stop.partition, self._runtime.stops
        gone, error = found.get(partition.topic), found.get(partition.topic) or found.get(partition)
        was = partition in stops.withdrawn
        if error is None:
            if stop.reason != "missing" and not self._due(stop):
                return False  # described, and yet not to be read: not every second
            self._tried[partition] += stop.reason == "unavailable"
            stops.release(partition)
            return was
        stop.seen += 1
        if was or not isinstance(gone, (UnknownTopicError, AccessDeniedError)) or stop.seen <= SURE:
            return False
        stops.withdraw(partition, gone)
        return True
