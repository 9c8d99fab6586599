"""What time it is for the broker, never later than it is: a worker's own clock may be set while records wait."""

from __future__ import annotations

from schemas.clock import Clock


class BrokerTime:
    """A lower bound on the broker's clock, exact to the delay of a fetch while records come.

    A record's stamp was the broker's time at some moment before now; the monotonic clock adds what has passed since.
    Without a newer stamp the worker's wall clock is believed, but not beyond where the monotonic clock has brought it
    since this was made: a step forward makes nothing early. A worker whose clock was wrong from the start is early by
    as much.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = self._ahead()
        self._stamped = float("-inf")

    def _ahead(self) -> float:
        """Milliseconds by which the wall clock is ahead of the monotonic one: a step of the clock changes it."""
        return self._clock.now_ms() - self._clock.monotonic() * 1_000

    def saw(self, stamp_ms: int) -> None:
        """A record with this stamp of the broker's has come."""
        self._stamped = max(self._stamped, stamp_ms - self._clock.monotonic() * 1_000)

    def now_ms(self) -> float:
        """Milliseconds since the epoch."""
        ahead = max(self._stamped, min(self._start, self._ahead()))
        return ahead + self._clock.monotonic() * 1_000
