"""Inline retries of a call after temporary failures, until the deadline.

The waits are exponential with full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from consumers.resilience.deadline import Deadline
from schemas.errors import HeadraceError, RefusedError, resolve_error, seconds_of

T = TypeVar("T")
Waiting: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Retry:
    """The number of attempts and the waits between them. Times are in seconds."""

    attempts: int = 3
    """The number of attempts, the first one included."""

    wait_first: float = 0.5
    """The longest wait after the first attempt; it doubles with each further attempt."""

    wait_longest: float = 10.0
    inline_longest: float = 60.0
    """Longest ``retry_after`` that is waited for here. Beyond it, the run frees its place for others."""

    chance: Callable[[], float] = random.random
    """Returns random numbers, uniform in [0, 1)."""

    async def __call__(self, call: Callable[[], Awaitable[T]], deadline: Deadline, waiting: Waiting = nullcontext) -> T:
        """Await ``call()`` until it succeeds. The waits happen within the scope ``waiting()``.

        Raises the last error if it is permanent or the attempts are used up. The same holds if the next attempt would
        start after the deadline. Every attempt is cancelled at the deadline, with ExpiredError.
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
            async with waiting():
                await asyncio.sleep(wait)

    def _wait(self, error: HeadraceError, tried: int) -> float | None:
        """Return the seconds before the next attempt; None if there is none. A ``retry_after`` takes precedence."""
        fate = resolve_error(error)
        if isinstance(fate, RefusedError):
            return None  # it has waited already, for as long as the limits allow
        if tried >= (self.attempts if fate.retryable else min(self.attempts, fate.calls)):
            return None
        asked = seconds_of(fate.retry_after)
        if asked is None:
            return self.chance() * min(self.wait_longest, self.wait_first * 2.0 ** (tried - 1))
        return asked if asked <= self.inline_longest else None
