"""When what was wrong: the times that excuse a stall, so that the rest can be held against the platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from ops.chaos.ledger import Start
from schemas.clock import Clock

AFTER_MS = 8_000
"""How long the trouble of a worker or a broker excuses a stall once it is over: a session has to end, and another
worker to take over."""

SOON_MS = 3_000
"""The same of the network's: the next transaction may have to be given up first."""


class Trouble(NamedTuple):
    """Something was wrong from one moment to another, in milliseconds since the epoch."""

    began_ms: int
    ended_ms: int
    pid: int | None = None
    """The worker that was hit; None: everybody was, for a broker or the way to it was not there."""

    after_ms: int = AFTER_MS

    def touches(self, pid: int, began_ms: int, ended_ms: int) -> bool:
        """Whether it excuses that worker *pid* did nothing in that time."""
        return self.pid in {None, pid} and self.began_ms < ended_ms and began_ms < self.ended_ms + self.after_ms


@dataclass(slots=True)
class Troubles:
    """All of a run."""

    clock: Clock
    all: list[Trouble] = field(default_factory=list[Trouble])

    @contextmanager
    def during(self, after_ms: int = AFTER_MS) -> Generator[None]:
        """Everybody is hit for as long as the block."""
        began = self.clock.now_ms()
        try:
            yield
        finally:
            self.all.append(Trouble(began, self.clock.now_ms(), after_ms=after_ms))

    def hit(self, pid: int, seconds: float = 0.0, *, everybody: bool = False) -> None:
        """One worker is hit from now on; *everybody* is, if it was the door of their tenants."""
        now = self.clock.now_ms()
        self.all.append(Trouble(now, now + int(seconds * 1_000), None if everybody else pid))


class Stall(NamedTuple):
    """What the workers that were not hit did not do."""

    longest_s: float
    """The longest time in which one of them started no run, between two that it started."""

    watched_s: float
    """How much of their time there was to be judged, all of them together."""


def unaffected(starts: Iterable[Start], troubles: Sequence[Trouble], until_ms: int) -> Stall:
    """Of each worker the times between two starts that began before *until_ms* and that no trouble touches."""
    times: dict[int, list[int]] = defaultdict(list)
    for start in starts:
        times[start.pid].append(start.at_ms)
    gaps = [
        later - sooner
        for pid, moments in times.items()
        for sooner, later in pairwise(sorted(moments))
        if later <= until_ms and not any(trouble.touches(pid, sooner, later) for trouble in troubles)
    ]
    return Stall(max(gaps, default=0) / 1_000, sum(gaps) / 1_000)
