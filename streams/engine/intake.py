"""Fetch for all shards of a worker through one consumer, and dispatch the records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from schemas.records import Partition
from streams.engine.dispatch import Dispatcher, PolledBatch, PolledPartition
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.scheduling.loop_budget import PollBudget
from streams.transport.errors import AccessDeniedError

_LOOK_S = 0.05
_CLOSED_S = 0.01


class Intake:
    """The fetch loop of a worker. It finds a free slot before it fetches.

    It never polls a partition before its seek (I8).
    """

    def __init__(self, runtime: Runtime, shards: dict[int, Shard]) -> None:
        self._runtime, self._shards = runtime, shards
        self._feeds: dict[Partition, PolledPartition] = {}
        self._admission = Dispatcher(runtime)

    async def run(self) -> None:
        """Fetch and dispatch until the worker stops."""
        runtime = self._runtime
        while not runtime.halted:
            runtime.polled_at = runtime.clock.monotonic()
            self._stop_faulty()
            if runtime.stale:
                self._align()
            if not self._feeds or runtime.in_flight.free <= 0:
                await self._wait()
                continue
            await self._turn()

    async def _wait(self) -> None:
        changed = self._runtime.in_flight.changed
        changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await changed.wait()

    def _align(self) -> None:
        """Assign the partitions of ready shards and seek those that need it.

        ``assign()`` forgets every position, so after it all partitions are sought. The partitions of a closed shard
        leave the assignment. Their position must not survive: unread records would look like gaps, which is loss.
        """
        self._runtime.stale = False
        consumer, paused = self._runtime.consumer, self._runtime.paused
        feeds = {
            partition: PolledPartition(shard, tracker, known.poll_budget if known else PollBudget())
            for shard in self._shards.values()
            if shard.ready
            for partition, tracker in shard.trackers.items()
            if not paused.holds(partition, tracker.life)
            for known in (self._feeds.get(partition),)
        }
        if feeds.keys() != self._feeds.keys():
            if feeds:
                consumer.assign(feeds.keys())
            for feed in feeds.values():
                feed.tracker.unsought = True
        for partition, (_, tracker, _) in feeds.items():
            if tracker.unsought:
                consumer.seek(partition, tracker.next)
                tracker.unsought = False
        self._feeds = feeds

    async def _turn(self) -> None:
        """Poll once, and dispatch the records."""
        feeds = self._feeds
        beside = self._runtime.handler.exempt
        in_flight = self._runtime.in_flight
        accepting = {shard for shard in self._shards.values() if shard.has_capacity()}
        room = {
            partition: room
            for partition, (shard, tracker, poll_budget) in feeds.items()
            if shard in accepting
            and (room := min(tracker.room(beside(partition)), in_flight.room(tracker), poll_budget.records)) > 0
        }
        if not room:
            await asyncio.sleep(_CLOSED_S)
            return
        lives = {partition: feeds[partition].tracker.life for partition in room}
        fetched = await self._runtime.consumer.take(room, in_flight.free, in_flight.free_bytes)
        await self._admission.admit(
            [PolledBatch(feeds[each], lives[each], records) for each, records in fetched.items()]
        )
        if not fetched and not self._runtime.stale and not self._runtime.consumer.faults:
            self._skip_markers(room)

    def _stop_faulty(self) -> None:
        """Stop polling the partitions that cannot be read. Each stop raises an alarm; no offset is skipped silently."""
        faults = self._runtime.consumer.faults
        while faults:
            partition, error = faults.popitem()
            feed = self._feeds.get(partition)
            if feed is None:
                continue
            if isinstance(error, AccessDeniedError):  # its offset cannot be committed either
                self._runtime.paused.withdraw(partition, error)
            else:
                self._runtime.paused.add(partition, error, feed.tracker.life)

    def _skip_markers(self, partitions: Iterable[Partition]) -> None:
        """Advance past transaction markers and aborted records at the end of a partition.

        The consumer never returns them, so the lag would otherwise never reach zero.
        """
        for partition in partitions:
            shard, tracker, _ = self._feeds[partition]
            position = self._runtime.consumer.position(partition)
            if position is not None and position > tracker.next and shard.ready and not tracker.unsought:
                tracker.next = position
                shard.committer.moved(tracker)
