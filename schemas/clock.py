"""Clocks as values, so that tests can control the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall time and of monotonic time."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch, the unit of broker timestamps."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start. The value never decreases."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return monotonic seconds from an arbitrary start."""
        return time.monotonic()
