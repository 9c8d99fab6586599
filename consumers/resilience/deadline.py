"""The moment after which an answer is worth nothing: every wait of a run ends there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType

from schemas.clock import Clock
from schemas.errors import ExpiredError, HeadraceError


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

    def enforced(self) -> Enforced:
        """Cancel what goes on inside when the moment comes, and raise ExpiredError; a TimeoutError of its own stays."""
        return Enforced(asyncio.timeout(self.remaining()), ExpiredError)


class Enforced:
    """A timeout that raises an error of ours. A generator would say it in fewer lines, and take twice the time."""

    __slots__ = ("_error", "_scope")

    def __init__(self, scope: asyncio.Timeout, error: type[HeadraceError]) -> None:
        self._scope, self._error = scope, error

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._scope.__aexit__(kind, raised, trace)
        except TimeoutError as error:
            raise self._error from error
