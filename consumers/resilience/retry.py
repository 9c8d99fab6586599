"""Try again, a little later, while there is time: inline retries of a call that failed for now.

The waits are exponential with full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from consumers.resilience.deadline import Deadline
from schemas.errors import HeadraceError, fate_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how soon. Times are in seconds."""

    attempts: int = 3
    """The first one included."""

    wait_first: float = 0.5
    """The most that is waited after the first attempt; it doubles with each."""

    wait_longest: float = 10.0
    inline_longest: float = 60.0
    """A provider that asks for more than this is not waited for here: the run gives its place to others."""

    chance: Callable[[], float] = random.random
    """Uniform in [0, 1)."""

    async def __call__(self, call: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        """Await ``call()`` until it succeeds.

        The last error is raised when it is permanent, when the attempts are used up, or when the next one would start
        after the deadline. Every attempt is cancelled at the deadline: ExpiredError.
        """
        tried = 0
        while True:
            tried += 1
            try:
                async with deadline.enforced():
                    return await call()
            except HeadraceError as error:
                wait = self._wait(error, tried)
                if wait is None or wait >= deadline.remaining():
                    raise
            await asyncio.sleep(wait)

    def _wait(self, error: HeadraceError, tried: int) -> float | None:
        """Seconds before the next attempt; None if there is none. What the provider asks for wins."""
        fate = fate_of(error)
        if tried >= self.attempts or not fate.retryable:
            return None
        if fate.retry_after is None:
            return self.chance() * min(self.wait_longest, self.wait_first * 2.0 ** (tried - 1))
        return fate.retry_after if fate.retry_after <= self.inline_longest else None
