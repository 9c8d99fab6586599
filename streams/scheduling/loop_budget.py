"""Limit the jobs that begin before the event loop runs other callbacks.

Jobs that begin at once run in the order of arrival, each to the end of its first step. A flood that came first would
hold the loop until all of it has run. So only as many jobs begin as fit into a quantum, estimated from the latest ones.
The others wait in the scheduler's fair queue. Jobs that are cheap to begin are not delayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import thread_time

LOOP_QUANTUM_S = 0.004
"""Seconds of this thread's CPU time. CPU time, so that other processes do not raise the measured cost of a job."""

LEAST_JOBS, MOST_JOBS, FIRST_JOBS = 8, 256, 64
LOOP_WEIGHT = 0.3
"""Weight of the newest burst in the average."""


class LoopBudget:
    """The jobs that may still begin in the current burst. *again* is called when the next burst begins."""

    __slots__ = ("_again", "_began_s", "_closed", "_each_s", "_full", "_given", "left", "spent")

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._each_s = LOOP_QUANTUM_S / FIRST_JOBS
        self.spent = False
        """True if the next burst has been scheduled."""

        self._full = self._given = FIRST_JOBS
        self.left = FIRST_JOBS
        """Jobs that may still begin, of those granted to this burst."""

        self._closed = False
        self._began_s = 0.0

    def arrange(self) -> None:
        """Schedule the next burst. Called when the first job of this one has begun."""
        self.spent = True
        asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        """End the measurement of this burst behind the jobs that have begun.

        These jobs are queued on the loop one behind another. Callbacks queued later must not count as their time.
        """
        if self.spent and not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._over, self._given - self.left)

    def _next(self) -> None:
        """Start the next burst.

        The loop is about to run the jobs that have begun. A callback queued behind them measures their time.
        """
        self._began_s = thread_time()
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._note, self._began_s, self._given - self.left)
        self.spent = self._closed = False
        self.left = self._given = self._full
        self._again()
        self.close()

    def _over(self, jobs: int) -> None:
        self._note(self._began_s, jobs)

    def _note(self, began_s: float, jobs: int) -> None:
        self._each_s += LOOP_WEIGHT * ((thread_time() - began_s) / jobs - self._each_s)
        self._full = max(LEAST_JOBS, min(MOST_JOBS, int(LOOP_QUANTUM_S / max(1e-6, self._each_s))))
        if not self.spent:
            self.left = self._given = self._full


POLL_QUANTUM_S = 0.004
"""The quantum, in CPU time of this thread: other processes do not make a record more expensive."""

LEAST_RECORDS, MOST_RECORDS = 4, 512
POLL_WEIGHT = 0.3
"""The weight of the newest turn in a partition's average."""


class PollBudget:
    """The admission quantum of one partition."""

    __slots__ = ("_each_s",)

    def __init__(self) -> None:
        self._each_s = POLL_QUANTUM_S / 64

    @property
    def records(self) -> int:
        """The number of records to admit in one turn."""
        return max(LEAST_RECORDS, min(MOST_RECORDS, int(POLL_QUANTUM_S / self._each_s)))

    def note(self, records: int, seconds: float) -> None:
        """Update the average: admitting *records*, and the work done at once, took *seconds*."""
        self._each_s += POLL_WEIGHT * (max(seconds, 1e-6) / records - self._each_s)
