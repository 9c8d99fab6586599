"""Time comes in as a value, so that tests can stand still."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and a monotonic one."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as brokers stamp records."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()
