"""The pauses between a busy partition's transactions, so that a shard has time for its sparse partitions.

One transaction of a shard is in flight at a time. If a busy partition began one as soon as possible, the other
partitions would wait for it each time. So a busy partition gets only a part of the shard's time, measured by the
duration of transactions. On a slow cluster it gets fewer transactions, and the others do not get less time.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.lately import Lately
from streams.tracker import Tracker

REST = 7.0
"""The pause of a busy partition, as a multiple of a transaction's duration. Other partitions find the shard free seven
times of eight."""

LONGEST_S = 0.5
"""The maximum pause in seconds, for a cluster that is too slow to keep a shard free."""

MEMORY_S = 1.0
"""The time constant of the recent transaction counts."""

GONE = 0.05
"""A partition with a lower count is forgotten: it has had no transaction for some seconds."""

NEWEST = 0.3
"""The weight of the newest transaction in the average duration."""


class Rests:
    """The pauses of one shard. A partition does not pause while it is the only active one."""

    def __init__(self) -> None:
        self._takes_s = 0.0
        self._of: dict[Tracker, Lately] = {}
        self._often = float("inf")
        """A partition with more recent transactions than this has had more than its share."""

    def note(self, trackers: Iterable[Tracker], seconds: float, now: float) -> None:
        """Record that a transaction for *trackers* took *seconds* and ended at *now*."""
        self._takes_s += NEWEST * (seconds - self._takes_s)
        for tracker in trackers:
            self._of.setdefault(tracker, Lately(MEMORY_S, now)).add(now)
        self._of = {tracker: lately for tracker, lately in self._of.items() if lately.count(now) > GONE}
        counts = [lately.count(now) for lately in self._of.values()]
        self._often = sum(counts) / len(counts) if len(counts) > 1 else float("inf")

    @property
    def _rest_s(self) -> float:
        return min(LONGEST_S, REST * self._takes_s)

    def interval_s(self, least_s: float) -> float:
        """Return the time between the starts of two transactions that gather completions, at least *least_s*."""
        shared = self._often < float("inf")
        return max(least_s, self._takes_s + self._rest_s) if shared else least_s

    def rested(self, tracker: Tracker, now: float) -> bool:
        """Return True if *tracker* may have an early transaction."""
        lately = self._of.get(tracker)
        if lately is None or lately.count(now) <= self._often:
            return True
        return now - tracker.touched >= self._rest_s
