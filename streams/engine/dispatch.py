"""Dispatch the records of a poll: all partitions in rotation, and only as many jobs at once as may begin."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import thread_time
from typing import NamedTuple

from schemas.records import Record
from streams.engine.runtime import Runtime
from streams.engine.shard import Shard
from streams.offsets.tracker import Tracker
from streams.scheduling.loop_budget import PollBudget
from streams.telemetry.metric_definitions import QUEUE_SECONDS

_CHUNK = 64  # records dispatched before the event loop runs other callbacks: jobs may do their work at once (I9)
_ROUND, _LEAST = 16, 4
"""``_ROUND`` is the most records dispatched from one partition before the next. The limit exists because all partitions
share the jobs that may begin at once. ``_LEAST`` is the fewest, even when no further job may begin. The scheduler must
know which jobs wait."""


class PolledPartition(NamedTuple):
    """A partition that is polled."""

    shard: Shard
    tracker: Tracker
    poll_budget: PollBudget


class PolledBatch:
    """The records that one poll returned for one partition, and the number already dispatched."""

    __slots__ = ("at", "feed", "life", "records", "took_s")

    def __init__(self, feed: PolledPartition, life: int, records: list[Record]) -> None:
        self.feed, self.life, self.records = feed, life, records
        self.at = 0
        self.took_s = 0.0
        """CPU time of this thread, in seconds."""

    @property
    def is_valid(self) -> bool:
        """True if the records may be dispatched. Otherwise the partition must be sought again (I8)."""
        shard, tracker, _ = self.feed
        return shard.ready and tracker.alive and tracker.life == self.life and not tracker.unsought


class Dispatcher:
    """The dispatcher of one worker."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._queued = runtime.metrics.tally(QUEUE_SECONDS)

    async def admit(self, batches: Iterable[PolledBatch]) -> None:
        """Admit every polled record, or mark its partition for a new seek (I8).

        Yields to the event loop whenever no further job may begin. Jobs dispatched after that need not wait in the
        scheduler. Such a wait costs as much as beginning.
        """
        scheduler, now_ms, since, left = self._runtime.scheduler, self._runtime.clock.now_ms(), 0, deque(batches)
        while left:
            batch = left.popleft()
            if not batch.is_valid:
                batch.feed.tracker.unsought = self._runtime.stale = True
                continue
            since += self._admit_some(batch, now_ms)
            if batch.at < len(batch.records):
                left.append(batch)
            else:
                _finish(batch)
            if not left or since >= _CHUNK or scheduler.spent:
                scheduler.pause()
                await asyncio.sleep(0)
                since = 0

    def _admit_some(self, batch: PolledBatch, now_ms: int) -> int:
        """Admit the next records of one partition. Return their number."""
        shard, tracker, _ = batch.feed
        scheduler, began, count = self._runtime.scheduler, thread_time(), 0
        waited: list[float] = []
        for record in batch.records[batch.at : batch.at + _ROUND]:
            if record.offset >= tracker.next and tracker.admit(record.offset, record.timestamp):
                waited.append((now_ms - record.timestamp) / 1_000)
                shard.lanes.add(tracker, record)
            count += 1
            if count >= _LEAST and scheduler.spent:
                break
        self._queued.observe_all(waited)
        batch.at += count
        batch.took_s += thread_time() - began
        return count


def _finish(batch: PolledBatch) -> None:
    shard, tracker, poll_budget = batch.feed
    poll_budget.note(len(batch.records), batch.took_s)
    if tracker.moved():
        shard.committer.moved(tracker)
