"""Clocks as values, so that tests can control the time."""

from __future__ import annotations

import time
from typing import Protocol

STEP_MS = 1_000
"""A change of the wall clock against the monotonic clock that counts as a step, in milliseconds."""


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


class CorrectedClock:
    """A clock whose wall time is corrected by a measured offset.

    A step of the wall clock has no effect until the next measurement: the time continues by monotonic time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ms = self._ahead()
        self.offset_ms = 0
        """Milliseconds added to the wall time."""

    def _ahead(self) -> float:
        """Return the wall time minus the monotonic time, in milliseconds. Only a step of the wall clock changes it."""
        return self._clock.now_ms() - self._clock.monotonic() * 1_000

    @property
    def stepped(self) -> bool:
        """True if the wall clock has been set since the last measurement."""
        return abs(self._ahead() - self._ahead_ms) > STEP_MS

    def uncorrected_ms(self) -> int:
        """Return the wall time as the operating system has it."""
        return self._clock.now_ms()

    def correct(self, offset_ms: int) -> None:
        """Add *offset_ms* to the wall time as it is now."""
        self._ahead_ms, self.offset_ms = self._ahead(), offset_ms

    def now_ms(self) -> int:
        """Return the corrected wall time in milliseconds since the epoch."""
        ahead = self._ahead()
        if abs(ahead - self._ahead_ms) > STEP_MS:
            ahead = self._ahead_ms
        return round(ahead + self._clock.monotonic() * 1_000) + self.offset_ms

    def monotonic(self) -> float:
        """Return monotonic seconds from an arbitrary start."""
        return self._clock.monotonic()


class ContinuedClock:
    """A clock that continues another process's wall time by monotonic time."""

    def __init__(self, now_ms: int, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ms = now_ms - clock.monotonic() * 1_000

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch."""
        return round(self._ahead_ms + self._clock.monotonic() * 1_000)

    def monotonic(self) -> float:
        """Return monotonic seconds from an arbitrary start."""
        return self._clock.monotonic()
