"""Runs that somebody has taken back: what goes on is cancelled at once, what has not begun never begins."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from schemas.clock import Clock
from schemas.errors import CancelledRunError

KEEP_MS = 24 * 3_600_000
"""How long a run that has not come yet is waited for; well below the time after which its id may be used again."""

KEPT = 100_000
"""Words that are kept; then the oldest is forgotten."""


class Cancels:
    """What one worker has been told, and the runs that it can reach."""

    def __init__(self, clock: Clock, kept: int = KEPT) -> None:
        self._clock, self._kept = clock, kept
        self._said: OrderedDict[str, int] = OrderedDict()
        self._running: dict[str, asyncio.Timeout] = {}

    def cancel(self, run_id: str) -> None:
        """End the run, now or when it comes."""
        self._said[run_id] = self._clock.now_ms()
        if len(self._said) > self._kept:
            self._said.popitem(last=False)
        scope = self._running.get(run_id)
        if scope is not None:
            scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def heeded(self, run_id: str) -> AsyncGenerator[None]:
        """Cancel what goes on inside when the run is taken back, and raise CancelledRunError."""
        if self._is_said(run_id):
            raise CancelledRunError
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._running[run_id] = scope
                try:
                    yield
                finally:
                    del self._running[run_id]
        except TimeoutError as error:
            if scope.expired():
                raise CancelledRunError from error
            raise

    def _is_said(self, run_id: str) -> bool:
        at_ms = self._said.get(run_id)
        return at_ms is not None and self._clock.now_ms() - at_ms < KEEP_MS
