"""The times when a fault was active, which excuse a stall. Every other stall counts against the platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from ops.lab.chaos.ledger import Start
from schemas.clock import Clock

AFTER_MS = 8_000
"""Milliseconds after a worker or broker fault that it still excuses a stall.

In this time a session has to end, and another worker to take over.
"""

SOON_MS = 3_000
"""The same for network faults: the next transaction may have to be aborted first."""


class FaultWindow(NamedTuple):
    """The start and end of one fault, in milliseconds since the epoch."""

    began_ms: int
    ended_ms: int
    pid: int | None = None
    """The process id of the affected worker, or None if all are affected, as by a broker or network fault."""

    after_ms: int = AFTER_MS

    def touches(self, pid: int, began_ms: int, ended_ms: int) -> bool:
        """Return True if the fault excuses that worker *pid* started no run in that time."""
        return self.pid in {None, pid} and self.began_ms < ended_ms and began_ms < self.ended_ms + self.after_ms


@dataclass(slots=True)
class FaultWindows:
    """All faults of a run."""

    clock: Clock
    all: list[FaultWindow] = field(default_factory=list[FaultWindow])

    @contextmanager
    def during(self, after_ms: int = AFTER_MS) -> Generator[None]:
        """Record a fault of all workers for the duration of the block."""
        began = self.clock.now_ms()
        try:
            yield
        finally:
            self.all.append(FaultWindow(began, self.clock.now_ms(), after_ms=after_ms))

    def hit(self, pid: int, seconds: float = 0.0, *, everybody: bool = False) -> None:
        """Record a fault of one worker from now on, or of all workers if an admission controller was hit."""
        now = self.clock.now_ms()
        self.all.append(FaultWindow(now, now + int(seconds * 1_000), None if everybody else pid))


class Stall(NamedTuple):
    """The stalls of workers that no fault affected."""

    longest_s: float
    """The longest time, in seconds, between two starts of one worker."""

    watched_s: float
    """The time measured, in seconds, summed over all workers."""


def unaffected(starts: Iterable[Start], fault_windows: Sequence[FaultWindow], until_ms: int) -> Stall:
    """Measure the gaps between two starts of each worker that end by *until_ms* and that no fault touches."""
    times: dict[int, list[int]] = defaultdict(list)
    for start in starts:
        times[start.pid].append(start.at_ms)
    gaps = [
        later - sooner
        for pid, moments in times.items()
        for sooner, later in pairwise(sorted(moments))
        if later <= until_ms and not any(fault_window.touches(pid, sooner, later) for fault_window in fault_windows)
    ]
    return Stall(max(gaps, default=0) / 1_000, sum(gaps) / 1_000)
