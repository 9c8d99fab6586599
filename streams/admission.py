"""Admits what a poll has brought: all partitions in turn, and no more at once than may begin at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import thread_time
from typing import NamedTuple

from schemas.records import Record
from streams.metrics import QUEUE_SECONDS
from streams.quanta import Quantum
from streams.runtime import Runtime
from streams.shard import Shard
from streams.tracker import Tracker

_CHUNK = 64  # records admitted before the loop gets its turn: jobs may do their work at once (I9)
_ROUND, _LEAST = 16, 4
"""Records of one partition before the next has its turn, for what may begin at once is shared by all; and the fewest,
when nothing more may begin: whoever has to wait for a turn must be known to wait."""


class Feed(NamedTuple):
    """A partition that is polled."""

    shard: Shard
    tracker: Tracker
    quantum: Quantum


class Batch:
    """What one poll brought of one partition, and how much of it has been admitted."""

    __slots__ = ("at", "feed", "life", "records", "took_s")

    def __init__(self, feed: Feed, life: int, records: list[Record]) -> None:
        self.feed, self.life, self.records = feed, life, records
        self.at = 0
        self.took_s = 0.0
        """CPU time of this thread."""

    @property
    def is_valid(self) -> bool:
        """Whether it may be admitted: else its partition has to be sought back (I8)."""
        shard, tracker, _ = self.feed
        return shard.ready and tracker.alive and tracker.life == self.life and not tracker.unsought


class Admission:
    """Of one worker."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._queued = runtime.metrics.tally(QUEUE_SECONDS)

    async def admit(self, batches: Iterable[Batch]) -> None:
        """Every record that was polled is admitted, or its partition sought back (I8).

        The loop has its turn whenever no more may begin. Whoever is admitted then need not wait for a turn of its own,
        which costs as much as beginning.
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

    def _admit_some(self, batch: Batch, now_ms: int) -> int:
        """The next few of one partition; how many."""
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


def _finish(batch: Batch) -> None:
    shard, tracker, quantum = batch.feed
    quantum.note(len(batch.records), batch.took_s)
    if tracker.moved():
        shard.committer.moved(tracker)
