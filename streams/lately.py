"""A count of recent events that decays exponentially."""

from __future__ import annotations

import math


class Lately:
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
