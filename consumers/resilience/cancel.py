"""Cancelled runs: a running one is cancelled at once, and one that has not begun never begins."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from types import TracebackType

from consumers.resilience.deadline import Deadline
from schemas.clock import Clock
from schemas.errors import CancelledRunError, ExpiredError, HeadraceError

KEEP_MS = 24 * 3_600_000
"""Milliseconds for which a cancel is kept for its run; well below the time after which a run id may be reused."""

KEPT = 100_000
"""Cancels that are kept; then the oldest is forgotten."""


class Cancels:
    """The cancels that one worker has received, and the runs that it can end."""

    def __init__(self, clock: Clock, kept: int = KEPT) -> None:
        self._clock, self._kept = clock, kept
        self._said: OrderedDict[str, int] = OrderedDict()
        self._running: dict[str, CancelScope] = {}

    def cancel(self, run_id: str) -> None:
        """End the run now, or refuse it when it arrives."""
        self._said[run_id] = self._clock.now_ms()
        if len(self._said) > self._kept:
            self._said.popitem(last=False)
        run = self._running.get(run_id)
        if run is not None:
            run.take_back()

    def check(self, run_id: str) -> None:
        """Raise CancelledRunError if the run was cancelled: a run that has not begun never begins."""
        if self._is_said(run_id):
            raise CancelledRunError

    def scope(self, run_id: str, deadline: Deadline | None = None) -> CancelScope:
        """Return a scope that cancels its body when the run is cancelled, and raises CancelledRunError.

        Raises CancelledRunError at once if the run was cancelled before. With a deadline, the scope also cancels its
        body when the deadline passes, and raises ExpiredError.
        """
        self.check(run_id)
        return CancelScope(self._running, run_id, deadline)

    def _is_said(self, run_id: str) -> bool:
        at_ms = self._said.get(run_id)
        return at_ms is not None and self._clock.now_ms() - at_ms < KEEP_MS


class CancelScope:
    """The scope of a run that can be cancelled while it runs."""

    __slots__ = ("_error", "_run_id", "_running", "_scope")

    def __init__(self, running: dict[str, CancelScope], run_id: str, deadline: Deadline | None) -> None:
        self._running, self._run_id = running, run_id
        self._scope = asyncio.timeout(None if deadline is None else deadline.remaining())
        self._error: type[HeadraceError] = ExpiredError

    def take_back(self) -> None:
        """End the run now."""
        self._error = CancelledRunError
        if not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()
        self._running[self._run_id] = self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._running[self._run_id]
        try:
            await self._scope.__aexit__(kind, raised, trace)
        except TimeoutError as error:
            raise self._error from error
