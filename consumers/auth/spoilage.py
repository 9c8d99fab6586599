"""How much of what a tenant sends becomes dead letters, and whether its door is shut for that.

Source: the ``DlqLimit`` of Sentry's arroyo, which bounds the part of a stream that may be invalid. There it ends the
consumer; here it closes one tenant's door for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from schemas.clock import Clock
from schemas.tenants import DlqLimit

LOOK_S = 1.0
"""The longest that somebody waits before looking at the clock again."""

PARTS = 12
"""Of a window: what is older than one, and not older than one and a twelfth, may still count."""


Limit: TypeAlias = Callable[[], DlqLimit | None]
"""How much of what a tenant sends may become dead letters, as its record has it now; None: its door never shuts."""

_NONE_SET = DlqLimit()


class Spoilage:
    """What has ended of one tenant, in the order of its ends, and what of it was buried."""

    __slots__ = ("_buried", "_clock", "_last_ms", "_limit", "_parts", "_shut", "_until_ms")

    def __init__(self, clock: Clock, shut: Callable[[float], None], limit: Limit) -> None:
        self._clock, self._shut, self._limit = clock, shut, limit
        self._parts: deque[list[int]] = deque()
        """Of each part of the window: when it begins, what ended in it, and what of that was buried."""

        self._buried = 0
        """In all parts together."""

        self._last_ms = self._until_ms = 0

    def note(self, at_ms: int, *, buried: bool) -> None:
        """Something has ended. What ends while the door is shut was let in before, and has had its effect."""
        if at_ms < self._until_ms:
            return
        part = at_ms - at_ms % self._part_ms()
        if not self._parts or self._parts[-1][0] < part:
            self._parts.append([part, 0, 0])
            self._drop_old(at_ms)
        self._parts[-1][1] += 1
        if buried:
            self._parts[-1][2] += 1
            self._buried += 1
            self._last_ms = max(self._last_ms, at_ms)

    def shut_ms(self) -> int:
        """For how long the door is shut; 0: it is open."""
        limit = self._limit()
        if limit is None:
            return 0
        left = self._until_ms - self._clock.now_ms()
        if left <= 0 and self._buried >= limit.count and self._is_spoiled(limit):
            left = self._close(limit)
        return max(0, min(left, int(limit.cool_down * 1_000)))  # a clock that was set back does not prolong it

    async def over(self) -> None:
        """Wait while the door is shut."""
        while left_ms := self.shut_ms():  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(min(LOOK_S, left_ms / 1_000))

    def _is_spoiled(self, limit: DlqLimit) -> bool:
        self._drop_old(self._clock.now_ms())
        ended = sum(part[1] for part in self._parts)
        return self._buried >= limit.count and self._buried >= limit.share * ended

    def _close(self, limit: DlqLimit) -> int:
        """From the last dead letter on, which may be long ago for who has just read of it."""
        self._until_ms = self._last_ms + int(limit.cool_down * 1_000)
        self._parts.clear()
        self._buried = 0
        left = self._until_ms - self._clock.now_ms()
        if left > 0:
            self._shut(left / 1_000)
        return left

    def _part_ms(self) -> int:
        return max(1, self._window_ms() // PARTS)

    def _window_ms(self) -> int:
        return int((self._limit() or _NONE_SET).window * 1_000)

    def _drop_old(self, now_ms: int) -> None:
        oldest = now_ms - self._window_ms() - self._part_ms()
        while self._parts and self._parts[0][0] < oldest:
            self._buried -= self._parts.popleft()[2]
