"""The commit interval of busy shards, adapted to the time that a worker's transactions take.

A transaction costs about the same for any number of records. Many busy shards would spend most of a core on
transactions alone. So their interval grows until transactions take no more than a share of the worker's time. It does
not grow while the worker has time to spare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from time import thread_time
from typing import Protocol

from schemas.clock import Clock
from streams.offsets.tracker import Tracker

PACING_WINDOW_S = 0.25
"""The length of a measurement. It sets how soon the interval follows the load, up and down."""

BUSY_SHARE = 0.5
"""The part of a window for which the thread of a busy worker wants a CPU. From there on it has no time to spare. It
waits for the other half in any case, such as for a broker without new records."""

_SCHEDULED = Path("/proc/thread-self/schedstat")


def wanted_s() -> float:
    """Return the seconds for which this thread has had a CPU or, on Linux, has waited for one.

    Waiting counts because a thread that gets half of a CPU may want all of it: it is not idle.
    """
    try:
        had, waited, _ = _SCHEDULED.read_text().split()
    except OSError:
        return thread_time()
    return (int(had) + int(waited)) / 1e9


class PacingLimits(Protocol):
    """The settings of the commit interval, as ``EngineConfig`` has them."""

    @property
    def commit_interval_s(self) -> float:
        """The shortest interval, in seconds."""
        ...

    @property
    def longest_interval_s(self) -> float:
        """The longest interval, in seconds."""
        ...

    @property
    def transaction_cost_s(self) -> float:
        """The CPU time of one transaction, in seconds."""
        ...

    @property
    def transaction_share(self) -> float:
        """The part of a busy worker's CPU time that transactions may take."""
        ...


class CommitPacing:
    """The commit interval of one worker. *wanted* and *used* return the CPU seconds that its thread wanted and had."""

    def __init__(
        self,
        limits: PacingLimits,
        clock: Clock,
        wanted: Callable[[], float] = wanted_s,
        used: Callable[[], float] = thread_time,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._wanted, self._used = wanted, used
        self._interval_s = limits.commit_interval_s
        self._transactions = 0
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        return self._clock.monotonic(), self._wanted(), self._used()

    def count(self) -> None:
        """Count a transaction that has ended."""
        self._transactions += 1

    def interval_s(self) -> float:
        """Return the minimum time between two transactions of a busy shard."""
        if self._clock.monotonic() - self._began[0] >= PACING_WINDOW_S:
            self._look()
        return self._interval_s

    def _look(self) -> None:
        """Set the interval by the measurement that ends now.

        The interval changes by the ratio of the transactions' CPU time to the share they may have. It stays between
        ``commit_interval_s`` and ``longest_interval_s``. It is the shortest if the worker has time to spare.
        """
        now = self._now()
        passed_s, wanted_s, used_s = (after - before for after, before in zip(now, self._began, strict=True))
        limits, least_s = self._limits, self._limits.commit_interval_s
        factor = 0.0
        if wanted_s >= BUSY_SHARE * passed_s:
            cost_s = self._transactions * limits.transaction_cost_s
            factor = cost_s / (limits.transaction_share * max(used_s, 1e-9))
        self._interval_s = max(least_s, min(limits.longest_interval_s, self._interval_s * factor))
        self._transactions, self._began = 0, now


REST_FACTOR = 7.0
"""The pause of a busy partition, as a multiple of a transaction's duration. Other partitions find the shard free seven
times of eight."""

LONGEST_REST_S = 0.5
"""The maximum pause in seconds, for a cluster that is too slow to keep a shard free."""

REST_MEMORY_S = 1.0
"""The time constant of the recent transaction counts."""

NEGLIGIBLE_COUNT = 0.05
"""A partition with a lower count is forgotten: it has had no transaction for some seconds."""

DURATION_WEIGHT = 0.3
"""The weight of the newest transaction in the average duration."""


class CommitRests:
    """The pauses of one shard. A partition does not pause while it is the only active one."""

    def __init__(self) -> None:
        self._takes_s = 0.0
        self._of: dict[Tracker, DecayingCounter] = {}
        self._often = float("inf")
        """A partition with more recent transactions than this has had more than its share."""

    def note(self, trackers: Iterable[Tracker], seconds: float, now: float) -> None:
        """Record that a transaction for *trackers* took *seconds* and ended at *now*."""
        self._takes_s += DURATION_WEIGHT * (seconds - self._takes_s)
        for tracker in trackers:
            self._of.setdefault(tracker, DecayingCounter(REST_MEMORY_S, now)).add(now)
        self._of = {
            tracker: recent_count
            for tracker, recent_count in self._of.items()
            if recent_count.count(now) > NEGLIGIBLE_COUNT
        }
        counts = [recent_count.count(now) for recent_count in self._of.values()]
        self._often = sum(counts) / len(counts) if len(counts) > 1 else float("inf")

    @property
    def _rest_s(self) -> float:
        return min(LONGEST_REST_S, REST_FACTOR * self._takes_s)

    def interval_s(self, least_s: float) -> float:
        """Return the time between the starts of two transactions that gather completions, at least *least_s*."""
        shared = self._often < float("inf")
        return max(least_s, self._takes_s + self._rest_s) if shared else least_s

    def rested(self, tracker: Tracker, now: float) -> bool:
        """Return True if *tracker* may have an early transaction."""
        recent_count = self._of.get(tracker)
        if recent_count is None or recent_count.count(now) <= self._often:
            return True
        return now - tracker.touched >= self._rest_s


EARLY_MEMORY_S = 0.2
"""Time constant, in seconds, of the exponential decay of past use. *rate* times this may be used at once."""

EARLY_SHARE = 0.5
"""Part of the free transactions that one holder may have. One holder alone gets a third of all; eight together get four
fifths."""

MOST_HOLDERS = 256
"""With more holders than this, those without recent use are forgotten."""

NEGLIGIBLE_RATE = 0.01
"""A decayed count up to this is as good as zero."""


class EarlyCommits:
    """At most *rate* early transactions a second in all. Each holder may have only a share of the free ones."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._most = rate * EARLY_MEMORY_S
        self._all = DecayingCounter(EARLY_MEMORY_S, clock.monotonic())
        self._of: dict[Hashable, DecayingCounter] = {}

    def __len__(self) -> int:
        """Return the number of remembered holders."""
        return len(self._of)

    def take(self, holder: Hashable) -> bool:
        """Return True, and count it, if *holder* may have one more now."""
        now = self._clock.monotonic()
        free, of = self._most - self._all.count(now), self._of.get(holder)
        if free < 1 or (of is not None and of.count(now) >= EARLY_SHARE * free):
            return False
        if of is None:
            self._forget(now)
            of = self._of[holder] = DecayingCounter(EARLY_MEMORY_S, now)
        of.add(now)
        self._all.add(now)
        return True

    def _forget(self, now: float) -> None:
        if len(self._of) > MOST_HOLDERS:
            self._of = {holder: of for holder, of in self._of.items() if of.count(now) > NEGLIGIBLE_RATE}


class DecayingCounter:
    """A decaying count. After *memory_s* seconds, a little more than a third of it remains."""

    __slots__ = ("_at", "_count", "_memory_s")

    def __init__(self, memory_s: float, now: float) -> None:
        self._memory_s, self._at = memory_s, now
        self._count = 0.0

    def count(self, now: float) -> float:
        """Return the decayed count."""
        self._count *= math.exp((self._at - now) / self._memory_s)
        self._at = now
        return self._count

    def add(self, now: float) -> None:
        """Count one event."""
        self._count = self.count(now) + 1
