"""The rate of one tenant's control records, by number and by bytes.

Source: the generic cell rate algorithm (ITU-T I.371, annex A). It needs one time stamp and keeps the order of arrival.
"""

from __future__ import annotations

from schemas.clock import Clock

UNIT_BYTES = 4_096
"""Bytes of a control record that count like one more record."""

BURST_S = 10.0
"""Seconds of the rate that may be used at once."""


class ControlRate:
    """The rate of one tenant's control records."""

    __slots__ = ("_clock", "_free_at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at = float("-inf")
        """The monotonic time at which all records so far are paid for, in seconds."""

    def charge(self, size: int, per_minute: int) -> float:
        """Charge a record of *size* bytes and return the seconds that it must wait; 0 below the rate."""
        now = self._clock.monotonic()
        start = max(self._free_at, now)
        self._free_at = start + (1 + size / UNIT_BYTES) * 60 / per_minute
        return max(0.0, start - now - BURST_S)
