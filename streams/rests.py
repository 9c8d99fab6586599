"""How a shard's time is left to those who come seldom: whoever comes often rests between its transactions.

One transaction of a shard is in flight at a time, so a partition that has one begun as soon as it can lets its
neighbours wait for the rest of it, each time. What it may have is a part of the shard's time, measured by what
transactions take: on a slow cluster there are fewer of them, not less room for others.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.lately import Lately
from streams.tracker import Tracker

REST = 7.0
"""Times as long as a transaction takes, a partition that comes more often than others rests: they find the shard free
seven times of eight."""

LONGEST_S = 0.5
"""The same in seconds, where a cluster is too slow for anybody to be spared."""

MEMORY_S = 1.0
"""Time constant of what counts as often."""

GONE = 0.05
"""Whose count is less, counts no longer: it has had no transaction for some seconds."""

NEWEST = 0.3
"""Part that the newest transaction has in the average of what they take."""


class Rests:
    """Of one shard. Nobody rests while its partition is the only one: there is nobody to leave room to."""

    def __init__(self) -> None:
        self._takes_s = 0.0
        self._of: dict[Tracker, Lately] = {}
        self._often = float("inf")
        """Who had more transactions than this lately, had more than its part of them."""

    def note(self, trackers: Iterable[Tracker], seconds: float, now: float) -> None:
        """A transaction for *trackers* has taken *seconds*, until *now*."""
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
        """From the beginning of a transaction to that of one that gathers, *least_s* at least."""
        shared = self._often < float("inf")
        return max(least_s, self._takes_s + self._rest_s) if shared else least_s

    def rested(self, tracker: Tracker, now: float) -> bool:
        """Whether *tracker* may have one begun early."""
        lately = self._of.get(tracker)
        if lately is None or lately.count(now) <= self._often:
            return True
        return now - tracker.touched >= self._rest_s
