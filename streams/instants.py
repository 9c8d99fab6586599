"""Moments between two milliseconds: when a span begins and ends, by a clock that counts milliseconds only."""

from __future__ import annotations

from schemas.clock import Clock

MS_NS = 1_000_000


class Instants:
    """Nanoseconds since the epoch: always of the millisecond that the wall clock shows, and within it as far as the
    monotonic clock has gone on.
    """

    __slots__ = ("_ahead", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = 0
        """Of the wall clock before the monotonic one. Too small by less than a millisecond, and by less each time that
        a moment is asked for soon after the wall clock has gone on."""

    def now_ns(self) -> int:
        """The moment, in nanoseconds since the epoch."""
        whole, monotonic = self._clock.now_ms() * MS_NS, int(self._clock.monotonic() * 1e9)
        part = monotonic + self._ahead - whole
        if not 0 <= part < MS_NS:  # the first time, or one clock has been set or runs a little faster
            self._ahead, part = whole - monotonic, 0
        return whole + part
