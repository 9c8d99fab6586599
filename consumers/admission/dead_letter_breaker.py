"""The dead-letter breaker: it stops a tenant's admissions if too many of its requests become dead letters.

Source: the ``DlqLimit`` of Sentry's arroyo, which bounds the invalid part of a stream. There it ends the consumer; here
it stops the admissions of one tenant for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from schemas.clock import Clock
from schemas.tenants import DlqLimit

CHECK_S = 1.0
"""The longest wait in seconds before the clock is read again."""

PARTS = 12
"""Parts of a window. A request counts for one window, and at most for one part longer."""


LimitOf: TypeAlias = Callable[[], DlqLimit | None]
"""Lookup of the tenant's current dead-letter limit; None: the breaker never trips."""

_NONE_SET = DlqLimit()


class DeadLetterBreaker:
    """The dead-letter breaker of one tenant. It counts closed requests and dead letters, in the order of their ends."""

    __slots__ = ("_clock", "_dead_lettered", "_last_ms", "_limit", "_on_open", "_parts", "_until_ms")

    def __init__(self, clock: Clock, on_open: Callable[[float], None], limit: LimitOf) -> None:
        self._clock, self._on_open, self._limit = clock, on_open, limit
        self._parts: deque[list[int]] = deque()
        """For each part of the window: its start, its closed requests, and its dead letters."""

        self._dead_lettered = 0
        """Dead letters in all parts together."""

        self._last_ms = self._until_ms = 0

    def note(self, at_ms: int, *, dead_lettered: bool) -> None:
        """Count a closed request. While the breaker is tripped none counts: each was admitted before it tripped."""
        if at_ms < self._until_ms:
            return
        part = at_ms - at_ms % self._part_ms()
        if not self._parts or self._parts[-1][0] < part:
            self._parts.append([part, 0, 0])
            self._drop_old(at_ms)
        self._parts[-1][1] += 1
        if dead_lettered:
            self._parts[-1][2] += 1
            self._dead_lettered += 1
            self._last_ms = max(self._last_ms, at_ms)

    def open_for_ms(self) -> int:
        """Return the milliseconds for which the breaker stays tripped; 0 if it is not tripped."""
        limit = self._limit()
        if limit is None:
            return 0
        left = self._until_ms - self._clock.now_ms()
        if left <= 0 and self._dead_lettered >= limit.count and self._exceeds_limit(limit):
            left = self._trip(limit)
        return max(0, min(left, int(limit.cool_down * 1_000)))  # a clock that was set back does not prolong the pause

    async def over(self) -> None:
        """Wait while the breaker is tripped."""
        while left_ms := self.open_for_ms():  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(min(CHECK_S, left_ms / 1_000))

    def _exceeds_limit(self, limit: DlqLimit) -> bool:
        self._drop_old(self._clock.now_ms())
        ended = sum(part[1] for part in self._parts)
        return self._dead_lettered >= limit.count and self._dead_lettered >= limit.share * ended

    def _trip(self, limit: DlqLimit) -> int:
        """Trip the breaker, counted from the last dead letter. After a replay of the log, that may be long ago."""
        self._until_ms = self._last_ms + int(limit.cool_down * 1_000)
        self._parts.clear()
        self._dead_lettered = 0
        left = self._until_ms - self._clock.now_ms()
        if left > 0:
            self._on_open(left / 1_000)
        return left

    def _part_ms(self) -> int:
        return max(1, self._window_ms() // PARTS)

    def _window_ms(self) -> int:
        return int((self._limit() or _NONE_SET).window * 1_000)

    def _drop_old(self, now_ms: int) -> None:
        oldest = now_ms - self._window_ms() - self._part_ms()
        while self._parts and self._parts[0][0] < oldest:
            self._dead_lettered -= self._parts.popleft()[2]
