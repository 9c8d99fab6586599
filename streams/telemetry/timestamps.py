"""Timestamps finer than a millisecond, for the start and end of spans. The wall clock counts milliseconds only."""

from __future__ import annotations

from schemas.clock import Clock

MS_NS = 1_000_000


class Timestamps:
    """The source of timestamps in nanoseconds since the epoch.

    The millisecond is always that of the wall clock. Within it, the monotonic clock counts on.
    """

    __slots__ = ("_ahead", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = 0
        """Nanoseconds by which the wall clock is ahead of the monotonic one. The value is too small by less than a
        millisecond. The error shrinks each time that ``now_ns`` is called soon after the wall clock has advanced."""

    def now_ns(self) -> int:
        """Return the current time in nanoseconds since the epoch."""
        whole, monotonic = self._clock.now_ms() * MS_NS, int(self._clock.monotonic() * 1e9)
        part = monotonic + self._ahead - whole
        if not 0 <= part < MS_NS:  # first call, or a clock was set or runs a little faster
            self._ahead, part = whole - monotonic, 0
        return whole + part
