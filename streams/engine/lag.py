"""The lag of each owned partition. The brokers are asked for it, because the fetcher knows only what it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import structlog

from schemas.records import Partition
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.offsets.tracker import Tracker
from streams.transport.errors import TransportError

LOOK_S = 2.0
_ASK_S = 10.0

log = structlog.get_logger()


class PartitionLag(NamedTuple):
    """The current lag of one partition."""

    partition: Partition
    shard: Shard
    tracker: Tracker
    records: int
    """Offsets that can be read and are not done."""

    unread: int
    """Offsets that have not been fetched."""


class WatermarkAge(NamedTuple):
    """A watermark, and the monotonic time since which it has not moved."""

    low: int
    since: float


class Lag:
    """The end offsets of the owned partitions, up to the last stable offset.

    Records beyond it belong to an open transaction and cannot be read.
    """

    def __init__(self, runtime: Runtime, shards: Mapping[int, Shard]) -> None:
        self._runtime, self._shards = runtime, shards
        self._ends: dict[Partition, int] = {}
        self._stands: dict[Partition, WatermarkAge] = {}

    async def follow(self) -> None:
        """Refresh the end offsets until cancelled. While the brokers do not answer, the known ones remain."""
        while True:
            await asyncio.sleep(LOOK_S)
            partitions = self._owned().keys() - self._runtime.paused.absent()
            try:
                async with asyncio.timeout(_ASK_S):
                    self._ends |= await self._runtime.consumer.ends(partitions, _ASK_S)
            except (TransportError, TimeoutError) as error:
                log.debug("lag_unknown", group=self._runtime.handler.group, error=repr(error))
            self._note()

    def _note(self) -> None:
        now = self._runtime.clock.monotonic()
        behind = {each.partition: each.tracker.low() for each in self.behind() if each.records}
        self._stands = {
            partition: stand if (stand := self._stands.get(partition)) and stand.low == low else WatermarkAge(low, now)
            for partition, low in behind.items()
        }

    def behind(self) -> Iterator[PartitionLag]:
        """Yield every partition of the ready shards whose end offset is known."""
        for shard, tracker in self._owned().values():
            end = self._ends.get(tracker.partition)
            if end is not None:
                records = max(0, end - tracker.committed - len(tracker.done))
                yield PartitionLag(tracker.partition, shard, tracker, records, max(0, end - tracker.next))

    def stall_s(self) -> float:
        """Return the longest time, in seconds, that the watermark of a lagging partition has not moved."""
        now = self._runtime.clock.monotonic()
        return max((now - stand.since for stand in self._stands.values()), default=0.0)

    def _owned(self) -> dict[Partition, tuple[Shard, Tracker]]:
        return {
            partition: (shard, tracker)
            for shard in self._shards.values()
            if shard.ready
            for partition, tracker in shard.trackers.items()
        }
