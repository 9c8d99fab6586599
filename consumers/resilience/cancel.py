"""Runs that somebody has taken back: what goes on is cancelled at once, what has not begun never begins."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from types import TracebackType

from consumers.resilience.deadline import Enforced
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

    def heeded(self, run_id: str) -> Heeded:
        """Cancel what goes on inside when the run is taken back, and raise CancelledRunError; at once if it was."""
        if self._is_said(run_id):
            raise CancelledRunError
        return Heeded(self._running, run_id)

    def _is_said(self, run_id: str) -> bool:
        at_ms = self._said.get(run_id)
        return at_ms is not None and self._clock.now_ms() - at_ms < KEEP_MS


class Heeded:
    """A run that can be reached while it goes on."""

    __slots__ = ("_enforced", "_run_id", "_running", "_scope")

    def __init__(self, running: dict[str, asyncio.Timeout], run_id: str) -> None:
        self._running, self._run_id = running, run_id
        self._scope = asyncio.timeout(None)
        self._enforced = Enforced(self._scope, CancelledRunError)

    async def __aenter__(self) -> None:
        await self._enforced.__aenter__()
        self._running[self._run_id] = self._scope

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._running[self._run_id]
        await self._enforced.__aexit__(kind, raised, trace)
