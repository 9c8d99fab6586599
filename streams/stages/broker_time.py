"""The broker's current time, never ahead of it: a worker's own clock may be set while records wait."""

from __future__ import annotations

from schemas.clock import Clock


class BrokerTime:
    """A lower bound on the broker's clock, exact to the delay of a fetch while records arrive.

    A record's timestamp was the broker's time at an earlier moment. The monotonic clock adds the time since then.
    Without a newer timestamp the worker's wall clock counts. It counts at most as its value at creation plus the
    monotonic time since. So a step forward of the wall clock makes nothing early. A worker whose clock was wrong from
    the start is early by that error.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = self._ahead()
        self._stamped = float("-inf")

    def _ahead(self) -> float:
        """Return how far the wall clock is ahead of the monotonic clock, in milliseconds. A clock step changes it."""
        return self._clock.now_ms() - self._clock.monotonic() * 1_000

    def saw(self, stamp_ms: int) -> None:
        """Take up the broker's timestamp of a record that has arrived."""
        self._stamped = max(self._stamped, stamp_ms - self._clock.monotonic() * 1_000)

    def now_ms(self) -> float:
        """Return the lower bound in milliseconds since the epoch."""
        ahead = max(self._stamped, min(self._start, self._ahead()))
        return ahead + self._clock.monotonic() * 1_000
