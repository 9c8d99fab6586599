"""A token bucket: limits how many times a second an action is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.clock import Clock


@dataclass(slots=True)
class TokenBucket:
    """A bucket that gains *rate* tokens a second and holds at most *burst* tokens. It starts full."""

    clock: Clock
    rate: float
    burst: float
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = self.burst, self.clock.monotonic()

    def take(self) -> bool:
        """Take a token. Return True if one was available."""
        now = self.clock.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
