"""The commit interval of busy shards, adapted to the time that a worker's transactions take.

A transaction costs about the same for any number of records. Many busy shards would spend most of a core on
transactions alone. So their interval grows until transactions take no more than a share of the worker's time. It does
not grow while the worker has time to spare.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import thread_time

from schemas.clock import Clock
from streams.parameters import Parameters

WINDOW_S = 0.25
"""The length of a measurement. It sets how soon the interval follows the load, up and down."""

BUSY = 0.5
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


class Pace:
    """The commit interval of one worker. *wanted* and *used* return the CPU seconds that its thread wanted and had."""

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
        """Count a transaction that has ended."""
        self._transactions += 1

    def interval_s(self) -> float:
        """Return the minimum time between two transactions of a busy shard."""
        if self._clock.monotonic() - self._began[0] >= WINDOW_S:
            self._look()
        return self._interval_s

    def _look(self) -> None:
        """Set the interval by the measurement that ends now.

        The interval changes by the ratio of the transactions' CPU time to the share they may have. It stays between
        ``commit_interval_s`` and ``longest_interval_s``. It is the shortest if the worker has time to spare.
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
