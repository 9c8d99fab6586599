"""Retries of journal calls while the store is away, until the run's deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from consumers.context import StepContext
from consumers.resilience.deadline import Deadline
from schemas.errors import JournalUnavailableError

T = TypeVar("T")

WAIT_FIRST_S = 0.05
WAIT_LONGEST_S = 2.0


@dataclass(frozen=True, slots=True)
class StoreRetry:
    """Calls the store until it answers. Between failures the run gives its slot to others."""

    context: StepContext
    deadline: Deadline
    chance: Callable[[], float] = random.random
    """Returns random numbers, uniform in [0, 1)."""

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``call()``. Repeat it after JournalUnavailableError; any other error is raised.

        Raises ExpiredError at the deadline.
        """
        async with self.deadline.enforced():
            try:
                return await call()
            except JournalUnavailableError:
                pass
            async with self.context.waiting():
                return await self._repeated(call)

    async def _repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        longest = WAIT_FIRST_S
        while True:
            await asyncio.sleep(longest * (1 + self.chance()) / 2)
            try:
                return await call()
            except JournalUnavailableError:
                longest = min(WAIT_LONGEST_S, 2 * longest)
