"""The moment after which an answer is worth nothing: every wait of a run ends there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from schemas.clock import Clock
from schemas.errors import ExpiredError


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment in milliseconds since the epoch, and the clock that it is read on."""

    at_ms: int
    clock: Clock

    def remaining(self) -> float:
        """Seconds that are left; never below zero."""
        return max(0.0, (self.at_ms - self.clock.now_ms()) / 1_000)

    def check(self) -> None:
        """Raise ExpiredError if it has passed: expired work costs nothing."""
        if not self.remaining():
            raise ExpiredError

    @asynccontextmanager
    async def enforced(self) -> AsyncGenerator[None]:
        """Cancel what goes on inside when the moment comes, and raise ExpiredError; a TimeoutError of its own stays."""
        scope = asyncio.timeout(self.remaining())
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if scope.expired():
                raise ExpiredError from error
            raise
