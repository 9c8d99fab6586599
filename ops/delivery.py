"""Spans on their way out of the process: kept for a second at most, put together, and posted by a thread.

Whoever hands one over never waits, and never hears of a collector that is away: what it does not take is lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

Post: TypeAlias = Callable[[list[bytes]], bool]
"""Delivers spans; whether they have been taken. May block, must not raise."""

EVERY_S = 1.0
"""Between two deliveries, while there is little to deliver."""

PIECE = 1024 * 1024
"""Bytes of spans in one delivery; collectors take several times as much by default."""

HELD = 16 * 1024 * 1024
"""Bytes of spans that wait; what comes beyond is lost."""

PATIENCE_S = 4.0
"""At the end, for what is left."""


class Delivery:
    """Takes spans from one thread, and posts them from another."""

    def __init__(self, post: Post, *, every_s: float = EVERY_S, held: int = HELD) -> None:
        self._post, self._every_s, self._held = post, every_s, held
        self._waiting: deque[bytes] = deque()
        self._came = self._went = 0
        """Bytes. Each is counted by one thread only, so that neither needs a lock."""

        self._refused = self._failed = 0
        self.delivered = 0
        """Spans that the collector has taken."""

        self._wake, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Spans that no collector took, or for which there was no room."""
        return self._refused + self._failed

    def take(self, span: bytes) -> None:
        """Have it delivered, if there is room."""
        waiting = self._came - self._went
        if waiting >= self._held:
            self._refused += 1
            return
        self._waiting.append(span)
        self._came += len(span)
        if waiting >= PIECE and not self._wake.is_set():
            self._wake.set()

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Deliver what is left, unless the collector is away. Blocks for so many seconds at most."""
        self._over.set()
        self._wake.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._deliver()
        self._deliver()

    def _deliver(self) -> None:
        """All that waits, until the collector does not take it: then the rest waits for the next time."""
        while piece := list(self._piece()):
            if not self._post(piece):
                self._failed += len(piece)
                return
            self.delivered += len(piece)

    def _piece(self) -> Iterator[bytes]:
        size = 0
        while self._waiting and size < PIECE:
            span = self._waiting.popleft()
            size += len(span)
            self._went += len(span)
            yield span
