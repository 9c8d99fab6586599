"""A number of times a second that something may be done."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.clock import Clock


@dataclass(slots=True)
class Allowance:
    """*rate* times a second, and *burst* times at once. Full at the beginning."""

    clock: Clock
    rate: float
    burst: float
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = self.burst, self.clock.monotonic()

    def take(self) -> bool:
        """Whether once more is allowed; if so, it counts."""
        now = self.clock.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
