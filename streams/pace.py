"""How long a busy shard gathers before its next transaction: longer where a worker's transactions take too much of it.

A transaction costs about the same whatever is in it. Many busy shards would spend most of a core on those alone, so
their interval grows until transactions take no more than a share of the worker's time; where there is time to spare, it
does not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import thread_time

from schemas.clock import Clock
from streams.parameters import Parameters

WINDOW_S = 0.25
"""What is measured, and so how soon the interval follows the load, up and down."""

BUSY = 0.5
"""Part of a window for which a worker's thread wants a CPU, from which on it has no time to spare: the other half is
what it waits for anyhow, such as a broker that has nothing new."""

_SCHEDULED = Path("/proc/thread-self/schedstat")


def wanted_s() -> float:
    """Seconds for which this thread has had a CPU, and for which it has waited for one where the system (Linux) counts
    that: whoever has half of a CPU and would use all of it is not idle for the other half.
    """
    try:
        had, waited, _ = _SCHEDULED.read_text().split()
    except OSError:
        return thread_time()
    return (int(had) + int(waited)) / 1e9


class Pace:
    """Of one worker. *wanted* and *used* count seconds of its thread: wanted of a CPU, and had."""

    def __init__(
        self,
        parameters: Parameters,
        clock: Clock,
        wanted: Callable[[], float] = wanted_s,
        used: Callable[[], float] = thread_time,
    ) -> None:
        self._parameters, self._clock = parameters, clock
        self._wanted, self._used = wanted, used
        self._interval_s = parameters.commit_interval_s
        self._transactions = 0
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        return self._clock.monotonic(), self._wanted(), self._used()

    def count(self) -> None:
        """A transaction has ended."""
        self._transactions += 1

    def interval_s(self) -> float:
        """Least time between two transactions of a shard that is busy now."""
        if self._clock.monotonic() - self._began[0] >= WINDOW_S:
            self._look()
        return self._interval_s

    def _look(self) -> None:
        """By how much transactions took more than their share, by so much longer is the interval; never shorter than
        the least, and no longer than the most.
        """
        now = self._now()
        passed_s, wanted_s, used_s = (after - before for after, before in zip(now, self._began, strict=True))
        limits, least_s = self._parameters, self._parameters.commit_interval_s
        factor = 0.0
        if wanted_s >= BUSY * passed_s:
            cost_s = self._transactions * limits.transaction_cost_s
            factor = cost_s / (limits.transaction_share * max(used_s, 1e-9))
        self._interval_s = max(least_s, min(limits.longest_interval_s, self._interval_s * factor))
        self._transactions, self._began = 0, now
