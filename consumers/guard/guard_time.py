"""The time limit of one guard. Time in which its work waits in a queue does not count."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType


class GuardTime:
    """A timeout of *limit* seconds that can pause. It raises TimeoutError, as ``asyncio.timeout`` does."""

    __slots__ = ("_left", "_paused", "_scope")

    def __init__(self, limit: float) -> None:
        self._left = limit
        self._paused = 0
        self._scope: asyncio.Timeout | None = None  # most guards never suspend

    async def __aenter__(self) -> None:
        scope = asyncio.timeout(None)
        await scope.__aenter__()
        self._scope = scope
        self._run_for(None if self._paused else self._left)

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            await scope.__aexit__(kind, raised, trace)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Stop the time during the block. The block may begin before this scope is entered."""
        self._paused += 1
        if self._scope is not None and (when := self._scope.when()) is not None:
            self._left = max(0.0, when - asyncio.get_running_loop().time())
            self._run_for(None)
        try:
            yield
        finally:
            self._paused -= 1
            if not self._paused:
                self._run_for(self._left)

    def _run_for(self, left: float | None) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(None if left is None else asyncio.get_running_loop().time() + left)


GUARD_TIME: ContextVar[GuardTime | None] = ContextVar("guard_time", default=None)
"""The time limit of the guard that runs in this context."""


@contextmanager
def waiting() -> Generator[None]:
    """Mark the block as waiting in a queue: it takes no time of the current guard's limit."""
    guard_time = GUARD_TIME.get()
    if guard_time is None:
        yield
        return
    with guard_time.paused():
        yield
