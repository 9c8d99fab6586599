"""Time as tests have it: a clock that goes on when it is told to, and the moment when nobody can go on any further."""

from __future__ import annotations

import asyncio

_TURNS = 30


class Clock:
    """Stands still; the time of day and the monotonic time are both ``at``, in milliseconds."""

    def __init__(self, at: int = 0) -> None:
        self.at = at

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.at

    def monotonic(self) -> float:
        """Seconds."""
        return self.at / 1_000


async def settled() -> None:
    """Everything that can go on has gone on, timers of no time included."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
